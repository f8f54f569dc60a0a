"""What a potential says of a sample of labelled frames, and how the labels compare with it and with each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import find_mic
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from tpainn_lite.model.graph import graphs_of, together
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import SMALL, load_pretrained
from tpainn_lite.reading.evidence import Slope
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import is_boxed

GAS = {atomic_numbers[symbol] for symbol in SMALL}  # that gas_xtb knows
WIDE = GAS | {14, 15, 16, 17, 35, 53}  # that gas_wide_xtb knows
RUN = 4  # frames of one composition that follow each other are taken together: their differences tell much
MOST_FRAMES, MOST_ATOMS = 48, 2000  # that a potential is asked about
MOST_EXPECTED = 20_000  # atoms, in frames of which the energy alone is asked
ODD = 10.0  # times the usual ratio of a frame's labels to a potential's
LEAST = 2  # differences of energies, and one step more
NEAR, FAR = 0.3, 0.6  # Å, root mean square over atoms: farther apart, the trapezoidal rule says nothing
ALONG = 0.5  # correlation; beyond it, changes of forces are along those of positions, and FAR is near enough


@dataclass
class Answers:
    """Energies (n,) eV, forces (N, 3) eV/Å and stress (3, 3) eV/Å³ of frames by a potential, by number of the frame."""

    name: str = ""
    energy: dict[int, float] = field(default_factory=dict)
    forces: dict[int, NDArray] = field(default_factory=dict)
    stress: dict[int, NDArray] = field(default_factory=dict)


def sample_of(frames: Sequence[Atoms]) -> list[int]:
    """Numbers of frames to look at closely: runs of four of one composition, evenly spaced over all of them."""
    keys = [atoms.numbers.tobytes() for atoms in frames]
    order = sorted(range(len(frames)), key=lambda k: (len(keys[k]), keys[k], k))
    runs = np.linspace(0, max(len(order) - RUN, 0), MOST_FRAMES // RUN).astype(int)
    places = list(dict.fromkeys(int(start) + k for start in runs for k in range(min(RUN, len(order)))))
    chosen: list[int] = []
    room = MOST_ATOMS
    for place in sorted(range(len(places)), key=_turn):  # a few of all sizes, where not all have room
        k = order[places[place]]
        if not chosen or len(frames[k]) <= room:
            chosen.append(places[place])
            room -= len(frames[k])
    return [order[place] for place in sorted(chosen)]


def _turn(place):
    """When a place in the sample is filled: run by run, those that halve the largest gap first."""
    return int(f"{place // RUN:010b}"[::-1], 2), place % RUN


def potential_for(frames: Sequence[Atoms]) -> tuple[str, Potential | None]:
    """(name, shipped potential) that knows all elements of some of these frames, or ("", None)."""
    elements = [set(np.unique(atoms.numbers).tolist()) for atoms in frames]
    known = [k for k, those in enumerate(elements) if those <= WIDE]
    if not known:
        return "", None
    name = "gas_xtb" if all(elements[k] <= GAS for k in known) else "gas_wide_xtb"
    if all(elements[k] == {1, 8} for k in known) and any(len(frames[k]) > 9 for k in known):
        name = "water_xtb"
    return name, load_pretrained(name)


def knows(potential: Potential, atoms: Atoms) -> bool:
    """Whether a potential knows all elements of a structure."""
    return {int(z) for z in np.unique(atoms.numbers)} <= {atomic_numbers[name] for name in potential.elements}


def ask(potential: Potential | None, sample: Mapping[int, Atoms], name: str = "") -> Answers:
    """What a potential says of frames, by number; of those that make no sense, or that it does not know, nothing.

    >>> from tpainn_lite import load_molecules
    >>> frames = load_molecules("valid")[:3]
    >>> list(ask(load_pretrained("gas"), {0: frames[0], 2: frames[2]}).energy)
    [0, 2]
    """
    answers = Answers(name)
    if potential is None:
        return answers
    asked = [k for k, atoms in sample.items() if knows(potential, atoms) and _is_sound(atoms)]
    graphs = graphs_of([sample[k] for k in asked], potential.cutoff, potential.dtype) if asked else []
    evaluator = potential.evaluator()
    compiled = evaluator.compiles(sum(graph.num_edges for graph in graphs))
    for k, graph in zip(asked, graphs, strict=True):
        said = evaluator.of_graph(together([graph]).to(potential.device), compiled)
        answers.energy[k] = float(said["energy"].item())
        answers.forces[k] = said["forces"].double().cpu().numpy()
        if is_boxed(sample[k]):
            answers.stress[k] = said["stress"].double().cpu().numpy().reshape(3, 3)
    return answers


def expect(potential: Potential, frames: Sequence[Atoms], answers: Answers) -> None:
    """Add energies of further frames to these answers, evenly spaced, up to so many atoms as take about a second."""
    share = max(1, -(-sum(map(len, frames)) // MOST_EXPECTED))
    others = [k for k in range(0, len(frames), share) if k not in answers.energy]
    asked = [k for k in others if knows(potential, frames[k]) and _is_sound(frames[k])]
    if asked:
        energies, _ = potential.predict([frames[k] for k in asked], forces=False)
        answers.energy |= dict(zip(asked, energies.tolist(), strict=True))


def _is_sound(atoms):
    try:
        check_structure(atoms)
    except ValueError:
        return False
    return True


# --- comparisons ---


def _alike(labels, said, both):
    """Numbers of the frames whose labels are about as many times a potential's as those of most frames."""
    if not both:
        return []
    sizes = np.array([[np.linalg.norm(of[k]) for of in (labels, said)] for k in both])
    ratio = sizes[:, 0] / np.maximum(sizes[:, 1], 1e-9)
    return [k for k, x in zip(both, ratio / max(np.median(ratio), 1e-12), strict=True) if x < ODD]


def force_slope(labels: dict[int, NDArray], answers: Answers) -> Slope | None:
    """Of labelled forces on a potential's; frames that are nothing like the others do not count."""
    both = _alike(labels, answers.forces, [k for k in labels if k in answers.forces])
    if not both:
        return None
    free = sum(max(labels[k].size - 6, 1) for k in both) / 2  # forces on neighbours are alike
    a, b = (np.concatenate([of[k].ravel() for k in both]) for of in (labels, answers.forces))
    return Slope.of(a, b, free)


def energy_slopes(sample: Mapping[int, Atoms], labels: dict[int, NDArray], answers: Answers) -> list[Slope | None]:
    """Of differences of labelled energies, between frames of one composition, on a potential's: as energies of the
    whole structure, and as energies of an atom."""
    both = [k for k in labels if k in answers.energy]
    if len(both) <= LEAST:
        return [None, None]
    formulas = np.unique([sample[k].get_chemical_formula() for k in both], return_inverse=True)[1]
    alike = formulas[:, None] == formulas
    rest = np.eye(len(both)) - alike / alike.sum(axis=1)
    free = round(np.trace(rest))
    own, said = (np.array([of[k] for k in both]) for of in (labels, answers.energy))
    if free < LEAST:
        return [None, None]
    return [Slope.of(rest @ values, rest @ said, free) for values in (own, own * [len(sample[k]) for k in both])]


@dataclass
class Steps:
    """From frames to others near them: work of the forces (n,) eV, change of energy (n,) eV, atoms (n,), and
    components of all changes of forces and positions."""

    work: NDArray
    change: NDArray
    n_atoms: NDArray
    forces: NDArray
    positions: NDArray

    def works(self) -> list[Slope | None]:
        """Of changes of energies on the work: as energies of the whole structure, and as energies of an atom."""
        free = len(self.work) - 1
        return [Slope.of(change, self.work, free) for change in (self.change, self.change * self.n_atoms)]

    def springs(self) -> Slope | None:
        """Of changes of forces on changes of positions, back: eV/Å²."""
        return Slope.of(-self.forces, self.positions, len(self.work) + 1)


def steps_between(sample: Mapping[int, Atoms]) -> Steps | None:
    """From each frame to the nearest of the three before it, if it is near enough; None where there are too few."""
    frames = [atoms for atoms in sample.values() if {"energy", "forces"} <= _labels(atoms).keys()]
    found = []
    for k, atoms in enumerate(frames):
        near = [step for other in frames[max(k - RUN + 1, 0) : k] if (step := _step(atoms, other)) is not None]
        if near:
            found.append(min(near, key=lambda step: np.mean(step[3] ** 2)))
    if len(found) <= LEAST:
        return None
    work, change, forces, moved = zip(*found, strict=True)
    n_atoms = np.array([len(x) for x in moved])
    return Steps(
        np.array(work),
        np.array(change),
        n_atoms,
        *(np.concatenate([np.ravel(x) for x in of]) for of in (forces, moved)),
    )


def _labels(atoms):
    return atoms.calc.results if atoms.calc is not None else {}


def _step(a, b):
    """(work of the forces from a to b, changes of energy, forces, positions), or None for frames that are too far."""
    if not np.array_equal(a.numbers, b.numbers) or not np.allclose(a.cell.array, b.cell.array, atol=1e-3):
        return None
    turn = np.eye(3)
    if a.pbc.any():
        moved = find_mic(b.positions - a.positions, a.cell, a.pbc)[0]
    else:
        x, y = (atoms.positions - atoms.positions.mean(axis=0) for atoms in (a, b))
        turn = _turned(y, x)
        moved = y @ turn - x
    moved = moved - moved.mean(axis=0)
    before, after = np.asarray(_labels(a)["forces"], float), np.asarray(_labels(b)["forces"], float) @ turn
    change = after - before
    is_along = abs(np.vdot(change, moved)) > ALONG * np.linalg.norm(change) * np.linalg.norm(moved)
    if not 0 < np.mean((moved**2).sum(axis=1)) < (FAR if is_along else NEAR) ** 2:
        return None
    work = -0.5 * float(((before + after) * moved).sum())
    return work, float(_labels(b)["energy"]) - float(_labels(a)["energy"]), change, moved


def _turned(y, x):
    """(3, 3): the rotation that brings y (N, 3) onto x, by Kabsch."""
    u, _, v = np.linalg.svd(y.T @ x)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v)) or 1]) @ v


def full_stress(stress: NDArray) -> NDArray:
    """(3, 3) from Voigt's six numbers, nine, or themselves."""
    return np.asarray(voigt_6_to_full_3x3_stress(stress)) if stress.shape == (6,) else stress.reshape(3, 3)


def stress_slopes(sample: Mapping[int, Atoms], labels: dict[int, NDArray], answers: Answers) -> list[Slope | None]:
    """Of labelled stress on a potential's: as it is, and as a virial, which is −V × stress."""
    both = _alike(labels, answers.stress, [k for k in labels if k in answers.stress])
    if not both:
        return [None, None]
    own = [full_stress(labels[k]) for k in both]
    said = np.concatenate([answers.stress[k].ravel() for k in both])
    as_virial = [-stress / sample[k].get_volume() for k, stress in zip(both, own, strict=True)]
    free = 3 * len(both)
    return [Slope.of(np.concatenate([x.ravel() for x in values]), said, free) for values in (own, as_virial)]
