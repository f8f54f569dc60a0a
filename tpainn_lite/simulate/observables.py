"""What a simulation says of a liquid or a molecule: arrays in, numbers out."""

import warnings
from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import ArrayLike, NDArray
from scipy.constants import Boltzmann

from tpainn_lite.structures.arguments import check_counts, check_numbers, finite_numbers
from tpainn_lite.structures.geometry import check_extent, search_pairs, widths

Array = NDArray[np.float64]


def energy_drift(times: ArrayLike, energies: ArrayLike, n_atoms: int) -> float:
    """Slope of the total energy of an NVE run, in meV per atom and ps, by least squares.

    Parameters
    ----------
    times, energies
        (n,) fs; (n,) eV, the total energies.

    Raises
    ------
    ValueError
        Other shapes, numbers that are not finite, or fewer than two different times.

    >>> round(energy_drift([0.0, 1000.0, 2000.0], [-5.0, -4.999, -4.998], n_atoms=2), 6)
    0.5
    """
    check_counts(n_atoms=n_atoms)
    times, energies = finite_numbers(times, "times"), finite_numbers(energies, "energies")
    if times.ndim != 1 or times.shape != energies.shape:
        raise ValueError(f"times and energies have shapes {times.shape} and {energies.shape}; (n,) twice is expected")
    if len(np.unique(times)) < 2:
        raise ValueError(f"{len(times)} points have no slope; at least 2 are expected, at different times")
    slope = np.polyfit(times, energies, 1)[0]  # eV/fs
    return float(slope * 1e3 * 1e3 / n_atoms)


def survival(times: ArrayLike, broke: ArrayLike) -> tuple[Array, Array, Array, Array]:
    """The share of simulations that last longer than a time, by Kaplan and Meier (1958,
    doi:10.1080/01621459.1958.10501452): one that did not break has lasted *at least* as long as it was run.

    Parameters
    ----------
    times, broke
        (n,) how long each simulation ran, in any unit; (n,) whether it broke then.

    Returns
    -------
    tuple
        Times (m,) from 0 to the longest, the share that lasts longer than each, and the lower and the upper end of its
        95 % interval.

    Raises
    ------
    ValueError
        Other shapes, or times that are negative or not finite.

    >>> [values.round(2).tolist() for values in survival([1.0, 2.0, 5.0], [True, True, False])[:2]]
    [[0.0, 1.0, 2.0, 5.0], [1.0, 0.67, 0.33, 0.33]]
    """
    times, broke = finite_numbers(times, "times"), np.asarray(broke)
    if times.ndim != 1 or times.shape != broke.shape or broke.dtype != bool or not len(times):
        shapes = f"{times.shape} and {broke.shape} of {broke.dtype}"
        raise ValueError(f"times and broke have shapes {shapes}; (n,) numbers and (n,) of bool are expected")
    if times.min() < 0:
        raise ValueError(f"a simulation ran for {times.min():g}; no time below 0 is expected")
    from scipy.stats import CensoredData, ecdf  # slow to import

    curve = ecdf(CensoredData(uncensored=times[broke], right=times[~broke])).sf
    with warnings.catch_warnings():  # where all or none are left it has no such interval
        warnings.simplefilter("ignore", RuntimeWarning)
        band = curve.confidence_interval(confidence_level=0.95, method="log-log")
    share, low, high = (np.concatenate([[1.0], one.probabilities]) for one in (curve, band.low, band.high))
    low[share == 1], high[share == 1] = 0.025 ** (1 / len(times)), 1.0  # none broke: the exact interval of n of n
    low[share == 0], high[share == 0] = 0.0, high[share > 0][-1]
    return np.concatenate([[0.0], curve.quantiles]), share, low, high


def rdf(
    frames: Iterable[Atoms], pair: str | tuple[str, str] = "OO", r_max: float | None = None, n_bins: int = 100
) -> tuple[Array, Array]:
    """Radial distribution function g(r) of two elements in periodic boxes, averaged over frames.

    Parameters
    ----------
    pair
        "OO", "OH", or for longer symbols ("Na", "Cl").
    r_max
        Å; half the narrowest box unless given, which is the farthest that is right.

    Returns
    -------
    tuple
        Distances (n_bins,) in Å, and g (n_bins,).

    Raises
    ------
    ValueError
        Not periodic in all directions, a pair that does not occur, or ``r_max`` above half the box.

    >>> from ase.build import bulk
    >>> r, g = rdf([bulk("NaCl", "rocksalt", a=5.64, cubic=True) * 2], ("Na", "Cl"))
    >>> round(float(r[g.argmax()]), 1)
    2.8
    """
    frames = list(frames) if isinstance(frames, Iterable) else []
    elements, width = _elements(pair), _narrowest(frames)
    check_counts(n_bins=n_bins)
    r_max = 0.499 * width if r_max is None else r_max
    check_numbers(above=0, r_max=r_max)
    if r_max > width / 2:
        raise ValueError(f"r_max is {r_max} Å; at most half the box, {width / 2:.2f} Å, is possible")
    edges = np.linspace(0, r_max, n_bins + 1)
    return (edges[1:] + edges[:-1]) / 2, np.mean([_rdf(atoms, elements, edges) for atoms in frames], axis=0)


def _elements(pair):
    is_pair = isinstance(pair, (str, tuple, list)) and len(pair) == 2
    if not is_pair or any(symbol not in atomic_numbers for symbol in pair):
        raise ValueError(f'pair is {pair!r}; two elements are expected: "OO", "OH" or ("Na", "Cl")')
    return [atomic_numbers[symbol] for symbol in pair]


def _narrowest(frames):
    """Å between the nearest faces of all these boxes."""
    if len(frames) == 0 or not all(isinstance(atoms, Atoms) and atoms.pbc.all() for atoms in frames):
        raise ValueError("boxes that are periodic in all directions are expected; a lone molecule has no density")
    for number, atoms in enumerate(frames):
        finite_numbers(atoms.positions, f"frame {number}: positions")
        check_extent(np.zeros((1, 3)), atoms.cell.array, atoms.pbc, f"frame {number}")
    return min(widths(atoms.cell.array).min() for atoms in frames)


def _rdf(atoms, elements, edges):
    """g (n_bins,) of one frame: the pairs in each shell, over those that an even gas would have there."""
    centre, other = (atoms.numbers == element for element in elements)  # (N,) each
    n_pairs = centre.sum() * other.sum() - (centre & other).sum()  # no atom is its own neighbour
    if n_pairs == 0:
        symbols, there = (", ".join(chemical_symbols[z] for z in of) for of in (elements, np.unique(atoms.numbers)))
        raise ValueError(f"no pair of {symbols} in a box of {there}: name one that is there, as pair=(…, …)")
    i, j, d = search_pairs("ijd", atoms, float(edges[-1]))
    counts = np.histogram(d[centre[i] & other[j]], edges)[0]
    shells = 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)  # Å³
    return counts / (n_pairs / atoms.get_volume() * shells)


def mean_square_displacement(positions: ArrayLike) -> Array:
    """How far particles have come after so many frames: mean over particles and over all starting frames.

    Parameters
    ----------
    positions
        (T, M, 3) Å, never wrapped back into the box, of two particles or more; the drift of their centre is taken out.

    Returns
    -------
    numpy.ndarray
        (T,) Å², by number of frames between.  The last values come from few starting frames.

    Raises
    ------
    ValueError
        Another shape, or numbers that are not finite.

    >>> mean_square_displacement([[[0, 0, 0], [5, 0, 0]], [[1, 0, 0], [4, 0, 0]], [[2, 0, 0], [3, 0, 0]]]).round(6)
    array([0., 1., 4.])
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


def diffusion(
    positions: ArrayLike, spacing: float, window: tuple[float, float] = (2.0, 10.0), n_blocks: int = 5
) -> tuple[float, float]:
    """Self-diffusion coefficient from the Einstein relation: the slope of the mean square displacement, over six.

    Times are in ps here, the scale on which molecules diffuse, and not in fs as elsewhere.

    Parameters
    ----------
    positions
        (T, M, 3) Å, of one atom per molecule (or of the centres), never wrapped.
    spacing
        ps between frames.
    window
        ps; the slope is fitted between these, after molecules have left their cages.

    Returns
    -------
    tuple
        D in 10⁻⁹ m²/s and its standard error from blocks.  In a box of width L it is too small: add `yeh_hummer`.

    Raises
    ------
    ValueError
        A block is shorter than the window, or an argument makes no sense.

    >>> walk = np.random.default_rng(0).normal(scale=0.2, size=(2000, 100, 3)).cumsum(axis=0)  # D = 0.2² / (2 × 0.1 ps)
    >>> round(diffusion(walk, spacing=0.1)[0], 1)
    2.0
    """
    tracks = _tracks(positions)
    check_numbers(above=0, spacing=spacing)
    check_counts(least=2, n_blocks=n_blocks)
    if not isinstance(window, (tuple, list)) or len(window) != 2:
        raise ValueError(f"window is {window!r}; two times in ps are expected, like (2.0, 10.0)")
    check_numbers(above=0, **{"the beginning of window": window[0], "the end of window": window[1]})
    first, last = (round(t / spacing) for t in window)
    blocks = np.array_split(tracks, n_blocks)
    if not 0 < first < last < len(blocks[-1]):
        raise ValueError(
            f"{len(tracks)} frames {spacing} ps apart, in {n_blocks} blocks, are too short for a slope between "
            f"{window[0]} and {window[1]} ps"
        )
    times = np.arange(first, last + 1) * spacing
    slopes = [np.polyfit(times, mean_square_displacement(block)[first : last + 1], 1)[0] / 6 for block in blocks]
    return 10 * float(np.mean(slopes)), 10 * float(np.std(slopes, ddof=1) / np.sqrt(n_blocks))  # Å²/ps is 10⁻⁸ m²/s


def _tracks(positions):
    """Positions (T, M, 3) of M particles, two or more: of one alone nothing is left without its drift."""
    positions = finite_numbers(positions, "positions", ("frames", "particles", 3))
    if positions.shape[1] < 2:
        raise ValueError("positions are of one particle; two or more are expected")
    return positions


def yeh_hummer(temperature: float, width: float, viscosity: float = 0.89) -> float:
    """What a periodic box takes away from D: 2.837297 k T / (6 π η L) (Yeh, Hummer 2004, doi:10.1021/jp0477147).

    Parameters
    ----------
    temperature, width
        K; Å of the cubic box.
    viscosity
        mPa s; that of real water at 298 K unless given.

    Returns
    -------
    float
        10⁻⁹ m²/s.

    Raises
    ------
    ValueError
        A number that is not above 0.

    >>> round(yeh_hummer(298.15, 12.42), 2)
    0.56
    """
    check_numbers(above=0, temperature=temperature, width=width, viscosity=viscosity)
    return float(2.837297 * Boltzmann * temperature / (6 * np.pi * viscosity * 1e-3 * width * 1e-10) * 1e9)


def block_average(values: ArrayLike, n_blocks: int = 5) -> tuple[float, float]:
    """Mean of a correlated series (n,), and its standard error from the scatter of block means.

    Raises
    ------
    ValueError
        Fewer than 2 blocks, or fewer values than blocks.

    >>> block_average([1.0, 1.0, 3.0, 3.0], n_blocks=2)
    (2.0, 1.0)
    """
    values = finite_numbers(values, "values", ("n",))
    check_counts(n_blocks=n_blocks)
    if n_blocks < 2 or len(values) < n_blocks:
        raise ValueError(f"{len(values)} values cannot be cut into {n_blocks} blocks; 2 blocks of 1 are the least")
    means = np.array([block.mean() for block in np.array_split(values, n_blocks)])
    return float(values.mean()), float(means.std(ddof=1) / np.sqrt(n_blocks))
