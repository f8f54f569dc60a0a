"""Several potentials asked at once: where they disagree, none of them should be trusted.

Potentials that were trained on the same labels from different random numbers agree where the labels tell them what to
say, and disagree elsewhere (query by committee; for potentials: Artrith and Behler 2012,
doi:10.1103/PhysRevB.85.045439).
"""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.arguments import check_counts, generator
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.select import diverse


class Committee:
    """Potentials for the same elements, asked like one `Potential`.

    Parameters
    ----------
    potentials : list of Potential
        Three or more tell something.
    """

    def __init__(self, potentials):
        self.potentials = _members(potentials)

    def predict(self, frames, batch_size=64):
        """Mean energies (n,) in eV and a list of mean forces (N, 3) in eV/Å, as `Potential.predict`."""
        check_frames(frames)
        energies, forces = zip(*(potential.predict(frames, batch_size) for potential in self.potentials), strict=True)
        return np.mean(energies, axis=0), [np.mean(each, axis=0) for each in zip(*forces, strict=True)]

    def disagreement(self, frames, batch_size=64):
        """How far the members' forces lie apart, for the atom where that is farthest.

        Returns
        -------
        numpy.ndarray (n,)
            eV/Å: the largest over atoms of the standard deviation of the force, √⟨|F_k − ⟨F⟩|²⟩ over members k.
        """
        check_frames(frames)
        forces = (potential.predict(frames, batch_size)[1] for potential in self.potentials)
        return np.array([spread(np.stack(each)).max() for each in zip(*forces, strict=True)])

    def pick(self, frames, n, seed=0):
        """The frames most worth a dear label: of the 3n with the largest disagreement, n that differ most.

        Returns
        -------
        list of ase.Atoms
        """
        check_frames(frames)
        check_counts(n=n)
        generator(seed)
        if n > len(frames):
            raise ValueError(f"{n} of {len(frames)} frames asked for; 1 to {len(frames)} are possible")
        doubtful = np.argsort(-self.disagreement(frames), kind="stable")[: 3 * n]
        return diverse([frames[k] for k in doubtful], n, seed)

    def calculator(self, **settings):
        """For MD: the mean of all members, and how far they lie apart (settings of `PotentialCalculator`)."""
        return CommitteeCalculator(self.potentials, **settings)


def _members(potentials):
    """The list of members, after a look whether they can be asked the same."""
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


def spread(forces):
    """√⟨|F_k − ⟨F⟩|²⟩ over members: (members, N, 3) to (N,) in eV/Å."""
    return np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))


class CommitteeCalculator(Calculator):
    """Mean energy, forces and stress of several potentials; ``force_spread`` (N,) in eV/Å is among its results."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, potentials, **settings):
        super().__init__()
        self.members = [PotentialCalculator(potential, **settings) for potential in _members(potentials)]

    @property
    def level(self):
        """Name of the level of theory, as stored with each label."""
        return f"committee of {len(self.members)}: {self.members[0].level}"

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        for member in self.members:
            member.calculate(atoms, properties, system_changes)
        for name in self.members[0].results:
            self.results[name] = np.mean([member.results[name] for member in self.members], axis=0)
        self.results["energy"] = float(self.results["energy"])
        self.results["force_spread"] = spread(np.stack([member.results["forces"] for member in self.members]))
