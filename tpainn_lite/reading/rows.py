"""Text of other programs' files, line by line; errors name the line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import DatasetError

ISOTOPES = {"D": 2.01410177812, "T": 3.0160492779}  # amu
MOST_BYTES = 10**9  # of text in one file


def text_of(path: Path) -> str:
    """The whole text of a file, with line ends as Unix has them; `DatasetError` where it is too long."""
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DatasetError(f"{path.name} holds more than {MOST_BYTES / 1e9:g} GB of text; cut it into smaller files")
    return content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def atoms_from(names: Sequence[str], positions: NDArray, where: str) -> Atoms:
    """Atoms from the names of their elements, or their numbers; D and T are hydrogen with its isotope's mass.

    Parameters
    ----------
    positions
        (N, 3) Å.
    where
        In the file, for the error: "my.xyz, line 3".
    """
    numbers = [_number(name, where) for name in names]
    atoms = Atoms(numbers, np.reshape(positions, (-1, 3)))
    heavy = {k: ISOTOPES[name] for k, name in enumerate(names) if name in ISOTOPES}
    if heavy:
        masses = atoms.get_masses()
        masses[list(heavy)] = list(heavy.values())
        atoms.set_masses(masses)
    return atoms


def _number(name, where):
    known = 1 if name in ISOTOPES else int(name) if name.isdigit() else atomic_numbers.get(name.capitalize(), 0)
    if not 0 < known < len(atomic_numbers):
        raise DatasetError(f"{where}: {name!r} stands where the symbol of an element is expected")
    return known


def numbers_in(words: Sequence[str], where: str) -> NDArray:
    """Words as numbers (n,); 1.2D-3 and 1.2*^-3 are understood as Fortran and Mathematica mean them."""
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        pass
    try:
        return np.array([float(word.replace("*^", "e").replace("D", "e").replace("d", "e")) for word in words])
    except ValueError as error:
        raise DatasetError(f"{where}: a number is expected ({error})") from None


def xyz_blocks(path: Path) -> list[tuple[int, str, list[list[str]], list[str]]]:
    """[(number of its first line, comment, words of its atoms' lines, other lines)] of each frame of an .xyz file.

    Other lines are those that follow the last frame's atoms, up to a line with a number of atoms: QM9 has three.
    """
    lines = text_of(path).split("\n")
    blocks: list[tuple[int, str, list[list[str]], list[str]]] = []
    place = 0
    while place < len(lines):
        first = lines[place].strip()
        if not first.isdigit():
            if not blocks and first:
                raise DatasetError(f"{path.name}, line {place + 1}: {first[:40]!r}: a number of atoms is expected")
            if blocks and first:
                blocks[-1][3].append(lines[place])
            place += 1
            continue
        n = int(first)
        rows = [line.split() for line in lines[place + 2 : place + 2 + n]]
        if len(rows) < n or not all(len(row) >= 4 for row in rows) or n == 0:
            there = sum(len(row) >= 4 for row in rows)
            raise DatasetError(f"{path.name}, line {place + 1}: {n} atoms are announced, {there} lines of atoms follow")
        blocks.append((place + 1, lines[place + 1], rows, []))
        place += 2 + n
    return blocks
