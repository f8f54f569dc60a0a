"""When not to trust a potential: structures that are not like those it was trained or tested on.

A network answers every question.  Three signs that it guesses: an element that it does not know; two atoms at a
distance at which it has met none of their elements, too near, or neither bonded nor apart; and the members of a
committee that disagree more than they do on known structures.  Not every guess shows one of them: how many frames of
reactions are doubted by committees that know whole molecules alone is measured in ``benchmarks/reactions.py``.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from tpainn_lite.model.committee import Committee
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.geometry import near_distances

REACH, SLACK = 3.0, 0.08  # Å, within which distances count; the share by which one may differ from a known one
USUAL, MARGIN = 0.95, 1.5  # the share of known frames that disagree less than is usual; how many times that is too much


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

    ``limit`` (eV/Å) is the disagreement beyond which a structure is doubted: 1.5 × that below which 95 % of ``known``
    are (of fewer than twenty, the largest).

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
        self.distances: dict[tuple[int, int], NDArray] = {}  # {(element, element): Å, sorted}
        for atoms in frames:
            for pair, found in near_distances(atoms).items():
                near = found[: max(1, np.searchsorted(found, REACH * (1 + SLACK)))]  # the nearest, if it is far
                self.distances[pair] = np.union1d(self.distances.get(pair, []), near)
        usual = np.quantile(committee.disagreement(known), USUAL, method="higher")
        self.limit = MARGIN * float(usual)

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
        for pair, found in near_distances(atoms, REACH).items():
            known = self.distances.get(pair, np.array([]))
            if gap := _widest_gap(found, known):
                names = " and ".join(chemical_symbols[z] for z in pair)
                reasons.append(f"{names} are {gap[0]:.2f} Å apart; {gap[1]}")
        return reasons


def _widest_gap(found, known):
    """The distance that is farthest from all known ones, with what is known, if it is too far from them."""
    if not len(known):
        return None
    k = np.searchsorted(known, found)
    below, above = known[np.maximum(k - 1, 0)], known[np.minimum(k, len(known) - 1)]
    off = np.minimum(np.abs(below / found - 1), np.abs(above / found - 1))
    worst = int(off.argmax())
    if off[worst] <= SLACK:
        return None
    if k[worst] == 0:
        return found[worst], f"never nearer than {known[0]:.2f} Å before"
    end = REACH if k[worst] == len(known) else above[worst]
    return found[worst], f"never between {below[worst]:.2f} and {end:.2f} Å before"


def _check_any(frames, called=""):
    """`check_frames`, where there may be none."""
    if not isinstance(frames, (list, tuple)) or frames:
        check_frames(frames, called)
