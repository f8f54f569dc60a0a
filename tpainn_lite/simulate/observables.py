"""Numbers that judge a potential: arrays in, numbers out."""

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from scipy.constants import Boltzmann

from tpainn_lite.structures.arguments import check_counts, check_numbers, finite_numbers
from tpainn_lite.structures.geometry import check_extent, search_pairs


def energy_drift(times, energies, n_atoms):
    """Slope of the total energy of an NVE run, in meV per atom and ps, by least squares.

    Parameters
    ----------
    times : array (n,)
        fs.
    energies : array (n,)
        Total energies in eV.
    """
    check_counts(n_atoms=n_atoms)
    times, energies = finite_numbers(times, "times"), finite_numbers(energies, "energies")
    if times.ndim != 1 or times.shape != energies.shape:
        raise ValueError(f"times and energies have shapes {times.shape} and {energies.shape}; (n,) twice is expected")
    if len(set(times.tolist())) < 2:
        raise ValueError(f"{len(times)} points have no slope; at least 2 are expected, at different times")
    slope = np.polyfit(times, energies, 1)[0]  # eV/fs
    return float(slope * 1e3 * 1e3 / n_atoms)


def rdf(frames, pair="OO", r_max=None, n_bins=100):
    """Radial distribution function g(r) of two elements in periodic boxes, averaged over frames.

    Parameters
    ----------
    pair : str or (str, str)
        "OO", "OH", or for longer symbols ("Na", "Cl").
    r_max : float, optional
        Å; half the narrowest box otherwise, the farthest that is right.

    Returns
    -------
    (numpy.ndarray (n_bins,), numpy.ndarray (n_bins,))
        Distances in Å, and g.
    """
    frames = list(frames) if isinstance(frames, Iterable) else []
    pair, width = _elements(pair), _narrowest(frames)
    check_counts(n_bins=n_bins)
    r_max = 0.499 * width if r_max is None else r_max
    check_numbers(above=0, r_max=r_max)
    if r_max > width / 2:
        raise ValueError(f"r_max is {r_max} Å; at most half the box, {width / 2:.2f} Å, is possible")
    edges = np.linspace(0, r_max, n_bins + 1)
    return (edges[1:] + edges[:-1]) / 2, np.mean([_rdf(atoms, pair, edges) for atoms in frames], axis=0)


def _elements(pair):
    """Atomic numbers of "OO" or ("Na", "Cl")."""
    if (
        not isinstance(pair, (str, tuple, list))
        or len(pair) != 2
        or any(symbol not in atomic_numbers for symbol in pair)
    ):
        raise ValueError(f'pair is {pair!r}; two elements are expected: "OO", "OH" or ("Na", "Cl")')
    return [atomic_numbers[symbol] for symbol in pair]


def _narrowest(frames):
    """Å between the nearest faces of all these boxes; ValueError for what is none."""
    if len(frames) == 0 or not all(isinstance(atoms, Atoms) and atoms.pbc.all() for atoms in frames):
        raise ValueError("boxes that are periodic in all directions are expected; a lone molecule has no density")
    for number, atoms in enumerate(frames):
        if not np.isfinite(atoms.positions).all():
            raise ValueError(f"frame {number}: a position is not a finite number; check where it came from")
        check_extent(np.zeros((1, 3)), atoms.cell.array, atoms.pbc, f"frame {number}")
    return min(1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1).max() for atoms in frames)


def _rdf(atoms, pair, edges):
    """g (n_bins,) of one frame: pairs found in each shell, over those that an even gas would have there."""
    centre, other = (atoms.numbers == element for element in pair)  # (N,) each
    n_pairs = centre.sum() * other.sum() - (centre & other).sum()  # no atom is its own neighbour
    if n_pairs == 0:
        symbols = " and ".join(chemical_symbols[element] for element in pair)
        raise ValueError(f"{atoms.symbols} has no pair of {symbols}; two atoms of these elements are expected")
    i, j, d = search_pairs("ijd", atoms, float(edges[-1]))
    found = np.histogram(d[centre[i] & other[j]], edges)[0]
    shells = 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)  # Å³
    return found / (n_pairs / atoms.get_volume() * shells)


def mean_square_displacement(positions):
    """How far particles have come after so many frames: mean over particles and over all starting frames.

    Parameters
    ----------
    positions : array (T, M, 3)
        Å, never wrapped back into the box, of two particles or more; the drift of their centre is taken out.

    Returns
    -------
    numpy.ndarray (T,)
        Å², by number of frames between.  The last values come from few starting frames.
    """
    r = _tracks(positions)
    r = r - r.mean(axis=1, keepdims=True)
    n_frames = len(r)
    power = np.abs(np.fft.rfft(r, n=2 * n_frames, axis=0)) ** 2  # autocorrelation by FFT
    correlation = np.fft.irfft(power, axis=0)[:n_frames].sum(axis=2)  # (T, M): Σ_t r(t)·r(t + k)
    squares = (r**2).sum(axis=2)  # (T, M)
    before, after = np.cumsum(squares, axis=0)[::-1], np.cumsum(squares[::-1], axis=0)[::-1]
    pairs = np.arange(n_frames, 0, -1)[:, None]
    return ((before + after - 2 * correlation) / pairs).mean(axis=1)


def diffusion(positions, spacing, window=(2.0, 10.0), n_blocks=5):
    """Self-diffusion coefficient from the Einstein relation: the slope of the mean square displacement, over six.

    Parameters
    ----------
    positions : array (T, M, 3)
        Å, of one atom per molecule (or of the centres), never wrapped.
    spacing : float
        ps between frames.
    window : (float, float)
        ps; the slope is fitted between these, after molecules have left their cages.

    Returns
    -------
    (float, float)
        D in 10⁻⁹ m²/s and its standard error from blocks.  In a box of width L it is too small: add `yeh_hummer`.
    """
    positions = _tracks(positions)
    check_numbers(above=0, spacing=spacing)
    check_counts(least=2, n_blocks=n_blocks)
    if not isinstance(window, (tuple, list)) or len(window) != 2:
        raise ValueError(f"window is {window!r}; two times in ps are expected, like (2.0, 10.0)")
    check_numbers(above=0, **{"the beginning of window": window[0], "the end of window": window[1]})
    first, last = (round(t / spacing) for t in window)
    blocks = np.array_split(positions, n_blocks)
    if not 0 < first < last < len(blocks[-1]):
        raise ValueError(
            f"{len(positions)} frames {spacing} ps apart, in {n_blocks} blocks, are too short for a slope between "
            f"{window[0]} and {window[1]} ps"
        )
    times = np.arange(first, last + 1) * spacing
    slopes = [np.polyfit(times, mean_square_displacement(block)[first : last + 1], 1)[0] / 6 for block in blocks]
    return 10 * float(np.mean(slopes)), 10 * float(np.std(slopes, ddof=1) / np.sqrt(n_blocks))  # Å²/ps is 10⁻⁸ m²/s


def yeh_hummer(temperature, width, viscosity=0.89):
    """What a periodic box takes away from D: 2.837297 k T / (6 π η L) (Yeh, Hummer 2004, doi:10.1021/jp0477147).

    Parameters
    ----------
    temperature, width : float
        K, and Å of the cubic box.
    viscosity : float
        mPa s; that of real water at 298 K unless given.

    Returns
    -------
    float
        10⁻⁹ m²/s.

    >>> round(yeh_hummer(298.15, 12.42), 2)
    0.56
    """
    check_numbers(above=0, temperature=temperature, width=width, viscosity=viscosity)
    return float(2.837297 * Boltzmann * temperature / (6 * np.pi * viscosity * 1e-3 * width * 1e-10) * 1e9)


def block_average(values, n_blocks=5):
    """Mean of a correlated series, and its standard error from the scatter of block means.

    Returns
    -------
    (float, float)
    """
    values = finite_numbers(values, "values")
    if values.ndim != 1:
        raise ValueError(f"values have shape {values.shape}; (n,) is expected")
    check_counts(n_blocks=n_blocks)
    if n_blocks < 2 or len(values) < n_blocks:
        raise ValueError(
            f"{len(values)} values cannot be cut into {n_blocks} blocks; at least 2 blocks of 1 are needed"
        )
    means = np.array([block.mean() for block in np.array_split(values, n_blocks)])
    return float(values.mean()), float(means.std(ddof=1) / np.sqrt(n_blocks))


def _tracks(positions):
    """Positions (T, M, 3) of M particles, two or more: of one alone nothing is left without its drift."""
    positions = finite_numbers(positions, "positions")
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.shape[0] < 1 or positions.shape[1] < 2:
        raise ValueError(
            f"positions have shape {positions.shape}; (frames, particles, 3) is expected, of two particles or more"
        )
    return positions
