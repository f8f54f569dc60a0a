"""tpainn_lite: learn, see and use transfer learning for machine-learned interatomic potentials."""
__version__ = "0.1.0"
