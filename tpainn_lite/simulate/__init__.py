"""Time passes: molecular dynamics, its record, its observables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["observables"])
