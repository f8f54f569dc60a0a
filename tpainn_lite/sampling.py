"""Structures worth labelling, and `label`: the one door through which labels enter.

Where frames come from decides what a potential can learn.  Here: normal modes (instant, harmonic) and
Langevin MD (slower, anharmonic, visits other conformers), both under any ASE calculator.
`label(frames, calculator)` then asks any calculator, classical or DFT, for energies and forces.
"""

import itertools
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from tpainn_lite.checks import check_structure

SOFT_MODE = 200 * units.invcm  # modes softer than this are sampled as if they were this stiff
FRICTION = {"friction": 0.02 / units.fs, "fixcm": False}
CHUNK_SECONDS = 60  # work handed to a process at once, in parallel labelling


def normal_modes(atoms, calculator, step=0.005):
    """Vibrations around a minimum, by finite differences of the forces.

    Parameters
    ----------
    atoms : ase.Atoms
        N atoms at a minimum of ``calculator``.
    step : float
        Displacement in Å.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Energies ħω (K,) in eV, and Cartesian displacements per unit of mass-weighted coordinate,
        (K, N, 3) in amu^-1/2; the K = 3N − 6 (3N − 5 if linear, 0 for one atom) vibrations only.
    """
    reference, n = atoms.positions.copy(), 3 * len(atoms)
    work = atoms.copy()
    work.calc = calculator
    hessian = np.zeros((n, n))  # (3N, 3N) eV/Å²
    for k in range(n):
        for sign in (+1, -1):
            work.positions = reference
            work.positions.reshape(-1)[k] += sign * step
            hessian[k] -= sign * work.get_forces().ravel() / (2 * step)
    root_mass = np.repeat(np.sqrt(atoms.get_masses()), 3)  # (3N,)
    omega2, modes = np.linalg.eigh((hessian + hessian.T) / 2 / np.outer(root_mass, root_mass))
    vibrations = slice(_n_rigid(atoms), None)
    frequency = np.sqrt(np.clip(omega2[vibrations], 0, None)) * units._hbar * units._e**0.5
    frequency *= 1e10 / (units._e * units._amu**0.5)  # sqrt(eV/amu)/Å to eV
    return frequency, (modes / root_mass[:, None]).T[vibrations].reshape(-1, len(atoms), 3)


def normal_mode_frames(atoms, calculator, temperature, n_frames, seed=0):
    """Displace a relaxed molecule along its normal modes, as classical heat would.

    Each mode gets a Gaussian amplitude of variance kT/ω² (a harmonic oscillator at ``temperature``).  Modes
    softer than 200 cm⁻¹ are sampled as if they were that stiff: far along a torsion the harmonic picture is wrong.

    Parameters
    ----------
    temperature : float or (low, high)
        K; a pair draws one temperature per frame, uniformly.

    Returns
    -------
    list of ase.Atoms
        ``info["config_type"]`` is ``"normal_modes"``, ``info["temperature"]`` in K.
    """
    rng = np.random.default_rng(seed)
    energy, modes = normal_modes(atoms, calculator)
    omega = np.maximum(energy, SOFT_MODE) / (units._hbar * units._e**0.5) * units._e * units._amu**0.5 / 1e10
    temperatures = _temperatures(temperature, n_frames, rng)  # (n_frames,)
    frames = []
    for kelvin in temperatures:
        amplitude = rng.normal(size=len(omega)) * np.sqrt(units.kB * kelvin) / omega  # (K,) Å amu^1/2
        frame = atoms.copy()
        frame.positions += np.einsum("k,knx->nx", amplitude, modes)
        frame.info.update(config_type="normal_modes", temperature=float(kelvin))
        frames.append(frame)
    return frames


def thermal_frames(atoms, calculator, temperature, n_frames, seed=0, spacing=50.0, timestep=0.5, warm_up=200.0):
    """Snapshots of Langevin MD, ``spacing`` fs apart, after ``warm_up`` fs.

    Parameters
    ----------
    temperature : float or (low, high)
        K; a pair heats the run in steps, one per frame, from low to high.
    spacing, timestep, warm_up : float
        fs.

    Returns
    -------
    list of ase.Atoms
        ``info["config_type"]`` is ``"thermal"``, ``info["temperature"]`` in K.
    """
    rng = np.random.default_rng(seed)
    temperatures = np.sort(_temperatures(temperature, n_frames, rng))
    work = atoms.copy()
    work.calc = calculator
    thermalize_momenta(work, temperatures[0], rng=rng)
    dynamics = Langevin(work, timestep * units.fs, temperature_K=temperatures[0], **FRICTION, rng=rng)
    dynamics.run(int(warm_up / timestep))
    frames = []
    for kelvin in temperatures:
        dynamics.set_temperature(temperature_K=kelvin)
        dynamics.run(int(spacing / timestep))
        frame = atoms.copy()
        frame.positions = work.positions if work.pbc.any() else work.positions - work.get_center_of_mass()
        frame.info.update(config_type="thermal", temperature=float(kelvin))
        frames.append(frame)
    return frames


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


def water_box(n_molecules=32, density=1.0, seed=0):
    """A cubic box of water molecules on a lattice, turned at random: a start for MD, not yet a liquid.

    Parameters
    ----------
    density : float
        g/cm³.

    Returns
    -------
    ase.Atoms
        Periodic; atoms ordered O, H, H, as `tpainn_lite.classical_water` wants them.

    >>> len(water_box(32))
    96
    """
    if n_molecules < 1 or not density > 0:
        raise ValueError(f"{n_molecules} molecules at {density} g/cm³ were asked for; positive numbers are expected")
    mass = n_molecules * atomic_masses[[8, 1, 1]].sum()  # amu
    edge = (mass / (density * 1e-24 / (units._amu * 1e3))) ** (1 / 3)  # Å
    per_side = int(np.ceil(n_molecules ** (1 / 3) - 1e-9))
    sites = np.array(list(itertools.product(range(per_side), repeat=3)))[:n_molecules] * edge / per_side  # (M, 3)
    one = ase_molecule("H2O").positions  # (3, 3)
    turns = Rotation.random(n_molecules, np.random.default_rng(seed)).as_matrix()  # (M, 3, 3)
    positions = sites[:, None] + np.einsum("mxy,ay->max", turns, one - one[0])
    return Atoms("OHH" * n_molecules, positions.reshape(-1, 3), cell=[edge] * 3, pbc=True)


def label(frames, calculator, path=None, n_jobs=1, progress=True, time_limit=None):
    """Ask a calculator for the energy and forces of each frame.

    Any ASE calculator will do: a force field (cheap) or DFT (dear).  A frame that the calculator cannot
    do is skipped and reported at the end; the others are kept.

    Parameters
    ----------
    frames : list of ase.Atoms
    calculator : ase Calculator
        Copied into each process when ``n_jobs`` > 1.
    path : str or Path, optional
        Keep each label here as soon as it is made (JSON lines).  Interrupted, call again: what is there is not redone.
        A frame is recognised by its ``info["id"]``, or else by its place in the list, and by its atoms and positions.
    n_jobs : int
        Processes (joblib).
    progress : bool
        Show a progress bar.
    time_limit : float, optional
        Begin nothing more after so many seconds and return what is labelled; 0 collects what ``path`` holds.

    Returns
    -------
    list of ase.Atoms
        Copies of the frames, in the same order, with energy (eV), forces (N, 3) (eV/Å) and, where the calculator
        has it, stress (eV/Å³) attached, and ``info["level"]`` naming the calculator; a calculator's ``record`` (a
        dict: cycles, seconds) is added to ``info``.

    Raises
    ------
    ValueError
        If there are no frames, or none of them could be labelled.

    >>> from tpainn_lite import mmff94, molecule
    >>> label([molecule("CCO")], mmff94(), progress=False)[0].get_forces().shape
    (9, 3)
    """
    frames = list(frames)
    if not frames:
        raise ValueError("no frames to label: a list of at least one ase.Atoms is expected")
    level = getattr(calculator, "level", type(calculator).__name__)
    done = _read_journal(path, frames, level) if path else {}
    todo = [i for i in range(len(frames)) if i not in done]
    failures, started = {}, time.perf_counter()
    deadline = started + (np.inf if time_limit is None else time_limit)
    for index, result in _bar(_compute(frames, todo, calculator, n_jobs, deadline), len(todo), level, progress):
        if "error" in result:
            failures[index] = result["error"]
            continue
        done[index] = result
        if path:
            _append_journal(path, frames[index], index, result, level)
    _report(failures, done, len(todo), time.perf_counter() - started, level)
    return [_labelled(frames[i], done[i], level) for i in sorted(done)]


def _compute(frames, todo, calculator, n_jobs, deadline):
    """Yield (index, result) as they come, until the deadline; in this process, or in ``n_jobs`` others."""
    if n_jobs == 1 or len(todo) < 2 or time.perf_counter() >= deadline:
        for i in todo:
            if time.perf_counter() >= deadline:
                return
            yield i, _single_point(frames[i], calculator)
        return
    from joblib import Parallel, delayed

    first = _single_point(frames[todo[0]], calculator)  # its time decides how much work to hand out at once
    yield todo[0], first
    size = int(np.clip(CHUNK_SECONDS / first.get("seconds", 1.0), 1, 1 + len(todo) // (4 * n_jobs)))
    chunks = [todo[k : k + size] for k in range(1, len(todo), size)]
    begun = itertools.takewhile(lambda _: time.perf_counter() < deadline, chunks)
    tasks = (delayed(_single_points)([frames[i] for i in chunk], chunk, calculator) for chunk in begun)
    for results in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks):
        yield from results


def _single_points(frames, indices, calculator):
    return [(i, _single_point(frame, calculator)) for i, frame in zip(indices, frames, strict=True)]


def _single_point(atoms, calculator):
    """Energy, forces, perhaps stress, and the seconds they took; or the error, as text."""
    started = time.perf_counter()
    try:
        check_structure(atoms)
        energy = float(calculator.get_potential_energy(atoms))
        result = {"energy": energy, "forces": np.array(calculator.get_forces(atoms))}
        if atoms.pbc.all():
            with suppress(PropertyNotImplementedError, NotImplementedError):
                result["stress"] = np.array(calculator.get_stress(atoms))
        if not all(np.isfinite(value).all() for value in result.values()):
            raise ValueError("the calculator returned a number that is not finite")
    except Exception as error:  # noqa: BLE001  one bad frame must not end a long run; it is reported
        return {"error": f"{type(error).__name__}: {error}"}
    return {**result, "seconds": time.perf_counter() - started, "record": getattr(calculator, "record", {})}


def _labelled(atoms, result, level):
    """A copy of the frame that carries its labels (and not the calculator that made them)."""
    frame = atoms.copy()
    properties = {key: result[key] for key in ("energy", "forces", "stress") if key in result}
    frame.calc = SinglePointCalculator(frame, **properties)
    frame.info |= {"level": level, **result.get("record", {})}
    return frame


def _identity(atoms, index):
    return str(atoms.info.get("id", index))


def _read_journal(path, frames, level):
    """Labels kept by an earlier, interrupted call; a torn last line is dropped."""
    path, done = Path(path), {}
    if not path.exists():
        return done
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):  # the process died while writing the last line
        os.truncate(path, end)
    places = {}
    for i, frame in enumerate(frames):
        places.setdefault(_identity(frame, i), []).append(i)
    for line in content[:end].splitlines():
        row = json.loads(line)
        same = [i for i in places.get(row["id"], ()) if i not in done and _is_about(row, frames[i])]
        if same and row["level"] == level:
            done[same[0]] = {k: np.array(row[k]) for k in ("energy", "forces", "stress") if k in row}
            done[same[0]] |= {"energy": float(row["energy"]), "record": row.get("record", {})}
    return done


def _structure(atoms):
    return {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}


def _is_about(row, atoms):
    """Whether a line of the journal belongs to this structure; lines of early versions hold positions only."""
    pairs = [(np.array(row.get(key, value)), value) for key, value in _structure(atoms).items()]
    return all(kept.shape == value.shape and np.allclose(kept, value, rtol=0, atol=1e-6) for kept, value in pairs)


def _append_journal(path, atoms, index, result, level):
    row = {"id": _identity(atoms, index), "level": level}
    arrays = {**_structure(atoms), **{key: value for key, value in result.items() if key != "record"}}
    row |= {key: np.asarray(value).tolist() for key, value in arrays.items()}
    row["record"] = result.get("record", {})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as journal:
        journal.write(json.dumps(row) + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def _bar(results, total, level, progress):
    from tqdm.auto import tqdm

    return tqdm(results, total=total, desc=f"label with {level}", unit=" frames", disable=not progress)


def _report(failures, done, n_tried, seconds, level):
    if failures and not done:
        index, reason = next(iter(failures.items()))
        raise ValueError(f"{level} could label none of the {n_tried} frames; the first (frame {index}): {reason}")
    if failures:
        index, reason = next(iter(failures.items()))
        print(
            f"{level}: {len(failures)} of {n_tried} frames skipped in {seconds:.0f} s; first, frame {index}: {reason}",
            file=sys.stderr,
        )


def _temperatures(temperature, n, rng):
    low, high = (temperature, temperature) if np.isscalar(temperature) else temperature
    if not 0 < low <= high:
        raise ValueError(f"temperature is {temperature!r}: a positive number of K, or a pair (low, high), is expected")
    return rng.uniform(low, high, n)


def _n_rigid(atoms):
    """How many of the 3N modes are translations and rotations."""
    if len(atoms) == 1:
        return 3
    inertia = np.linalg.svd(atoms.positions - atoms.get_center_of_mass(), compute_uv=False)  # (≤3,)
    return 5 if inertia[1] < 1e-2 else 6
