"""Molecular dynamics with a trained potential inside a web page, without a kernel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["explain"])
