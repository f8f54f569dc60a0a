"""Reference energies in closed form: fitted on a training set, exchanged before fine-tuning."""

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from tpainn_lite.model.graph import Graph, graphs_of
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.structures.checks import check_labels, label_of
from tpainn_lite.structures.geometry import composition_of
from tpainn_lite.structures.isolated import is_isolated, isolated_energies, without_isolated

HUBER, HUBER_ROUNDS = 1.345, 50  # outliers begin at so many standard deviations


def fit_atomref(frames: Sequence[Atoms], predicted: ArrayLike = 0.0) -> dict[int, float]:
    """Reference energies in closed form: least squares of (energy − predicted) on the composition, robustly.

    A pretrained potential may be right on all frames but one, and hundreds of eV off there; least squares would spoil
    every reference energy for that frame's sake.  So residuals beyond 1.345 standard deviations count linearly, not
    squared (Huber 1964, doi:10.1214/aoms/1177703732), by a few rounds of weighted least squares.

    Parameters
    ----------
    frames
        The labelled training set, and nothing else.  Isolated atoms decide where the others cannot.
    predicted
        (n,) or one for all, eV: what another model already says of these frames.

    Returns
    -------
    dict
        {atomic number: eV}.  Where the composition cannot tell the elements apart (pure water: two H for each O,
        always), the smallest energies that fit: their sum over a molecule is right, their parts mean nothing.

    Raises
    ------
    ValueError
        Frames without an energy, or not one prediction for each.

    >>> from tpainn_lite import load_molecules
    >>> sorted(fit_atomref(load_molecules("train")))
    [1, 6, 7, 8, 9]
    """
    check_labels(frames, need=("energy",))
    if not np.issubdtype(np.asarray(predicted).dtype, np.number) or np.shape(predicted) not in ((), (len(frames),)):
        raise ValueError(f"predicted is {predicted!r:.60}; a number in eV for each of {len(frames)} frames is expected")
    target = np.array([label_of(atoms, "energy") for atoms in frames]) - predicted  # (n,)
    kept = [k for k, atoms in enumerate(frames) if not is_isolated(atoms)] or list(range(len(frames)))
    return solve_atomref([frames[k].numbers for k in kept], target[kept], isolated_energies(frames))


def solve_atomref(
    numbers: Sequence[NDArray], target: NDArray, start: Mapping[int, float] | None = None
) -> dict[int, float]:
    """{atomic number: eV}: Huber's regression of energies (n,), by reweighted least squares, on the atomic ``numbers``
    (N,) of each structure.

    Of all that fit equally well, those nearest to ``start`` {atomic number: eV}, energies of isolated atoms, say.
    """
    elements, counts = composition_of(numbers)
    first = np.array([(start or {}).get(z, 0.0) for z in elements])  # (n_elements,) eV
    target = target - counts @ first
    weights, before = np.ones(len(target)), np.inf
    for _ in range(HUBER_ROUNDS):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(counts * root[:, None], target * root, rcond=1e-8)[0]
        residual = target - counts @ solution
        limit = HUBER * np.median(np.abs(residual)) / 0.6745  # eV; of a normal distribution the median is 0.6745 σ
        if limit < 1e-9 or np.abs(solution - before).max() < 1e-6:
            break
        weights, before = np.minimum(1.0, limit / np.maximum(np.abs(residual), 1e-12)), solution
    return dict(zip(elements, (first + solution).tolist(), strict=True))


def rereference(potential: Potential, frames: Sequence[Atoms]) -> None:
    """Fit the reference energies to (label − interaction energy), in place; elements without a label keep theirs.

    Raises
    ------
    ValueError
        Frames without an energy, or with elements that the potential does not know.

    >>> from tpainn_lite import load_molecules, load_pretrained
    >>> potential, frames = load_pretrained("gas"), load_molecules("train")[:10]
    >>> rereference(potential, frames)
    """
    check_potential(potential)
    check_labels(frames, need=("energy",))
    kept = without_isolated(frames)
    rereference_graphs(potential, graphs_of(kept, potential.cutoff, potential.dtype), isolated_energies(frames))


def rereference_graphs(
    potential: Potential, graphs: Sequence[Graph], isolated: Mapping[int, float] | None = None
) -> None:
    """`rereference`, of graphs that carry their energies; ``isolated`` are energies of single atoms, in eV.

    Where the composition cannot tell elements apart, the isolated atoms do.
    """
    numbers = [graph.atomic_numbers.numpy() for graph in graphs]
    elements, counts = composition_of(numbers)
    old = {z: energy for z, energy in enumerate(potential.atomref.tolist()) if energy == energy}
    unknown = sorted(set(elements) - old.keys())
    if unknown:
        raise ValueError(
            f"the frames contain atomic numbers {unknown} that the pretrained potential has never seen; "
            "pretrain on molecules that contain them"
        )
    potential.set_atomref(dict.fromkeys(old, 0.0))
    interaction, _ = potential.evaluator().of_graphs(graphs, forces=False)
    energies = np.array([graph.energy.item() for graph in graphs])  # (n,)
    potential.set_atomref({**old, **solve_atomref(numbers, energies - interaction, isolated)})
    if not isolated and len(elements) > 1 and np.linalg.matrix_rank(counts) == 1:
        names = " and ".join(chemical_symbols[z] for z in elements)
        print(
            f"all frames have {names} in the same proportion: one energy per molecule was fitted, not one per element"
        )
