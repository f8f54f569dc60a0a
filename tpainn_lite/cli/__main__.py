"""``python -m tpainn_lite.cli`` is ``tpainn``."""

from tpainn_lite.cli.app import app

app()
