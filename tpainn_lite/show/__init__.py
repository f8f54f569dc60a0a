"""What is looked at: plots, molecules, reports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["plots"])
