"""Whether one file holds labels of several kinds: some frames in Hartree, or with gradients, among others in eV."""

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.model.answers import Answers, full_stress
from tpainn_lite.reading.evidence import Slope, free_atom
from tpainn_lite.reading.oddities import LOOK, MIXTURE, REFUSED, Finding, labels_of, numbers_of

CERTAIN = 0.85  # correlation of one frame's labels with a potential's; less is no comparison
APART = 15.0  # times the ratio of most frames: no level of theory is so far from another
TURNED = 1 / 2  # of that ratio at least; near a minimum forces are small, and of any sign
LEAST = {"forces": 0.3, "stress": 0.005}  # eV/Å, eV/Å³; smaller ones may well have the other sign
SHARE = 0.1  # of the frames that can be compared; fewer are odd frames, no kind of their own
TOTAL = (0.8, 1.25)  # energies of all electrons, in units of those of free atoms
GAP, WIDER = 3.0, 10.0  # eV, and times the spread of each side: no potential's errors leave such a hole


def find_mixture(frames: Sequence[Atoms], sample: Mapping[int, Atoms], answers: Answers) -> list[Finding]:
    """Frames whose labels differ from those of most frames as other units and signs do.

    Energies are looked at in all frames, forces and stress in the sample that a potential was asked about.

    >>> find_mixture([Atoms("H")], {}, Answers())
    []
    """
    found = [_of_energies(frames)]
    for label, said in (("forces", answers.forces), ("stress", answers.stress)):
        own = {k: values for k, values in labels_of(frames, label).items() if k in sample and k in said}
        slopes = {k: slope for k, values in own.items() if (slope := _slope(values, said[k], label))}
        found.append(_of_slopes(label, slopes, answers.name))
    return [row for row in found if row is not None]


def find_zeros(frames: Sequence[Atoms], answers: Answers) -> Finding | None:
    """Frames whose energies are counted from another zero than those of others of the same composition, as those of
    another level of theory are."""
    energies = labels_of(frames, "energy")
    alike: dict[str, list[int]] = {}
    for k in energies.keys() & answers.energy.keys():
        alike.setdefault(frames[k].get_chemical_formula(), []).append(k)
    odd, apart = [], 0.0
    for group in alike.values():
        index = np.array(group)
        left = np.array([float(energies[k]) - answers.energy[k] for k in group])
        if (hole := _hole(np.sort(left))) is not None:
            above = left > hole[0]
            odd += index[above if above.mean() <= 0.5 else ~above].tolist()
            apart = max(apart, hole[1])
    if not odd:
        return None
    words = f"up to {apart:.3g} eV from those of others of the same composition"
    share = len(odd) / len(energies)
    return _finding("energies of", np.sort(odd), words, share, "two levels of theory in the same file")


def _hole(values: NDArray) -> tuple[float, float] | None:
    """(middle, width) of the widest hole between sorted values, two or more on each side; None where it is no hole."""
    gaps = np.diff(values)[1:-1]
    if not len(gaps):
        return None
    k = int(np.argmax(gaps)) + 2  # values below it
    width = float(values[k] - values[k - 1])
    is_hole = width > max(GAP, WIDER * values[:k].std(), WIDER * values[k:].std())
    return (float(values[k] + values[k - 1]) / 2, width) if is_hole else None


def _slope(values: NDArray, said: NDArray, label: str) -> float | None:
    """How many times a potential's one frame's labels are, with their sign; None where that means nothing."""
    values = full_stress(values) if label == "stress" else values
    slope = Slope.of(values.ravel(), said.ravel())
    if slope is None or abs(slope.correlation) < CERTAIN or np.sqrt(np.mean(said**2)) < LEAST[label]:
        return None
    return float(np.sign(slope.correlation) * slope.ratio)


def _of_slopes(label, slopes, name):
    """A finding about frames whose slope is another than that of most."""
    if len(slopes) < 2:
        return None
    values = np.array(list(slopes.values()))
    usual = float(np.median(values)) if (values > 0).mean() != 0.5 else float(np.median(values[values > 0]))
    ratio = values / usual
    odd = (np.abs(ratio) < 1 / APART) | (np.abs(ratio) > APART) | (ratio < -TURNED)
    if not odd.any():
        return None
    others = f"{np.median(values[odd]):.3g} × {name}'s, those of others {np.median(values[~odd]):.3g} ×"
    return _finding(f"{label} of", np.array(list(slopes))[odd], others, odd.mean())


def _of_energies(frames):
    """A finding about energies of all electrons beside others that are in no relation to them."""
    energies = {k: float(energy) for k, energy in labels_of(frames, "energy").items()}
    if len(energies) < 2:
        return None
    table: dict[int, float] = {}
    index, ratio = np.array(list(energies)), np.zeros(len(energies))
    for place, (k, energy) in enumerate(energies.items()):
        numbers, counts = np.unique(frames[k].numbers, return_counts=True)
        expected = sum(n * table.setdefault(z, free_atom(z)) for z, n in zip(numbers.tolist(), counts, strict=True))
        ratio[place] = energy / expected
    whole = (ratio > TOTAL[0]) & (ratio < TOTAL[1])
    odd = ~whole & ((ratio < 1 / APART) | (ratio > APART))
    if not odd.any() or not whole.any():
        return None
    words = f"{np.median(ratio[odd]):.3g} × what free atoms have, those of others {np.median(ratio[whole]):.3g} ×"
    return _finding("energies of", index[odd], words, min(odd.mean(), whole.mean()))


def _finding(what, frames, words, share, reason="other units or signs in the same file"):
    verdict = REFUSED if share >= SHARE else LOOK
    text = f"{what} {numbers_of(frames.tolist())} are {words}: {reason}"
    return Finding(MIXTURE, text, verdict, tuple(frames.tolist()))
