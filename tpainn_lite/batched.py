"""MD of many structures in one step: any `Potential` as a model of torch-sim.

torch-sim (Cohen et al. 2025, arXiv:2508.06628) brings the integrators, the optimisers and the filling of a GPU's
memory; here is what it has to know of our potentials.  An optional extra: ``pip install 'tpainn_lite[batched]'``.
"""

from types import SimpleNamespace

import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.calculator import SKIN, compiled
from tpainn_lite.checks import check_structure
from tpainn_lite.md import MDRun, bonds_of, check_settings, moving, trouble
from tpainn_lite.potential import stress_of

try:
    import torch_sim
    from torch_sim.models.interface import ModelInterface
    from torch_sim.units import MetalUnits
except ImportError as error:
    raise ImportError("MD of many structures at once needs torch-sim: pip install 'tpainn_lite[batched]'") from error

FEMTOSECOND = 1e-3 * MetalUnits.time  # in torch-sim's unit of time


class TorchSimPotential(ModelInterface):
    """A potential for torch-sim: ``torch_sim.integrate(structures, model=TorchSimPotential(potential), ...)``.

    Parameters
    ----------
    potential : Potential
        Stays where it is, CPU or GPU.  On the CPU, in float32 and with Numba, it is compiled (`tpainn_lite.fast`).
    skin : float
        Å.  Extra cutoff of the neighbour lists, so that they serve for several steps.
    strict : bool
        Raise ValueError when a structure has exploded; otherwise its atoms are left without forces.

    Positions and momenta are kept in float64, whatever the potential's precision.
    """

    def __init__(self, potential, skin=SKIN, strict=True):
        super().__init__()
        self.potential, self.skin, self.strict = potential.eval(), skin, strict
        self._device, self._dtype = potential.device, torch.float64
        self._compute_forces = self._compute_stress = True
        self._lists = {}  # number of the structure: vesin's neighbour list, and the positions it was last asked for
        self._compiled = None

    def forward(self, state, **_):
        """``energy`` (B,) in eV, ``forces`` (N, 3) in eV/Å and ``stress`` (B, 3, 3) in eV/Å³ of a ``SimState``."""
        graph = self._graph(state if isinstance(state, torch_sim.SimState) else torch_sim.SimState(**state))
        if not self.potential.can_be_compiled():
            output = self.potential(graph)
            return {key: output[key].detach().to(self.dtype) for key in ("energy", "forces", "stress")}
        self.potential._check_elements(graph.atomic_numbers)
        self._compiled = compiled(self.potential, self._compiled)
        energy, forces, virial = (values.to(self.dtype) for values in self._compiled[1].of_graph(graph))
        energy = energy + self.potential._reference(graph)
        return {"energy": energy, "forces": forces, "stress": stress_of(virial, graph.volume)}

    def unwrapped(self, number):
        """Positions (N, 3) in Å of a structure at the last call; torch-sim's own jump from side to side of the box."""
        return self._lists[number][1]

    def _graph(self, state):
        """What `graph.collate` gives, without a detour over single graphs."""
        sizes = torch.bincount(state.system_idx).cpu().numpy()
        starts, periodic = np.cumsum(sizes) - sizes, np.full(3, bool(torch.as_tensor(state.pbc).all()))
        positions = np.split(state.positions.detach().cpu().numpy().astype(float), starts[1:])
        cells = state.row_vector_cell.detach().cpu().numpy().astype(float)  # (B, 3, 3) Å
        found = [self._neighbours(k, *parts, periodic) for k, parts in enumerate(zip(positions, cells, strict=True))]
        idx_i, idx_j = (np.concatenate([f[c] + start for f, start in zip(found, starts, strict=True)]) for c in (0, 1))
        place = {"device": self.potential.device}
        volumes = np.abs(np.linalg.det(cells)) * periodic.all()
        return SimpleNamespace(
            atomic_numbers=state.atomic_numbers.long(),
            edge_index=torch.as_tensor(np.stack([idx_j, idx_i]).astype(np.int64), **place),
            r_ij=torch.as_tensor(np.concatenate([f[2] for f in found]), dtype=self.potential.dtype, **place),
            volume=torch.as_tensor(volumes, dtype=self.potential.dtype, **place),
            batch=state.system_idx,
            num_graphs=len(sizes),
        )

    def _neighbours(self, number, positions, cell, periodic):
        """idx_i, idx_j and r_ij of one structure."""
        exploded = not np.isfinite(positions).all()
        if exploded and self.strict:
            raise ValueError(f"structure {number} has exploded; use a shorter timestep, or a better potential for it")
        if exploded:
            self._lists[number] = (None, positions)
            return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3))
        neighbours, last = self._lists.get(number, (None, positions))
        if neighbours is None:
            from vesin import NeighborList

            neighbours = NeighborList(cutoff=self.potential.cutoff, full_list=True, sorted=True, skin=self.skin)
        if periodic.all() and last.shape == positions.shape:
            positions = positions - np.round((positions - last) @ np.linalg.inv(cell)) @ cell
        self._lists[number] = (neighbours, positions)
        return neighbours.compute(positions, cell, periodic, "ijD")


def run_many(
    structures, potential, *, n_steps=1000, temperature=300.0, timestep=0.5, friction=10.0, every=10, seed=0,
    stop_when_broken=True, watch=None,
):  # fmt: skip
    """Langevin MD of many structures at once, at constant volume.

    Parameters
    ----------
    structures : list of ase.Atoms
        All of them molecules, or all of them periodic boxes.
    potential : Potential
    n_steps, every : int
        Steps, and steps between two frames that are kept.
    temperature : float
        K; also of the velocities at the start.
    timestep : float
        fs.
    friction : float
        1/ps, as in `tpainn_lite.md.run_md`, whose guards watch over each structure: one that breaks is no longer
        kept, and the others go on.
    watch : callable, optional
        Called with the runs so far, a list of MDRun, whenever frames are kept.

    Returns
    -------
    list of tpainn_lite.md.MDRun
        One for each structure.

    Raises
    ------
    ValueError
        Molecules and boxes together, or a bad structure (with its number).
    """
    check_settings("nvt", temperature, timestep, n_steps, every)
    _check(structures)
    model = TorchSimPotential(potential, strict=False)
    start, step = torch_sim.nvt_langevin(model, **_in_its_units(model, timestep, temperature, friction))
    runs, bonds = [MDRun() for _ in structures], [bonds_of(a) if stop_when_broken else None for a in structures]
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        state = start(_moving_state(structures, model, temperature, seed))
        _keep(runs, state, model, structures, bonds, 0.0, temperature)
        for k in range(1, n_steps + 1):
            state = step(state)
            if k % every == 0:
                _keep(runs, state, model, structures, bonds, k * timestep, temperature)
                if watch is not None:
                    watch(runs)
    return runs


def _check(structures):
    kinds = {tuple(bool(p) for p in atoms.pbc) for atoms in structures}
    if kinds not in ({(True, True, True)}, {(False, False, False)}):
        given = ", ".join(map(str, sorted(kinds))) or "no structures"
        raise ValueError(f"pbc: {given}; expected are molecules only, or boxes periodic in all directions only")
    for number, atoms in enumerate(structures):
        try:
            check_structure(atoms)
        except ValueError as error:
            raise ValueError(f"structure {number}: {error}") from None


def _in_its_units(model, timestep, temperature, friction):
    """Time step, temperature and friction for torch-sim."""
    time, place = FEMTOSECOND * timestep, {"dtype": model.dtype, "device": model.device}
    values = {"dt": time, "kT": temperature * MetalUnits.temperature, "gamma": friction / (1000 * FEMTOSECOND)}
    return {name: torch.tensor(value, **place) for name, value in values.items()}


def _moving_state(structures, model, temperature, seed):
    """The structures for torch-sim, with velocities: its own are too fast where masses differ (CH4: 562 K for 500)."""
    state = torch_sim.initialize_state([_boxed(atoms) for atoms in structures], model.device, model.dtype)
    moved = [moving(atoms, None, "nvt", temperature, (seed, k))[0] for k, atoms in enumerate(structures)]
    momenta = np.concatenate([atoms.get_momenta() for atoms in moved])
    state.momenta = torch.as_tensor(momenta, dtype=model.dtype, device=model.device)
    return state


def _boxed(atoms):
    """torch-sim wants a cell of molecules, too; nothing is periodic in it."""
    if atoms.cell.rank == 3:
        return atoms
    boxed = atoms.copy()
    boxed.cell = np.eye(3) * (np.ptp(atoms.positions, axis=0).max() + 10)
    return boxed


def _keep(runs, state, model, structures, bonds, time, temperature):
    """One more frame of every structure that still goes on."""
    sizes, energies = [len(atoms) for atoms in structures], state.energy.cpu().numpy()
    momenta, forces = (x.detach().cpu().split(sizes) for x in (state.momenta, state.forces))
    for k, (run, atoms) in enumerate(zip(runs, structures, strict=True)):
        if run.stopped:
            continue
        frame = atoms.copy()
        frame.positions = model.unwrapped(k)
        frame.set_momenta(momenta[k].numpy())
        frame.calc = SinglePointCalculator(frame, energy=float(energies[k]), forces=forces[k].numpy())
        if np.isfinite(frame.positions).all():
            run.remember(frame, time)
            run.frames[-1].calc = frame.calc
        reason = trouble(frame, temperature, bonds[k])
        run.stopped = f"at {time:.0f} fs: {reason}" if reason else None
