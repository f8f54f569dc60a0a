"""Checks of 05_liquid_water: pairs of random boxes, forces on random molecules, and the stored learning curves."""

import numpy as np
from ase import Atoms

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number, same_array
from tpainn_lite.simulate.liquid import split_force_errors, split_forces
from tpainn_lite.structures.identity import fingerprint

INERTIA = "is it I = Σ m (x² 1 − x xᵀ), summed over the atoms?"


@exercise("05.1")
def pairs_of_an_even_liquid(n_pairs, box):
    number, n = one_number(n_pairs), len(box)
    sphere, density = 4 / 3 * np.pi * 5.0**3, n / box.get_volume()
    right = n * density * sphere
    mistakes = {
        "these are the neighbours of one atom; the pairs of all atoms are asked for": density * sphere,
        "yours has each pair once; the list has it twice, from both of its ends": right / 2,
        "the radius of the sphere is the cutoff of 5 Å, not half of it": right / 8,
    }
    for sentence, wrong in mistakes.items():
        if abs(number / wrong - 1) < 0.15:
            raise Wrong(sentence)
    if abs(number / right - 1) < 0.012:  # n (n - 1) pairs of atoms are right as well
        return
    if number == len(tp.graph.neighbour_pairs(box, 5.0)[0]):
        raise Wrong("this is what the graph of this one box lists; the number for an even liquid is asked for")
    close(number, right, 0.012 * right)


@exercise("05.2")
def minimum_image_pairs(answer):
    is_function(answer, "(positions, width, cutoff) -> (idx_i, idx_j, r_ij)")
    rng = np.random.default_rng()
    for n_atoms, cutoff in ((12, 3.0), (40, 4.0), (1, 2.0)):
        width = rng.uniform(2.05, 2.5) * cutoff
        positions = rng.uniform(-1.5 * width, 1.5 * width, size=(n_atoms, 3))  # some atoms have left the box
        before = positions.copy()
        given = answer(positions, width, cutoff)
        if not np.array_equal(positions, before):
            raise Wrong("your function changes the positions that it is given")
        if not isinstance(given, (tuple, list)) or len(given) != 3:
            raise Wrong("your function returns something else than three arrays; (idx_i, idx_j, r_ij) is expected")
        box = Atoms(numbers=[8] * n_atoms, positions=positions, cell=[width] * 3, pbc=True)
        once = pairs_of_one_shift(positions, width, cutoff)
        same_pairs(given, tp.graph.neighbour_pairs(box, cutoff), cutoff, once)


@exercise("05.3")
def two_shares(two_answers, counts, energies):
    pairs = np.asarray(two_answers, dtype=float)
    if pairs.shape != (2, 2):
        raise Wrong(f"two pairs are expected, [(H, O), (H, O)]; yours have the shape {pairs.shape}")
    for name, pair in zip(("first", "second"), pairs, strict=True):
        off = np.abs(counts @ pair - energies).mean()
        if not off < 2.0:
            swapped = np.abs(counts @ pair[::-1] - energies).mean() < 2.0
            why = ": is H first, and then O?" if swapped else ""
            raise Wrong(f"your {name} pair is off by {off:.0f} eV for each box{why}")
    if abs(pairs[0, 0] - pairs[1, 0]) < 1:
        raise Wrong("your two pairs are nearly the same; energies of H that are 1 eV apart or more are asked for")


@exercise("05.4")
def push_turn_deform(answer):
    is_function(answer, "(positions, masses, forces) -> (push, turn, deform)")
    rng = np.random.default_rng()
    for n_atoms in (3, 5):
        positions, forces = rng.normal(size=(2, n_atoms, 3))
        positions += 10 * rng.normal(size=3)  # the molecule is somewhere
        masses = rng.uniform(1, 16, size=n_atoms)
        try:
            given = answer(positions.copy(), masses.copy(), forces.copy())
        except np.linalg.LinAlgError:
            raise Wrong(f"your tensor of inertia of {n_atoms} atoms has no inverse: {INERTIA}") from None
        if not isinstance(given, (tuple, list, np.ndarray)) or len(given) != 3:
            raise Wrong("your function returns something else than three arrays; (push, turn, deform) is expected")
        right_split([np.asarray(part, dtype=float) for part in given], positions, masses, forces)


@exercise("05.5")
def boxes_for_the_same_error(boxes_needed):
    number = one_number(boxes_needed)
    rows = [r for r in tp.load_results("water")["rows"] if (r["case"], r["subset"]) == ("curve", "later")]
    sizes = sorted({r["n_train"] for r in rows if r["method"] == "scratch_atomref"})
    goal, *errors = (
        tp.mean_error(rows, "between_mae", method=method, n_train=n)
        for method, n in (("tpainn_iamoeba", 5), *(("scratch_atomref", n) for n in sizes))
    )
    right = np.exp(np.interp(-np.log(goal), -np.log(errors), np.log(sizes)))
    if not right / 1.5 < number < right * 1.5:
        raise Wrong(f"{number:.4g} boxes are too {'many' if number > right else 'few'}; read the second plot")


@exercise("05.6")
def smaller_between(mine, tuned, test):
    if not isinstance(mine, (tuple, list)) or len(mine) != 2 or not hasattr(mine[0], "predict"):
        raise Wrong("two things are expected: a trained potential, and the list of boxes that it was trained on")
    potential, boxes = mine
    trained_on(potential, boxes, test)
    own, before = (split_force_errors(model.predict(test)[1], test)["between_mae"] for model in (potential, tuned))
    if own >= 0.9 * before:
        raise Wrong(
            f"between molecules your error is {own:.1f} meV/Å; less than nine tenths of {before:.1f} are wanted"
        )
    print(f"between molecules {own:.1f} meV/Å, with {len(boxes)} DFT boxes")


def trained_on(potential, boxes, test):
    """The boxes are those that the potential says it was trained on, and none of them is tested on."""
    if not isinstance(boxes, (list, tuple)) or not boxes or not all(isinstance(box, Atoms) for box in boxes):
        raise Wrong("the second of your two things is to be the list of DFT boxes that were trained on")
    prints = {fingerprint(box) for box in boxes}
    if leaked := prints & {fingerprint(box) for box in test}:
        raise Wrong(f"{len(leaked)} of your boxes are tested on; draw labels from pool alone")
    difference = getattr(potential, "difference", None)  # of Δ-learning, whose frames are labelled by a difference
    said = getattr(difference or potential, "metadata", {})
    if said.get("n_train") != len(boxes) or (difference is None and said.get("labels") != fingerprint(prints)):
        raise Wrong(f"your potential was trained on other boxes than your list of {len(boxes)}: give both as they were")


# --- pairs ---


def is_function(answer, signature):
    if not callable(answer):
        raise Wrong(f"a function {signature} is expected")


def pairs_of_one_shift(positions, width, cutoff):
    """The pairs that are found where each atom is moved by one width at most, though it may be several away."""
    r = positions[None] - positions[:, None]
    r = r - width * np.clip(np.round(r / width), -1, 1)
    near = (np.linalg.norm(r, axis=2) < cutoff) & ~np.eye(len(positions), dtype=bool)
    return set(zip(*(index.tolist() for index in np.nonzero(near)), strict=True))


def same_pairs(given, right, cutoff, once):
    """The same rows in any order; ``once`` are those that a single shift finds."""
    idx_i, idx_j = (np.asarray(index).astype(int) for index in given[:2])
    r_ij = np.asarray(given[2], dtype=float) if len(idx_i) else np.zeros((0, 3))
    if idx_i.ndim != 1 or idx_i.shape != idx_j.shape or r_ij.shape != (len(idx_i), 3):
        shapes = ", ".join(str(np.shape(part)) for part in given)
        raise Wrong(f"your arrays have the shapes {shapes}; (E,), (E,), (E, 3) is expected")
    if np.any(idx_i == idx_j):
        raise Wrong("an atom is its own neighbour; leave out i = j")
    if np.any(np.linalg.norm(r_ij, axis=1) > cutoff):
        raise Wrong("some of your r_ij are longer than the cutoff")
    mine, theirs = (
        dict(zip(zip(*rows[:2], strict=True), rows[2], strict=True)) for rows in ((idx_i, idx_j, r_ij), right)
    )
    if len(mine) < len(idx_i):
        raise Wrong("a pair stands in your list more than once from the same end")
    if mine and 2 * len(mine) == len(theirs) and not any(pair[::-1] in mine for pair in mine):
        raise Wrong("you list each pair once; it belongs there twice, from both of its ends")
    if mine.keys() < theirs.keys() and mine.keys() == once:
        raise Wrong(
            f"{len(theirs) - len(mine)} of {len(theirs)} pairs are missing: an atom that is several widths away needs "
            "more than one shift by the width"
        )
    if mine.keys() < theirs.keys():
        raise Wrong(
            f"{len(theirs) - len(mine)} of {len(theirs)} pairs are missing: are the images of all atoms looked at?"
        )
    if mine.keys() != theirs.keys():
        raise Wrong("some pairs of your list are not within the cutoff, whatever image one takes")
    if mine and all(np.allclose(mine[pair], -theirs[pair]) for pair in mine):
        raise Wrong("your r_ij point the wrong way: from atom i to atom j is expected")
    order = sorted(theirs)
    same_array(
        [mine[pair] for pair in order], [theirs[pair] for pair in order], "your array r_ij, sorted by its atoms,"
    )


# --- molecules ---


def right_split(given, positions, masses, forces):
    names = ("push", "turn", "deform")
    for name, part in zip(names, given, strict=True):
        if part.shape != forces.shape:
            raise Wrong(f"your {name} has the shape {part.shape}; {forces.shape} is expected")
    push, turn, deform = given
    weight = (masses / masses.sum())[:, None]
    if np.allclose(push, forces.mean(axis=0)):
        raise Wrong("you share the push equally; a rigid body shares it by mass, so that all atoms accelerate alike")
    same_array(push, weight * forces.sum(axis=0), "your push")
    right = split_forces(Atoms(numbers=[1] * len(masses), positions=positions, masses=masses), forces, len(masses))
    if np.allclose(turn, -right["turn"]):
        raise Wrong("your turn has the wrong sign: α × x, with the torque x × F")
    if np.abs(turn.sum(axis=0)).max() > 1e-6 * max(1, np.abs(turn).max()):
        raise Wrong("your turn pushes the molecule: are the positions taken from the centre of mass?")
    arms = positions - (weight * positions).sum(axis=0)
    if not np.allclose(np.cross(arms, turn - forces).sum(axis=0), 0, atol=1e-6):
        raise Wrong(f"your turn does not carry the torque of the forces: {INERTIA}")
    same_array(turn, right["turn"], "your turn")
    same_array(push + turn + deform, forces, "the sum of your three parts, which should be the forces,")
