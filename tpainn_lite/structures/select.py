"""Which frames to keep: `distinct` drops copies, `diverse` picks those that differ most, `draw` and
`split_by_molecule` see to it that frames of one molecule are not taken for independent ones."""

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from tpainn_lite.structures.arguments import DatasetError, check_counts, check_numbers, generator
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.geometry import all_distances
from tpainn_lite.structures.smiles import skeleton


def distinct(frames: Sequence[Atoms], tolerance: float = 0.02) -> list[Atoms]:
    """Drop frames that repeat an earlier one: same atoms, and all distances between them the same.

    Turned, shifted, mirrored and renumbered copies are dropped too, because sorted distances do not see the difference;
    the others stay in their order.

    Parameters
    ----------
    frames
        Molecules, or boxes (nearest images).
    tolerance
        Å; copies differ by less in every one of the sorted distances.

    Raises
    ------
    ValueError, TypeError
        A frame has no distances, or more than fit into memory.

    >>> from tpainn_lite import molecule
    >>> len(distinct([molecule("CCO"), molecule("CCO"), molecule("CO")]))
    2
    """
    if tolerance is None or tolerance != np.inf:
        check_numbers(least=0, tolerance=tolerance)
    frames = list(frames) if hasattr(frames, "__iter__") and not isinstance(frames, (str, Atoms)) else frames
    if frames == []:
        return []
    check_frames(frames)
    alike: dict[tuple, list[int]] = {}
    repeated: set[int] = set()
    for k, atoms in enumerate(frames):
        alike.setdefault((tuple(sorted(atoms.numbers)), bool(atoms.pbc.any())), []).append(k)
    for members in alike.values():
        distances = np.array([[0.0, *_sorted_distances(frames[k], k)] for k in members])  # (members, 1 + pairs) Å
        for a, b in sorted(cKDTree(distances).query_pairs(tolerance, p=np.inf)):
            if members[a] not in repeated:
                repeated.add(members[b])
    return [atoms for k, atoms in enumerate(frames) if k not in repeated]


def _sorted_distances(atoms, index):
    """(N (N − 1)/2,) Å, sorted within each pair of elements."""
    elements, distances = all_distances(atoms, f"frame {index}")
    return distances[np.lexsort((distances, elements[1], elements[0]))]


def diverse(frames: Sequence[Atoms], n: int, seed: int | None = 0) -> list[Atoms]:
    """Choose ``n`` frames that differ most: each next one is the farthest from all before (farthest-point sampling).

    Distance is that of a fingerprint: for every pair of elements, how many pairs of atoms lie how far apart (smoothed,
    up to 6 Å).  Turned, shifted and renumbered copies have none.

    They come in the order they were chosen: the first ``m`` of them are the choice of ``m``.

    Parameters
    ----------
    seed
        Of the first one.

    Raises
    ------
    ValueError, TypeError
        There are fewer frames, or one has no distances, or more than fit into memory.

    >>> from tpainn_lite import molecule
    >>> [atoms.info["smiles"] for atoms in diverse([molecule("CCO"), molecule("CCO", seed=1), molecule("O")], 2)]
    ['O', 'CCO']
    """
    check_frames(frames)
    _check_size(n, frames)
    prints = _fingerprints(frames)  # (frames, bins)
    chosen = [int(generator(seed).integers(len(frames)))]
    nearest = np.full(len(frames), np.inf)
    while len(chosen) < n:
        nearest = np.minimum(nearest, ((prints - prints[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(nearest)))
    return [frames[k] for k in chosen]


def _check_size(n, frames):
    check_counts(n=n)
    if n > len(frames):
        raise ValueError(f"n is {n}; 1 to {len(frames)}, the size of the list, are possible")


def _fingerprints(frames, farthest=6.0, width=0.15):
    """(frames, pairs of elements × distances): Gaussians on a grid, each pair of atoms weighted by 1/d."""
    elements = sorted({z for atoms in frames for z in atoms.numbers.tolist()})
    kinds = {pair: k for k, pair in enumerate(itertools.combinations_with_replacement(elements, 2))}
    grid = np.arange(0.6, farthest, width)
    prints = np.zeros((len(frames), len(kinds), len(grid)))
    for index, atoms in enumerate(frames):
        pairs, d = all_distances(atoms, f"frame {index}")
        kind = np.array([kinds[pair] for pair in zip(*pairs.tolist(), strict=True)], dtype=int)
        near, d = d < farthest, np.maximum(d, 1e-3)
        bumps = np.exp(-0.5 * ((grid - d[near, None]) / width) ** 2) / d[near, None]  # (pairs, grid)
        np.add.at(prints[index], kind[near], bumps)
    return prints.reshape(len(frames), -1)


def split_by_molecule(
    frames: Sequence[Atoms], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int | None = 0
) -> tuple[list[Atoms], ...]:
    """Split so that all frames of a molecule stay together, however its ``info["smiles"]`` is written.

    Stereoisomers stay together too.  Where a frame has no SMILES, all frames of the same formula stay together.

    One list comes for each fraction, with at least one molecule.

    Parameters
    ----------
    fractions
        Sizes of the parts, counted in molecules; their sum does not matter.

    Raises
    ------
    DatasetError
        There are fewer molecules than parts.

    >>> from tpainn_lite import molecule
    >>> train, test = split_by_molecule([molecule(smiles) for smiles in ("O", "C", "N")], (0.7, 0.3))
    >>> len(train), len(test)
    (2, 1)
    """
    check_frames(frames)
    if not isinstance(fractions, (list, tuple, np.ndarray)) or len(fractions) == 0:
        raise TypeError(f"fractions is {fractions!r}; a sequence of positive numbers is expected")
    check_numbers(above=0, **{f"fraction {k}": fraction for k, fraction in enumerate(fractions)})
    if all(atoms.info.get("smiles") for atoms in frames):
        spelt = [atoms.info["smiles"] for atoms in frames]
        keys = [skeleton(smiles) for smiles in spelt]
    else:
        keys = spelt = [atoms.get_chemical_formula() for atoms in frames]
    first: dict[str, str] = {}  # molecule: the first of its spellings, by which molecules are ordered
    for key, words in zip(keys, map(str, spelt), strict=True):
        first[key] = min(words, first.get(key, words))
    molecules = sorted(first, key=first.__getitem__)
    if len(molecules) < len(fractions):
        raise DatasetError(f"{len(molecules)} molecules cannot be split into {len(fractions)} parts; add molecules")
    generator(seed).shuffle(molecules)
    ends, wanted = [0], np.round(np.cumsum(fractions) / np.sum(fractions) * len(molecules))
    for k in range(len(fractions)):  # at least one for each part, those still to come included
        ends.append(int(np.clip(wanted[k], ends[-1] + 1, len(molecules) - len(fractions) + 1 + k)))
    part_of = {molecule: int(np.searchsorted(ends, i, side="right")) - 1 for i, molecule in enumerate(molecules)}
    return tuple([f for f, key in zip(frames, keys, strict=True) if part_of[key] == p] for p in range(len(fractions)))


def draw(frames: Sequence[Atoms], n: int, seed: int | None = 0) -> list[Atoms]:
    """Draw ``n`` frames of as many different molecules as possible: what one would label first with a small budget.

    Frames are grouped by ``info["smiles"]``, however it is written; without it by ``info["trajectory"]``, the
    simulation they come from, and without both by their formula.

    One random frame of each molecule comes first, molecules in random order; then a second one of each, and so on.

    Raises
    ------
    ValueError
        There are fewer frames.

    >>> from tpainn_lite import molecule
    >>> sorted(atoms.info["smiles"] for atoms in draw([molecule("O"), molecule("O", seed=1), molecule("C")], 2))
    ['C', 'O']
    """
    check_frames(frames)
    _check_size(n, frames)
    groups: dict[str, list[int]] = {}
    for i in generator(seed).permutation(len(frames)):
        info = frames[i].info
        key = (
            skeleton(info["smiles"])
            if info.get("smiles")
            else info.get("trajectory") or frames[i].get_chemical_formula()
        )
        groups.setdefault(str(key), []).append(i)
    rounds = itertools.zip_longest(*groups.values())
    return [frames[i] for i in itertools.chain.from_iterable(rounds) if i is not None][:n]
