"""When not to trust a potential: structures that are not like those it was trained or tested on.

A network answers every question.  Three signs that it guesses: an element that it does not know, atoms nearer to each
other than any it has seen, and the members of a committee that disagree more than they do on known structures.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from tpainn_lite.model.committee import Committee
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.geometry import contacts

SLACK = 0.9  # of the closest contact that is known: so much nearer still counts as known
MARGIN = 1.5  # of the largest disagreement that is known


class Domain:
    """What a committee knows.

    Parameters
    ----------
    committee
        Its disagreement is judged.
    known
        Structures that it was trained on or, better, whose labels agreed with it: they set what is usual.
    trained
        Others that it was trained on: their elements and distances are known as well, but not how far to disagree.

    ``limit`` (eV/Å) is the disagreement beyond which a structure is doubted: 1.5 × the largest on ``known``.

    >>> from tpainn_lite import Committee, load_pretrained, molecule
    >>> committee = Committee([load_pretrained("gas"), load_pretrained("gas_xtb")])
    >>> Domain(committee, known=[molecule("O")]).doubts([molecule("N")])[0][0]
    'element N is in none of the known frames'
    """

    def __init__(self, committee: Committee, known: Sequence[Atoms], trained: Sequence[Atoms] = ()) -> None:
        if not hasattr(committee, "disagreement"):
            raise TypeError(f"committee is a {type(committee).__name__}; a Committee is expected")
        if isinstance(known, (list, tuple)) and not known:
            raise ValueError("no known structures were given; those that the committee was tested on are expected")
        check_frames(known, "known: ")
        _check_any(trained, "trained: ")
        self.committee = committee
        frames = [*known, *trained]
        self.elements = {int(z) for atoms in frames for z in atoms.numbers}
        self.closest: dict[tuple[int, int], float] = {}  # {(element, element): Å}
        for atoms in frames:
            for pair, distance in contacts(atoms).items():
                self.closest[pair] = min(distance, self.closest.get(pair, np.inf))
        self.limit = MARGIN * float(committee.disagreement(known).max())

    def doubts(self, frames: Sequence[Atoms]) -> list[list[str]]:
        """For each frame the reasons not to trust the potential there; none, where it is like what is known."""
        _check_any(frames)
        doubts = [self._doubts(atoms) for atoms in frames]
        ask = [k for k, atoms in enumerate(frames) if self.elements.issuperset(atoms.numbers.tolist())]
        spread: Iterable[float] = self.committee.disagreement([frames[k] for k in ask]) if ask else ()
        for k, disagreement in zip(ask, spread, strict=True):
            if disagreement > self.limit:
                doubts[k].append(
                    f"the committee disagrees by {disagreement:.3f} eV/Å; at most {self.limit:.3f} is usual"
                )
        return doubts

    def _doubts(self, atoms):
        """Reasons that the structure itself gives."""
        unknown = sorted({int(z) for z in atoms.numbers} - self.elements)
        reasons = [f"element {chemical_symbols[z]} is in none of the known frames" for z in unknown]
        for (a, b), distance in contacts(atoms).items():
            usual = self.closest.get((a, b))
            if usual and distance < SLACK * usual:
                names = f"{chemical_symbols[a]} and {chemical_symbols[b]}"
                reasons.append(f"{names} are {distance:.2f} Å apart; never nearer than {usual:.2f} Å before")
        return reasons


def _check_any(frames, called=""):
    """`check_frames`, where there may be none."""
    if not isinstance(frames, (list, tuple)) or frames:
        check_frames(frames, called)
