"""How many structures go through a potential at once: as many as the memory of its device holds.

Memory grows with what PaiNN keeps of each pair of atoms within the cutoff, and of each atom.  Their sum is the size of
a structure; what a GPU takes for one of that size is measured on two small batches, and on a CPU the sum is bounded.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from ase import Atoms

from tpainn_lite.model.graph import neighbour_pairs

SIZE_ON_CPU = 100_000  # pairs and atoms: some 1.3 GB where nothing is compiled, with 64 features
FILLED = 0.7  # of a GPU's free memory: atoms come closer to each other on the way
PROBE = 5_000  # pairs and atoms of the smaller batch that is measured; the larger one has so many times as many:
LARGER = 4


def size_of(atoms: Atoms, cutoff: float) -> int:
    """Ordered pairs of atoms within the cutoff (Å), and atoms.

    >>> from tpainn_lite import molecule
    >>> size_of(molecule("O"), 5.0)
    9
    """
    return len(neighbour_pairs(atoms, cutoff)[0]) + len(atoms)


def in_batches(sizes: Sequence[int], largest: int) -> list[list[int]]:
    """Numbers of structures, in their order, of which each batch is no larger than that, or has one alone.

    >>> in_batches([40, 50, 30, 200, 10], 100)
    [[0, 1], [2], [3], [4]]
    """
    batches: list[list[int]] = []
    filled = 0
    for number, size in enumerate(sizes):
        if batches and filled + size <= largest:
            batches[-1].append(number)
            filled += size
        else:
            batches.append([number])
            filled = size
    return batches


def largest_batch(
    structures: Sequence[Atoms], sizes: Sequence[int], device: torch.device, run: Callable[[list[Atoms]], object]
) -> int:
    """The size that a batch may have on a device: bounded on the CPU, measured on a GPU.

    Parameters
    ----------
    structures, sizes
        Those that are to be run, and `size_of` each.
    run
        Computes energies and forces of a list of structures.
    """
    if device.type != "cuda":
        return SIZE_ON_CPU
    lightest = int(np.argmin([size / len(atoms) for atoms, size in zip(structures, sizes, strict=True)]))
    n = 1 + PROBE // sizes[lightest]  # of the structure with the fewest pairs for each atom, which costs the most
    small, large = (_peak(device, run, [structures[lightest]] * k) for k in (n, LARGER * n))
    return size_that_fits(small, large, (LARGER - 1) * n * sizes[lightest], _free(device))


def size_that_fits(small: float, large: float, more: int, free: float) -> int:
    """What fits into ``free`` bytes, where a batch that is larger by ``more`` takes ``large`` bytes, not ``small``.

    >>> size_that_fits(small=2e6, large=14e6, more=1000, free=1e9)
    58333
    """
    each = max((large - small) / more, 1.0)
    fixed = max(0.0, small - each * more / (LARGER - 1))
    return max(1, int((FILLED * free - fixed) / each))


def _peak(device, run, structures):
    """Bytes that are taken on the way."""
    run(structures[:1])  # what is made once is not counted
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run(structures)
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _free(device):
    """Bytes of a GPU that nobody has, or that torch keeps for later."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
