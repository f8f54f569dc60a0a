"""Executed copies of the notebooks, kept in build/executed/ until the notebook, the library or the data change."""

import hashlib

import nbformat
from build_page import run

from tpainn_lite.structures.files import write_text


def executed(path, store, root):
    """The notebook with its outputs: from `store` if nothing it depends on has changed, else run now.

    Parameters
    ----------
    path : Path
        Of the notebook.
    store : Path
        The folder of executed copies.
    root : Path
        Of the repository: its library and its data count as the notebook's input.
    """
    kept = store / f"{path.stem}.{fingerprint(path, root)}.ipynb"
    if not kept.is_file():
        notebook = nbformat.read(path, as_version=4)
        run(notebook, path.parent)
        for old in store.glob(f"{path.stem}.*.ipynb"):
            old.unlink()
        write_text(kept, nbformat.writes(notebook))
    return nbformat.read(kept, as_version=4)


def fingerprint(path, root):
    """16 hexadecimal digits that change with the notebook, the library's source and the shipped data."""
    library = (root / "tpainn_lite").rglob("*")
    inputs = [path, *sorted(p for p in library if p.suffix in (".py", ".js", ".css", ".wasm"))]
    inputs += sorted(p for p in (root / "data").rglob("*") if p.suffix in (".json", ".csv", ".xz", ".safetensors"))
    total = hashlib.sha256()
    for file in inputs:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]
