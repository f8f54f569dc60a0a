"""What a student works with: checks of answers, solutions, receipts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["teach"])
