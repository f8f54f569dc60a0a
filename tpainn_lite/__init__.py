"""tpainn_lite: learn, see and use transfer learning for machine-learned interatomic potentials.

    classical labels ─▶ pretrain ─▶ few DFT labels ─▶ autotune ─▶ a potential to run MD with

Units are ASE's, everywhere: eV, Å, amu, K; forces eV/Å, stress eV/Å³ (ASE's sign); times in fs.
Nothing heavy loads before it is used: the public names stand in ``__init__.pyi``, and each is imported when needed.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
