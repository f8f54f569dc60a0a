"""Weights, changed: pretraining, autotuning, training from scratch, learning curves."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["training"])
