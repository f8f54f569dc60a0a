"""Reference energies in closed form: fitted on a training set, exchanged before fine-tuning."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from tpainn_lite.model.graph import Graph, graphs_of
from tpainn_lite.model.painn import MAX_ATOMIC_NUMBER
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.structures.arguments import shown
from tpainn_lite.structures.charges import total_charge
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
        Of frames with several charges, without what the charge itself counts (`Potential.charge_energies`).

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
    numbers, charges = [frames[k].numbers for k in kept], [total_charge(frames[k]) for k in kept]
    return solve_references(numbers, target[kept], isolated_energies(frames), charges)[0]


def solve_references(
    numbers: Sequence[NDArray], target: NDArray, start: Mapping[int, float] | None = None,
    charges: Sequence[int] = (0,),
) -> tuple[dict[int, float], tuple[float, float]]:  # fmt: skip
    """({atomic number: eV}, (a, b)): Huber's regression of energies (n,), by reweighted least squares, on the atomic
    ``numbers`` (N,) of each structure and, where there are several charges q, on q (two charges) or q and q² (more).

    Of all that fit equally well, those nearest to ``start`` {atomic number: eV}, energies of isolated atoms, say.
    """
    elements, counts = composition_of(numbers)
    first = np.array([(start or {}).get(z, 0.0) for z in elements])  # (n_elements,) eV
    target = target - counts @ first
    powers = [np.array(charges) ** n for n in (1, 2)[: len(set(charges)) - 1]]  # none, q, or q and q²
    counts = np.column_stack([counts, *powers])
    if powers:
        found = ", ".join(f"{q:+d}" if q else "0" for q in sorted(set(charges)))
        print(f"the charges are {found}: an energy {('a·q', 'a·q + b·q²')[len(powers) - 1]} is fitted to them, too")
    weights, before = np.ones(len(target)), np.inf
    for _ in range(HUBER_ROUNDS):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(counts * root[:, None], target * root, rcond=1e-8)[0]
        residual = target - counts @ solution
        limit = HUBER * np.median(np.abs(residual)) / 0.6745  # eV; of a normal distribution the median is 0.6745 σ
        if limit < 1e-9 or np.abs(solution - before).max() < 1e-6:
            break
        weights, before = np.minimum(1.0, limit / np.maximum(np.abs(residual), 1e-12)), solution
    of_atoms, of_charge = np.split(solution, [len(elements)])
    a, b = [*of_charge.tolist(), 0.0, 0.0][:2]
    return dict(zip(elements, (first + of_atoms).tolist(), strict=True)), (a, b)


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
    graphs = graphs_of(kept, potential.cutoff, potential.dtype)
    rereference_graphs(potential, graphs, isolated_energies(frames), [total_charge(atoms) for atoms in kept])


def rereference_graphs(
    potential: Potential, graphs: Sequence[Graph], isolated: Mapping[int, float] | None = None,
    charges: Sequence[int] = (0,),
) -> None:  # fmt: skip
    """`rereference`, of graphs that carry their energies; ``isolated`` are energies of single atoms, in eV, and
    ``charges`` those of the structures.

    Where the composition cannot tell elements apart, the isolated atoms do.
    """
    numbers = [graph.atomic_numbers.numpy() for graph in graphs]
    elements, counts = composition_of(numbers)
    old = {z: energy for z, energy in enumerate(potential.atomref.tolist()) if energy == energy}
    unknown = sorted(set(elements) - old.keys())
    if unknown:
        strange = ", ".join(chemical_symbols[z] for z in unknown)
        raise ValueError(
            f"the frames contain {strange}, which the pretrained potential has never seen: pretrain on "
            f"molecules that contain them, or let them begin as similar elements, new_elements={similar(unknown, old)}"
        )
    potential.set_atomref(dict.fromkeys(old, 0.0))
    interaction, _ = potential.evaluator().of_graphs(graphs, forces=False)
    energies = np.array([graph.energy.item() for graph in graphs])  # (n,)
    atomref, of_charge = solve_references(numbers, energies - interaction, isolated, charges)
    potential.set_atomref({**old, **atomref})
    potential.of_charge.copy_(torch.tensor(of_charge))
    if not isolated and len(elements) > 1 and np.linalg.matrix_rank(counts) == 1:
        names = " and ".join(chemical_symbols[z] for z in elements)
        print(
            f"all frames have {names} in the same proportion: one energy per molecule was fitted, not one per element"
        )


def similar(elements: Iterable[int], known: Iterable[int]) -> dict[str, str]:
    """{symbol: symbol} of one of the ``known`` elements in the same group of the periodic table, or nearest to it.

    >>> similar([34], [1, 6, 16])
    {'Se': 'S'}
    """
    elements, known = (_atomic_numbers(name, given) for name, given in (("elements", elements), ("known", known)))
    to_noble_gas = {z: next(noble for noble in (2, 10, 18, 36, 54, 86, 118) if noble >= z) - z for z in range(1, 119)}
    nearest = {z: min(known, key=lambda k: (abs(to_noble_gas[k] - to_noble_gas[z]), abs(k - z))) for z in elements}
    return {chemical_symbols[z]: chemical_symbols[k] for z, k in nearest.items()}


def _atomic_numbers(name, given):
    numbers = list(given) if np.iterable(given) else []
    if not numbers or not all(isinstance(z, (int, np.integer)) and 1 <= z <= 118 for z in numbers):
        raise ValueError(f"{name} is {shown(given)}; atomic numbers, 1 to 118, are expected")
    return numbers


def with_elements(potential: Potential, new_elements: Mapping[str, str]) -> Potential:
    """A copy that knows more elements, each of which begins as one that the potential has learnt.

    Nothing is known of a new element but its likeness: forces on it are those on the other until frames with it are
    trained on, classical ones first where there is a force field for them, then the few from DFT.

    Parameters
    ----------
    new_elements
        {new symbol: known symbol}, as `similar` proposes them.

    Raises
    ------
    ValueError
        Symbols of no element, a new one that is known already, or a known one that is not.

    >>> from tpainn_lite import load_pretrained
    >>> with_elements(load_pretrained("gas"), {"S": "O"}).elements
    ['H', 'C', 'N', 'O', 'F', 'S']
    """
    check_potential(potential)
    if not isinstance(new_elements, Mapping) or not all(
        isinstance(s, str) for pair in new_elements.items() for s in pair
    ):
        raise TypeError(f'new_elements is {new_elements!r}; a dict of symbols such as {{"Se": "S"}} is expected')
    grown, known = deepcopy(potential), potential.elements
    for new, old in new_elements.items():
        if new not in chemical_symbols[1 : MAX_ATOMIC_NUMBER + 1] or new in known or old not in known:
            raise ValueError(
                f"{new!r} cannot begin as {old!r}: a new element, and one of {', '.join(known)} are expected"
            )
        numbers = chemical_symbols.index(new), chemical_symbols.index(old)
        with torch.no_grad():
            for table in (grown.painn.embedding.weight, grown.atomref):
                table[numbers[0]] = table[numbers[1]]
    return grown
