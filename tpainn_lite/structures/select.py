"""Which frames to keep: `distinct` drops copies, `diverse` picks those that differ most."""

import itertools

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from tpainn_lite.structures.checks import check_counts, check_extent, check_frames, check_numbers, check_values, generator

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
