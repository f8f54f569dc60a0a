"""Which frames to keep: `distinct` drops copies, `diverse` picks those that differ most."""

import itertools

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from tpainn_lite.structures.arguments import DatasetError, check_counts, check_numbers, generator
from tpainn_lite.structures.checks import check_frames, check_values
from tpainn_lite.structures.geometry import check_extent
from tpainn_lite.structures.reading import frames_of, read_frames, write_frames  # noqa: F401  where they have always been
from tpainn_lite.structures.smiles import skeleton

LARGEST = 5000  # atoms in a frame; all distances between more would take a gigabyte


def distinct(frames, tolerance=0.02):
    """Drop frames that repeat an earlier one: same atoms, and all distances between them the same.

    Turned, shifted, mirrored and renumbered copies are found too, because sorted distances do not see the difference.

    Parameters
    ----------
    frames : list of ase.Atoms
        Molecules, or boxes (nearest images).
    tolerance : float
        Å; copies differ by less in every one of the sorted distances.

    Returns
    -------
    list of ase.Atoms
        The frames that stay, in the same order.

    >>> from tpainn_lite import molecule
    >>> len(distinct([molecule("CCO"), molecule("CCO"), molecule("CO")]))
    2
    """
    if tolerance is None or tolerance != np.inf:
        check_numbers(least=0, tolerance=tolerance)
    frames = list(frames) if hasattr(frames, "__iter__") and not isinstance(frames, (str, Atoms)) else frames
    if frames == []:
        return []
    _check(frames)
    alike, repeated = {}, set()
    for k, atoms in enumerate(frames):
        alike.setdefault((tuple(sorted(atoms.numbers)), bool(atoms.pbc.any())), []).append(k)
    for members in alike.values():
        distances = np.array([[0.0, *_sorted_distances(frames[k])] for k in members])  # (members, 1 + pairs) Å
        for a, b in sorted(cKDTree(distances).query_pairs(tolerance, p=np.inf)):
            if members[a] not in repeated:
                repeated.add(members[b])
    return [atoms for k, atoms in enumerate(frames) if k not in repeated]


def _sorted_distances(atoms):
    """(N (N − 1)/2,) Å, sorted within each pair of elements."""
    i, j = np.triu_indices(len(atoms), 1)
    pair = np.sort(np.stack([atoms.numbers[i], atoms.numbers[j]]), axis=0)  # (2, pairs)
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))[i, j]
    return distances[np.lexsort((distances, pair[1], pair[0]))]


def diverse(frames, n, seed=0):
    """Choose frames that differ most: each next one is the farthest from all chosen so far (farthest-point sampling).

    Distance is that of a fingerprint: for every pair of elements, how many pairs of atoms lie how far apart (smoothed,
    up to 6 Å).  Turned, shifted and renumbered copies have none.

    Parameters
    ----------
    n : int
        How many to choose.
    seed : int
        Of the first one.

    Returns
    -------
    list of ase.Atoms
        In the order they were chosen: the first ``m`` of them are the best ``m`` found.
    """
    _check(frames)
    check_counts(n=n)
    if n > len(frames):
        raise ValueError(f"{n} frames asked for; 1 to {len(frames)}, the size of the list, are possible")
    prints = _fingerprints(frames)  # (frames, bins)
    chosen = [int(generator(seed).integers(len(frames)))]
    nearest = np.full(len(frames), np.inf)
    while len(chosen) < n:
        nearest = np.minimum(nearest, ((prints - prints[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(nearest)))
    return [frames[k] for k in chosen]


def _check(frames):
    """Raise an error for what has no distances, or more of them than fit into memory."""
    check_frames(frames)
    for index, atoms in enumerate(frames):
        if not 0 < len(atoms) <= LARGEST:
            raise ValueError(f"frame {index} has {len(atoms)} atoms; 1 to {LARGEST} are possible")
        check_values(atoms, f"frame {index}")
        check_extent(atoms.positions, atoms.cell.array, atoms.pbc, f"frame {index}")


def _fingerprints(frames, farthest=6.0, width=0.15):
    """(frames, pairs of elements × distances): Gaussians on a grid, each pair of atoms weighted by 1/d."""
    elements = sorted({z for atoms in frames for z in atoms.numbers.tolist()})
    pairs = {pair: k for k, pair in enumerate(itertools.combinations_with_replacement(elements, 2))}
    grid = np.arange(0.6, farthest, width)
    prints = np.zeros((len(frames), len(pairs), len(grid)))
    for fingerprint, atoms in zip(prints, frames, strict=True):
        i, j = np.triu_indices(len(atoms), 1)
        d = atoms.get_all_distances(mic=bool(atoms.pbc.any()))[i, j]
        kind = np.array([pairs[tuple(sorted(pair))] for pair in zip(atoms.numbers[i], atoms.numbers[j], strict=True)])
        near, d = d < farthest, np.maximum(d, 1e-3)
        bumps = np.exp(-0.5 * ((grid - d[near, None]) / width) ** 2) / d[near, None]  # (pairs, grid)
        np.add.at(fingerprint, kind[near], bumps)
    return prints.reshape(len(frames), -1)


def split_by_molecule(frames, fractions=(0.8, 0.1, 0.1), seed=0):
    """Split so that all frames of a molecule stay together, however its ``info["smiles"]`` is written.

    Stereoisomers stay together too.  Where a frame has no SMILES, all frames of the same formula stay together.

    Parameters
    ----------
    fractions : sequence of float
        Sizes of the parts, counted in molecules; their sum does not matter.

    Returns
    -------
    tuple of list of ase.Atoms
        One list per fraction; every list gets at least one molecule.
    """
    check_frames(frames)
    _check_fractions(fractions)
    spelt = [atoms.info.get("smiles") or atoms.get_chemical_formula() for atoms in frames]
    if all(atoms.info.get("smiles") for atoms in frames):
        key = [skeleton(smiles) for smiles in spelt]
    else:
        key = spelt = [atoms.get_chemical_formula() for atoms in frames]
    first = {}  # molecule: the first of its spellings, by which molecules are ordered
    for molecule, words in zip(key, spelt, strict=True):
        first[molecule] = min(str(words), first.get(molecule, str(words)))
    molecules = sorted(first, key=first.get)
    if len(molecules) < len(fractions):
        raise DatasetError(f"{len(molecules)} molecules cannot be split into {len(fractions)} parts; add molecules")
    generator(seed).shuffle(molecules)
    ends, wanted = [0], np.round(np.cumsum(fractions) / np.sum(fractions) * len(molecules))
    for k in range(len(fractions)):  # at least one for each part, those still to come included
        ends.append(int(np.clip(wanted[k], ends[-1] + 1, len(molecules) - len(fractions) + 1 + k)))
    part_of = {molecule: int(np.searchsorted(ends, i, side="right")) - 1 for i, molecule in enumerate(molecules)}
    return tuple([f for f, k in zip(frames, key, strict=True) if part_of[k] == p] for p in range(len(fractions)))


def _check_fractions(fractions):
    if not isinstance(fractions, (list, tuple, np.ndarray)) or len(fractions) == 0:
        raise TypeError(f"fractions is {fractions!r}; a sequence of positive numbers is expected")
    check_numbers(above=0, **{f"fraction {k}": fraction for k, fraction in enumerate(fractions)})


def draw(frames, n, seed=0):
    """Draw ``n`` frames of as many different molecules as possible: what one would label first with a small budget.

    Frames are grouped by ``info["smiles"]``, however it is written; without it by ``info["trajectory"]``, the
    simulation they come from, and without both by their formula.

    Returns
    -------
    list of ase.Atoms
        One random frame of each molecule, molecules in random order; then a second one of each, and so on.
    """
    check_frames(frames)
    check_counts(n=n)
    if n > len(frames):
        raise ValueError(f"{n} frames asked for; 1 to {len(frames)}, the size of the list, are possible")
    turns = {}
    for i in generator(seed).permutation(len(frames)):
        turns.setdefault(_group(frames[i]), []).append(i)
    rounds = max(len(turn) for turn in turns.values())
    picked = [turn[k] for k in range(rounds) for turn in turns.values() if k < len(turn)]
    return [frames[i] for i in picked[:n]]


def _group(atoms):
    """What frames of one molecule, or of one simulation, have in common."""
    smiles = atoms.info.get("smiles")
    return skeleton(smiles) if smiles else str(atoms.info.get("trajectory") or atoms.get_chemical_formula())
