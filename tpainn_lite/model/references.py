"""Reference energies in closed form: fitted on a training set, exchanged before fine-tuning."""

import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols

from tpainn_lite.model.potential import check_potential
from tpainn_lite.structures.checks import check_frames, check_labels, label_of
from tpainn_lite.structures.geometry import composition

HUBER, HUBER_ROUNDS = 1.345, 50  # outliers begin at so many standard deviations


def fit_atomref(frames, predicted=0.0):
    """Reference energies in closed form: least squares of (energy − predicted) on the composition, robustly.

    A pretrained potential may be right on all frames but one, and hundreds of eV off there; least squares would spoil
    every reference energy for that frame's sake.  So residuals beyond 1.345 standard deviations count linearly, not
    squared (Huber 1964, doi:10.1214/aoms/1177703732), by a few rounds of weighted least squares.

    Parameters
    ----------
    frames : list of labelled ase.Atoms
        The training set, and nothing else.
    predicted : float or numpy.ndarray (n,)
        What another model already says of these frames, in eV.

    Returns
    -------
    dict {atomic number: eV}
        Where the composition cannot tell the elements apart (pure water: two H for each O, always), the smallest
        energies that fit: their sum over a molecule is right, their parts mean nothing.

    >>> from tpainn_lite import load_molecules
    >>> sorted(fit_atomref(load_molecules("train")))
    [1, 6, 7, 8, 9]
    """
    elements, solution, _ = _fitted(frames, predicted)
    return dict(zip(elements, solution.tolist(), strict=True))


def composition_residual(frames, predicted=0.0):
    """What `fit_atomref` leaves of the energies of these frames, (n,) in eV."""
    return _fitted(frames, predicted)[2]


def _fitted(frames, predicted):
    """Elements, their energies, and what these leave (n,): Huber's regression by reweighted least squares."""
    check_labels(frames, need=("energy",))
    if not np.issubdtype(np.asarray(predicted).dtype, np.number) or np.shape(predicted) not in ((), (len(frames),)):
        raise ValueError(f"predicted is {predicted!r:.60}; a number in eV for each of {len(frames)} frames is expected")
    target = np.array([label_of(atoms, "energy") for atoms in frames]) - predicted  # (n,)
    elements, counts = composition(frames)
    weights, before = np.ones(len(target)), np.inf
    for _ in range(HUBER_ROUNDS):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(counts * root[:, None], target * root, rcond=1e-8)[0]
        residual = target - counts @ solution
        limit = HUBER * np.median(np.abs(residual)) / 0.6745  # eV; of a normal distribution the median is 0.6745 σ
        if limit < 1e-9 or np.abs(solution - before).max() < 1e-6:
            break
        weights, before = np.minimum(1.0, limit / np.maximum(np.abs(residual), 1e-12)), solution
    return elements, solution, residual


def composition_rank(frames):
    """How many reference energies these frames can tell apart: 1 for pure water, whatever the number of elements."""
    check_frames(frames)
    if not any(map(len, frames)):
        raise ValueError("the frames have no atoms; at least one is expected")
    return int(np.linalg.matrix_rank(composition(frames)[1]))


def rereference(potential, frames):
    """Fit the reference energies to (label − interaction energy), in place; elements without a label keep theirs."""
    check_potential(potential)
    check_labels(frames, need=("energy",))
    elements = {z: 0.0 for atoms in frames for z in atoms.numbers.tolist()}
    old = {z: e for z, e in enumerate(potential.atomref.tolist()) if e == e}
    unknown = sorted(elements.keys() - old.keys())
    if unknown:
        raise ValueError(
            f"the frames contain atomic numbers {unknown} that the pretrained potential has never seen; "
            "pretrain on molecules that contain them"
        )
    potential.set_atomref(dict.fromkeys(old, 0.0))
    interaction, _ = potential.predict(frames, forces=False)
    potential.set_atomref({**old, **fit_atomref(frames, interaction)})
    if len(elements) > 1 and composition_rank(frames) == 1:
        names = " and ".join(chemical_symbols[z] for z in sorted(elements))
        print(
            f"all frames have {names} in the same proportion: one energy per molecule was fitted, not one per element"
        )


def moved(frames, old, new):
    """The same frames, their energies moved from the reference energies of one potential to those of another."""
    frames = list(frames)
    if frames:
        check_labels(frames, need=("energy",), called="replay: ")
    shift = (new.atomref - old.atomref).cpu().numpy()  # eV by atomic number
    copies = [atoms.copy() for atoms in frames]
    for copy, atoms in zip(copies, frames, strict=True):
        old.check_elements(torch.as_tensor(atoms.numbers, dtype=torch.long))
        labels = dict(atoms.calc.results)
        copy.calc = SinglePointCalculator(copy, **labels | {"energy": labels["energy"] + shift[atoms.numbers].sum()})
    return copies
