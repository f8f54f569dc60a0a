"""The real QM9, from its own files: fetched where there is a network, or from a folder."""

import io
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Hartree

from tpainn_lite.structures.arguments import DatasetError, check_counts, generator
from tpainn_lite.structures.files import check_readable, path_of, write_bytes

LONGEST_BLOCK = 1000  # lines of one molecule in an SDF file
QM9_ROOT = Path("~/.cache/tpainn_lite/qm9")
QM9_FILES = ("gdb9.sdf", "gdb9.sdf.csv", "uncharacterized.txt")


def load_qm9(n: int | None = None, root: Path | str = QM9_ROOT, seed: int | None = 0) -> list[Atoms]:
    """The real QM9 (Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22): relaxed molecules, energies, no forces.

    Its three raw files are taken from ``root`` or its folder ``raw``, and fetched there first if they are missing.
    (PyTorch Geometric's ``QM9`` reads the same files but keeps energies in float32, in steps of 1 meV.)

    The energy is the electronic one in eV, U0 minus the zero-point energy, which is what a potential predicts;
    ``info`` has ``id`` (QM9's number), ``U0`` and ``zpve`` in eV.

    Parameters
    ----------
    n
        A uniform random sample of so many molecules; otherwise all 130,831 that QM9 calls consistent.

    Raises
    ------
    DatasetError
        No network and no files, or damaged ones; the message says where they belong.

    >>> methane, *others = load_qm9(100)  # doctest: +SKIP
    """
    if n is not None:
        check_counts(n=n)
    rng = generator(seed)
    folder = _qm9_files(path_of(root, "root").expanduser())
    try:
        energies = _qm9_energies(folder)
    except (OSError, ValueError, IndexError) as error:
        message = f"the tables in {folder} are not QM9's ({error}); remove them, to have them fetched again"
        raise DatasetError(message) from error
    if n is not None and n > len(energies):
        raise ValueError(f"n is {n}; 1 to {len(energies)} are possible")
    wanted = set(energies if n is None else rng.choice(list(energies), n, replace=False).tolist())
    return [_qm9_molecule(k, block, *energies[k]) for k, block in _sdf_blocks(folder / "gdb9.sdf") if k in wanted]


def _qm9_files(root):
    """The folder with QM9's raw files, fetched if need be."""
    for folder in (root, root / "raw"):
        if all((folder / name).exists() for name in QM9_FILES):
            return folder
    from torch_geometric.datasets import QM9  # knows where they are

    print(f"QM9 is not in {root}; fetching it (about 90 MB, once) ...")
    try:
        with zipfile.ZipFile(io.BytesIO(_fetched(QM9.raw_url))) as archive:
            for name in QM9_FILES[:2]:
                write_bytes(root / name, archive.read(name))
        write_bytes(root / QM9_FILES[2], _fetched(QM9.raw_url2))
    except (OSError, urllib.error.URLError, zipfile.BadZipFile, KeyError) as error:
        raise DatasetError(
            f"QM9 could not be fetched ({error}), and {root} does not hold {', '.join(QM9_FILES)}: bring them there "
            "from another machine, name their folder with root=..., or take the set that is shipped: "
            "load_molecules('train')"
        ) from error
    return root


def _fetched(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read(10**9)


def _qm9_energies(folder):
    """{number: [U0, zero-point energy] in Hartree} of the molecules that QM9 calls consistent."""
    lines = check_readable(folder / "gdb9.sdf.csv").read_text().splitlines()
    columns = [lines[0].split(",").index(name) for name in ("u0", "zpve")]
    listed = (line.split() for line in check_readable(folder / "uncharacterized.txt").read_text().splitlines())
    doubtful = {int(words[0]) for words in listed if len(words) > 2 and words[0].isdigit()}
    return {k: [float(lines[k].split(",")[c]) for c in columns] for k in range(1, len(lines)) if k not in doubtful}


def _sdf_blocks(path):
    """(number from 1, lines) of each molecule of an SDF file."""
    number: int = 1
    block: list[str] = []
    with open(check_readable(path), errors="replace") as file:
        for line in file:
            if line.startswith("$$$$"):
                yield number, block
                number, block = number + 1, []
            elif len(block) < LONGEST_BLOCK:
                block.append(line)
    if any(line.strip() for line in block):
        raise DatasetError(f"{path} ends in the middle of molecule {number}; remove it, to have it fetched again")


def _qm9_molecule(number, block, u0, zpve):
    try:
        rows = [line.split() for line in block[4 : 4 + int(block[3][:3])]]
        atoms = Atoms([row[3] for row in rows], np.array([row[:3] for row in rows], dtype=float))
    except (ValueError, IndexError, KeyError) as error:
        message = f"molecule {number} of gdb9.sdf cannot be read ({error}); remove the file, to have it fetched again"
        raise DatasetError(message) from error
    atoms.calc = SinglePointCalculator(atoms, energy=(u0 - zpve) * Hartree)
    atoms.info.update(id=number, U0=u0 * Hartree, zpve=zpve * Hartree, config_type="relaxed", source="QM9")
    atoms.info["level"] = "B3LYP/6-31G(2df,p)"
    return atoms
