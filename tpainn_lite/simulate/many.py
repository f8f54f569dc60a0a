"""MD of many structures in one step: any `Potential` as a model of torch-sim.

torch-sim (Cohen et al. 2025, arXiv:2508.06628) brings the integrators, the optimisers and the packing of structures
into batches; here is what it has to know of our potentials, and how large a batch may be
(`tpainn_lite.simulate.batches`).  An optional extra: ``pip install 'tpainn_lite[batched]'``.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from tpainn_lite.model.graph import SKIN, NeighbourList
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.simulate.batches import in_batches, largest_batch, size_of
from tpainn_lite.simulate.md import check_settings, flown_apart, has_exploded, moving, trouble
from tpainn_lite.simulate.record import MDRun
from tpainn_lite.structures.arguments import check_counts, check_numbers
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import bonds_of

try:
    import torch_sim
    from torch_sim.models.interface import ModelInterface
    from torch_sim.units import MetalUnits
except ImportError as error:
    raise ImportError("MD of many structures at once needs torch-sim: pip install 'tpainn_lite[batched]'") from error

MANY_STEPS = 10_000  # evaluations that are expected: a run of many structures is compiled however small they are
FEMTOSECOND = 1e-3 * MetalUnits.time  # in torch-sim's unit of time


class TorchSimPotential(ModelInterface):
    """A potential for torch-sim: ``torch_sim.integrate(structures, model=TorchSimPotential(potential), ...)``.

    Parameters
    ----------
    potential
        Stays where it is, CPU or GPU.  On the CPU, in float32 and with Numba, it is compiled.
    skin
        Å beyond the cutoff, so that neighbour lists serve for several steps.
    strict
        Raise ValueError when a structure has exploded; otherwise its atoms are left without forces.

    Positions and momenta are kept in float64, whatever the potential's precision.  ``pbc`` of a state may be one value
    for all directions, or one for each (a slab, whose stress is 0); torch-sim's own integrators know the first only.
    """

    def __init__(self, potential: Potential, skin: float = SKIN, strict: bool = True) -> None:
        super().__init__()
        check_potential(potential)
        check_numbers(0, skin=skin)
        self.potential, self.evaluator = potential, potential.evaluator(evaluations=MANY_STEPS)
        self.skin, self.strict = skin, strict
        self._device, self._dtype = potential.device, torch.float64
        self._compute_forces = self._compute_stress = True
        self._memory_scales_with = "n_atoms"  # the cells of molecules mean nothing; see `autobatcher`
        self.left_out: set[int] = set()  # numbers of structures that get no forces any more
        self._lists: dict[int, NeighbourList] = {}  # of each structure, by its number
        self._last: dict[int, NDArray] = {}  # its positions at the last call

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """``energy`` (B,) in eV, ``forces`` (N, 3) in eV/Å and ``stress`` (B, 3, 3) in eV/Å³ of a ``SimState``."""
        state = state if isinstance(state, torch_sim.SimState) else torch_sim.SimState(**state)
        sizes = torch.bincount(state.system_idx).cpu().numpy()
        starts, periodic = np.cumsum(sizes) - sizes, _periodic(state)
        positions = np.split(state.positions.detach().cpu().numpy().astype(float), starts[1:])
        cells = state.row_vector_cell.detach().cpu().numpy().astype(float)  # (B, 3, 3) Å
        pairs = [self._pairs(k, *parts, periodic) for k, parts in enumerate(zip(positions, cells, strict=True))]
        idx_i, idx_j = (np.concatenate([p[c] + start for p, start in zip(pairs, starts, strict=True)]) for c in (0, 1))
        volumes = np.abs(np.linalg.det(cells)) * periodic.all()
        joined = idx_i, idx_j, np.concatenate([p[2] for p in pairs])
        output = self.evaluator.of_pairs(state.atomic_numbers, joined, volumes, state.system_idx)
        return {name: output[name].to(self.device, self.dtype) for name in ("energy", "forces", "stress")}

    def unwrapped(self, number: int) -> NDArray:
        """Positions (N, 3) in Å of a structure at the last call; torch-sim's own jump from side to side of the box."""
        return self._last[number]

    def forget(self) -> None:
        """Other structures come next."""
        self.left_out.clear()
        self._lists.clear()
        self._last.clear()

    def _pairs(self, number, positions, cell, periodic):
        """idx_i, idx_j and r_ij of one structure."""
        exploded = flown_apart(positions, cell, periodic)
        if exploded and self.strict:
            raise ValueError(f"structure {number} has exploded; use a shorter timestep, or a better potential for it")
        last, self._last[number] = self._last.get(number, positions), positions
        if exploded or number in self.left_out:
            self._lists.pop(number, None)
            return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3))
        if periodic.any() and last.shape == positions.shape:  # torch-sim wraps atoms into the box
            positions = positions - np.round((positions - last) @ np.linalg.inv(cell)) * periodic @ cell
            self._last[number] = positions
        return self._lists.setdefault(number, NeighbourList(self.potential.cutoff, self.skin)).pairs(
            positions, cell, periodic
        )


def _periodic(state):
    """Along which of the three sides of the cell a state is periodic, (3,) of bool."""
    pbc = torch.as_tensor(state.pbc).flatten().cpu().numpy().astype(bool)
    if pbc.size not in (1, 3):
        raise ValueError(f"pbc is {state.pbc}; one value, or one for each of the three directions, is expected")
    return np.broadcast_to(pbc, 3).copy()


def autobatcher(model: TorchSimPotential, structures: Sequence[Atoms], in_flight: bool = False) -> Any:
    """What packs these structures into batches that the memory holds, for torch-sim's own functions.

    torch-sim's own estimate needs a GPU, and takes the time of many trials.

    Parameters
    ----------
    in_flight
        For ``torch_sim.optimize``, where one that is done makes room for another; otherwise for
        ``torch_sim.integrate``.

    Returns
    -------
        A ``BinningAutoBatcher`` or an ``InFlightAutoBatcher``.

    >>> from ase.build import molecule
    >>> from tpainn_lite.model.painn import PaiNN
    >>> model = TorchSimPotential(Potential(PaiNN(cutoff=4.0), atomref={1: 0.0, 8: 0.0}))
    >>> type(autobatcher(model, [molecule("H2O")])).__name__
    'BinningAutoBatcher'
    """
    structures = _checked(structures)
    sizes = [size_of(atoms, model.potential.cutoff) for atoms in structures]
    boxes = structures[0].pbc.all()
    scalers = [len(a) ** 2 / (a.get_volume() / 1000) if boxes else len(a) for a in structures]  # as torch-sim's
    largest = _largest(model, structures, sizes) / max(
        size / scaler for size, scaler in zip(sizes, scalers, strict=True)
    )
    kind = torch_sim.InFlightAutoBatcher if in_flight else torch_sim.BinningAutoBatcher
    scales = "n_atoms_x_density" if boxes else "n_atoms"
    return kind(model, memory_scales_with=scales, max_memory_scaler=max(largest, 1.001 * max(scalers)))


def _largest(model, structures, sizes):
    """The size of a batch that the memory holds."""

    def run(some):
        return model(torch_sim.initialize_state([_boxed(atoms) for atoms in some], model.device, model.dtype))

    return largest_batch(structures, sizes, model.device, run)


def run_many(
    structures: Sequence[Atoms],
    potential: Potential,
    *,
    n_steps: int = 1000,
    temperature: float = 300.0,
    timestep: float = 0.5,
    friction: float = 10.0,
    every: int = 10,
    seed: int = 0,
    stop_when_broken: bool = True,
    watch: Callable[[list[MDRun]], object] | None = None,
    largest: int | None = None,
) -> list[MDRun]:
    """Langevin MD of many structures at once, at constant volume.

    Of more than the memory holds, some are run to their end before the next begin.

    Settings and guards are those of `tpainn_lite.simulate.md.run_md`, and watch over each structure: one that breaks is
    no longer kept, and the others continue to the end, or until the last has broken.  What has exploded is not among
    its frames.

    Parameters
    ----------
    structures
        All of them molecules, or all of them periodic boxes.
    temperature, timestep, friction
        K, also of the velocities at the start; fs; 1/ps.
    watch
        Called with the runs so far whenever frames are kept.
    largest
        Pairs of atoms within the cutoff, and atoms, that go through the potential at once; by default as many as the
        memory of the GPU holds, or 100,000 on a CPU.  The random forces of a batch are drawn together: where there is
        more than one, the same ``seed`` gives the same runs with the same ``largest``.

    Raises
    ------
    ValueError, TypeError
        Molecules and boxes together, a bad structure (with its number), or a setting that makes no sense.
    RuntimeError
        The GPU's memory was not enough after all; a smaller ``largest`` is expected.

    >>> from ase.build import molecule
    >>> from tpainn_lite.model.painn import PaiNN
    >>> potential = Potential(PaiNN(cutoff=4.0), atomref={1: 0.0, 8: 0.0})
    >>> run_many([molecule("H2O")] * 2, potential, n_steps=2, every=1, stop_when_broken=False)
    [MDRun(3 frames, 1 fs, ran to the end), MDRun(3 frames, 1 fs, ran to the end)]
    """
    check_settings("nvt", n_steps, every, temperature=temperature, timestep=timestep, friction=friction)
    check_counts(least=0, seed=seed)
    if watch is not None and not callable(watch):
        raise TypeError(f"watch is {watch!r}; a function of the runs so far, or None, is expected")
    if largest is not None:
        check_counts(largest=largest)
    structures = _checked(structures)
    model = TorchSimPotential(potential, strict=False)
    sizes, runs = [size_of(atoms, potential.cutoff) for atoms in structures], [MDRun() for _ in structures]
    settings = {"n_steps": n_steps, "every": every, "timestep": timestep, "temperature": temperature, "seed": seed}
    settings |= {"friction": friction, "guarded": stop_when_broken}
    largest = largest or _largest(model, structures, sizes)
    try:
        for batch in in_batches(sizes, largest):
            for _ in _moved([structures[k] for k in batch], [runs[k] for k in batch], model, batch[0], **settings):
                if watch is not None:
                    watch(runs)
    except torch.OutOfMemoryError as error:
        raise RuntimeError(
            f"the memory of {model.device} is full: less than {largest} is expected as largest"
        ) from error
    return runs


def _moved(structures, runs, model, first, n_steps, every, timestep, temperature, friction, guarded, seed):
    """Run a batch, whose first structure has the number ``first``; the time (fs) whenever frames have been kept."""
    model.forget()
    start, step = _langevin(model, _in_its_units(model, timestep, temperature, friction))
    bonds = [bonds_of(atoms) if guarded else None for atoms in structures]
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(_seed_of(seed, first))
        state = start(_moving_state(structures, model, temperature, seed, first))
        _keep(runs, state, model, structures, bonds, 0.0, temperature)
        for k in range(1, n_steps + 1):
            state = step(state)
            if k % every == 0:
                _keep(runs, state, model, structures, bonds, k * timestep, temperature)
                yield k * timestep
            if all(run.stopped for run in runs):
                return


def _seed_of(seed, first):
    """Of the random forces on a batch."""
    return seed if first == 0 else int(np.random.SeedSequence((seed, first)).generate_state(1)[0])


def _checked(structures):
    """The structures as a list, if they can be run together."""
    if isinstance(structures, Atoms) or not isinstance(structures, Iterable):
        raise TypeError(f"structures is a {type(structures).__name__}; a list of ase.Atoms is expected")
    structures = list(structures)
    for number, atoms in enumerate(structures):
        check_structure(atoms, f"structure {number}")
    kinds = {tuple(bool(p) for p in atoms.pbc) for atoms in structures}
    if kinds not in ({(True, True, True)}, {(False, False, False)}):
        given = ", ".join(map(str, sorted(kinds))) or "no structures"
        raise ValueError(f"pbc: {given}; expected are molecules only, or boxes periodic in all directions only")
    return structures


def _in_its_units(model, timestep, temperature, friction):
    """Time step, temperature and friction for torch-sim."""
    time, place = FEMTOSECOND * timestep, {"dtype": model.dtype, "device": model.device}
    values = {"dt": time, "kT": temperature * MetalUnits.temperature, "gamma": friction / (1000 * FEMTOSECOND)}
    return {name: torch.tensor(value, **place) for name, value in values.items()}


def _langevin(model, settings):
    """Functions of a state that start Langevin dynamics and make one step; torch-sim before 0.4 made them itself."""
    if not hasattr(torch_sim, "nvt_langevin_step"):
        return torch_sim.nvt_langevin(model, **settings)
    start = partial(torch_sim.nvt_langevin_init, model=model, kT=settings["kT"])
    return start, lambda state: torch_sim.nvt_langevin_step(state=state, model=model, **settings)


def _moving_state(structures, model, temperature, seed, first):
    """The structures for torch-sim, with velocities: its own are too fast where masses differ (CH4: 562 K for 500)."""
    state = torch_sim.initialize_state([_boxed(atoms) for atoms in structures], model.device, model.dtype)
    moved = [moving(atoms, None, "nvt", temperature, (seed, k))[0] for k, atoms in enumerate(structures, first)]
    momenta = np.concatenate([atoms.get_momenta() for atoms in moved])
    state.momenta = torch.as_tensor(momenta, dtype=model.dtype, device=model.device)
    if hasattr(type(state), "rng"):  # since 0.4; before that torch's own random numbers are used
        state.rng = _seed_of(seed, first)
    return state


def _boxed(atoms):
    """torch-sim wants a cell of molecules, too; nothing is periodic in it."""
    if atoms.cell.rank == 3:
        return atoms
    boxed = atoms.copy()
    boxed.cell = np.eye(3) * (np.ptp(atoms.positions, axis=0).max() + 10)
    return boxed


def _keep(runs, state, model, structures, bonds, time, temperature):
    """One more frame of every structure that nothing has stopped."""
    sizes, energies = [len(atoms) for atoms in structures], state.energy.cpu().numpy()
    momenta, forces = (x.detach().cpu().split(sizes) for x in (state.momenta, state.forces))
    for k, (run, atoms) in enumerate(zip(runs, structures, strict=True)):
        if run.stopped:
            continue
        frame = atoms.copy()
        frame.positions = model.unwrapped(k)
        frame.set_momenta(momenta[k].numpy())
        frame.calc = SinglePointCalculator(frame, energy=float(energies[k]), forces=forces[k].numpy())
        lost = has_exploded(frame, temperature)
        if not lost:
            run.remember(frame, time)
            run.frames[-1].calc = frame.calc
        reason = lost or trouble(frame, temperature, bonds[k])
        if reason:
            run.stopped = f"at {time:.0f} fs: {reason}"
            model.left_out.add(k)
