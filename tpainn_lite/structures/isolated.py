"""Single atoms among the frames, as other programs' sets have them: their energies are references, and no more."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from tpainn_lite.structures.checks import has_label, label_of

ALONE = 8.0  # Å from its own images, where a single atom is one by itself


def is_isolated(atoms: Atoms) -> bool:
    """Whether it is one atom, far from its periodic images: its energy is a reference, and it has no neighbours.

    >>> is_isolated(Atoms("H")), is_isolated(Atoms("Ar", cell=[4, 4, 4], pbc=True))
    (True, False)
    """
    if len(atoms) != 1:
        return False
    sides = atoms.cell.lengths()[atoms.pbc]
    named = str(atoms.info.get("config_type", "")).replace("_", "").lower() == "isolatedatom"
    return named or not sides.size or bool(sides.min() > ALONE)


def isolated_energies(frames: Sequence[Atoms]) -> dict[int, float]:
    """{atomic number: eV} of the isolated atoms among frames, the mean where there are several of an element.

    >>> isolated_energies([Atoms("H")])
    {}
    """
    found: dict[int, list[float]] = {}
    for atoms in frames:
        if is_isolated(atoms) and has_label(atoms, "energy"):
            found.setdefault(int(atoms.numbers[0]), []).append(float(label_of(atoms, "energy")))
    return {z: float(np.mean(energies)) for z, energies in found.items()}


def without_isolated(frames: Sequence[Atoms]) -> list[Atoms]:
    """The frames that are more than one atom by itself; where all of them are single atoms, these.

    >>> len(without_isolated([Atoms("H"), Atoms("H2")]))
    1
    """
    return [atoms for atoms in frames if not is_isolated(atoms)] or list(frames)
