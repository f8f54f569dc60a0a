"""Several potentials together: where they disagree, none of them should be trusted.

Potentials that were trained on the same labels from different random numbers agree where the labels determine what is
right, and disagree elsewhere (query by committee; for potentials: Artrith and Behler 2012,
doi:10.1103/PhysRevB.85.045439).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.arguments import check_counts, generator
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.select import diverse


class Committee:
    """Two or more potentials for the same elements, used like one `Potential`.

    Raises
    ------
    ValueError, TypeError
        They are not for the same elements, or fewer than two.

    >>> from tpainn_lite import load_pretrained, molecule
    >>> committee = Committee([load_pretrained("gas"), load_pretrained("gas_xtb")])
    >>> bool(committee.disagreement([molecule("O")])[0] > 0)
    True
    """

    def __init__(self, potentials: Sequence[Potential]) -> None:
        self.potentials = _members(potentials)

    def predict(self, frames: Sequence[Atoms], batch_size: int = 64) -> tuple[NDArray, list[NDArray]]:
        """Mean energies (n,) in eV and a list of mean forces (N, 3) in eV/Å, as `Potential.predict`."""
        check_frames(frames)
        energies, forces = zip(*(potential.predict(frames, batch_size) for potential in self.potentials), strict=True)
        return np.mean(energies, axis=0), [np.mean(each, axis=0) for each in zip(*forces, strict=True)]

    def disagreement(self, frames: Sequence[Atoms], batch_size: int = 64) -> NDArray:
        """How far the members' forces lie apart, (n,) in eV/Å: the largest over atoms of the standard deviation of the
        force, √⟨|F_k − ⟨F⟩|²⟩ over members k."""
        check_frames(frames)
        forces = (potential.predict(frames, batch_size)[1] or [] for potential in self.potentials)
        return np.array([spread(np.stack(each)).max() for each in zip(*forces, strict=True)])

    def pick(self, frames: Sequence[Atoms], n: int, seed: int | None = 0) -> list[Atoms]:
        """The frames most worth an expensive label: of the 3n with the largest disagreement, n that differ most."""
        check_frames(frames)
        check_counts(n=n)
        generator(seed)
        if n > len(frames):
            raise ValueError(f"n is {n}; 1 to {len(frames)}, the number of frames, is expected")
        doubtful = np.argsort(-self.disagreement(frames), kind="stable")[: 3 * n]
        return diverse([frames[k] for k in doubtful], n, seed)

    def calculator(self, **settings: Any) -> "CommitteeCalculator":
        """For MD: the mean of all members, and how far they lie apart (settings of `PotentialCalculator`)."""
        return CommitteeCalculator(self.potentials, **settings)


def _members(potentials):
    """The list of members, which must know the same elements."""
    if isinstance(potentials, (str, dict, Potential)) or not hasattr(potentials, "__iter__"):
        raise TypeError(f"potentials is a {type(potentials).__name__}; a list of at least 2 Potentials is expected")
    members = list(potentials)
    for k, member in enumerate(members):
        if not isinstance(member, Potential):
            raise TypeError(f"member {k} is a {type(member).__name__}; a Potential is expected")
        if member.elements != members[0].elements:
            raise ValueError(
                f"member {k} knows {', '.join(member.elements)}, member 0 {', '.join(members[0].elements)}; potentials "
                "for the same elements are expected"
            )
    if len(members) < 2:
        raise ValueError(f"{len(members)} potentials cannot disagree; at least 2 are expected")
    return members


def spread(forces: NDArray) -> NDArray:
    """√⟨|F_k − ⟨F⟩|²⟩ over members: (members, N, 3) to (N,) in eV/Å."""
    return np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))


class CommitteeCalculator(Calculator):
    """Mean energy, forces and stress of several potentials; ``force_spread`` (N,) in eV/Å is among its results."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as in ASE

    def __init__(self, potentials: Sequence[Potential], **settings: Any) -> None:
        super().__init__()
        self.members = [PotentialCalculator(potential, **settings) for potential in _members(potentials)]

    @property
    def level(self) -> str:
        """Name of the level of theory, as stored with each label."""
        return f"committee of {len(self.members)}: {self.members[0].level}"

    def calculate(
        self, atoms: Any = None, properties: Sequence[str] = ("energy",), system_changes: Sequence[str] = all_changes
    ) -> None:
        """Fill ``results``, as ASE's calculators do."""
        super().calculate(atoms, properties, system_changes)
        for member in self.members:
            member.calculate(atoms, properties, system_changes)
        for name in self.members[0].results:
            self.results[name] = np.mean([member.results[name] for member in self.members], axis=0)
        self.results["energy"] = float(self.results["energy"])
        self.results["force_spread"] = spread(np.stack([member.results["forces"] for member in self.members]))
