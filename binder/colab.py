"""Make a Colab machine ready for the notebooks: install what is missing, and nothing else.

    python binder/colab.py

Colab brings torch, numpy and scipy, built for its GPUs and for each other: these are never touched.
"""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

# Colab's own, or of no use there
KEPT = {"torch", "numpy", "scipy", "ipython", "jupyterlab", "nbclient", "nbformat", "nbmake"}
EXTRAS = ("dft", "notebooks", "xtb")


def wanted():
    """What the notebooks need, as pyproject.toml has it: requirements without those that are kept."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    found = [Requirement(line) for line in lines]
    return [r for r in found if r.name not in KEPT and (r.marker is None or r.marker.evaluate())]


def installed(name):
    """The version of a package, None where it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def is_there(requirement):
    """Whether a version that will do is installed."""
    found = installed(requirement.name)
    return found is not None and found in requirement.specifier


def main():
    missing = [str(r).split(";")[0].strip() for r in wanted() if not is_there(r)]
    print("to install:", ", ".join(missing) or "nothing")
    if missing:
        kept = [f"{name}=={installed(name)}" for name in sorted(KEPT) if installed(name)]  # so that pip leaves them
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing, *kept], check=True)


if __name__ == "__main__":
    main()
