"""The command ``tpainn``."""
