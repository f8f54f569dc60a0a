"""The network and its weights, read: graphs, PaiNN, potentials, their calculator, committees, errors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["graph", "painn"])
