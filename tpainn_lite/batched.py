"""MD of many structures in one step: any `Potential` as a model of torch-sim.

torch-sim (Cohen et al. 2025, arXiv:2508.06628) brings the integrators, the optimisers and the filling of a GPU's
memory; here is what it has to know of our potentials.  An optional extra: ``pip install 'tpainn_lite[batched]'``.
"""

from types import SimpleNamespace

import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.calculator import SKIN
from tpainn_lite.checks import check_structure
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

    Positions and momenta are kept in float64, whatever the potential's precision.
    """

    def __init__(self, potential, skin=SKIN):
        super().__init__()
        self.potential, self.skin = potential.eval(), skin
        self._device, self._dtype = potential.device, torch.float64
        self._compute_forces = self._compute_stress = True
        self._pairs = {}  # number of the structure: vesin's neighbour list
        self._fast = None
        if potential.can_be_compiled():
            from tpainn_lite.fast import FastPotential

            self._fast = FastPotential(potential)

    def forward(self, state, **_):
        """``energy`` (B,) in eV, ``forces`` (N, 3) in eV/Å and ``stress`` (B, 3, 3) in eV/Å³ of a ``SimState``."""
        graph = self._graph(state if isinstance(state, torch_sim.SimState) else torch_sim.SimState(**state))
        if self._fast is None:
            output = self.potential(graph)
            return {key: output[key].detach().to(self.dtype) for key in ("energy", "forces", "stress")}
        self.potential._check_elements(graph.atomic_numbers)
        energy, forces, virial = (values.to(self.dtype) for values in self._fast.of_graph(graph))
        energy = energy + self.potential._reference(graph)
        return {"energy": energy, "forces": forces, "stress": stress_of(virial, graph.volume)}

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
        if not np.isfinite(positions).all():
            raise ValueError(f"structure {number} has exploded; use a shorter timestep, or a better potential for it")
        if number not in self._pairs:
            from vesin import NeighborList

            self._pairs[number] = NeighborList(
                cutoff=self.potential.cutoff, full_list=True, sorted=True, skin=self.skin
            )
        return self._pairs[number].compute(positions, cell, periodic, "ijD")


def run_many(
    structures, potential, *, n_steps=1000, temperature=300.0, timestep=0.5, friction=10.0, every=10, seed=0, watch=None
):
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
        1/ps, as in `run_md`.
    watch : callable, optional
        Called with the newest frames, a list of ase.Atoms, whenever some are kept.

    Returns
    -------
    list of list of ase.Atoms
        The frames of each structure, the first ``every`` steps after the start, with energies and forces.

    Raises
    ------
    ValueError
        Molecules and boxes together, a bad structure (with its number), or a run that explodes.
    """
    _check(structures)
    model, trajectories = TorchSimPotential(potential), []
    start, step = torch_sim.nvt_langevin(model, seed=seed, **_in_its_units(model, timestep, temperature, friction))
    state = torch_sim.initialize_state([_boxed(atoms) for atoms in structures], model.device, model.dtype)
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        state = start(state)
        for k in range(1, n_steps + 1):
            state = step(state)
            if k % every == 0:
                trajectories.append(_frames(state, structures))
                if watch is not None:
                    watch(trajectories[-1])
    return [list(frames) for frames in zip(*trajectories, strict=True)]


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


def _boxed(atoms):
    """torch-sim wants a cell of molecules, too; nothing is periodic in it."""
    if atoms.cell.rank == 3:
        return atoms
    boxed = atoms.copy()
    boxed.cell = np.eye(3) * (np.ptp(atoms.positions, axis=0).max() + 10)
    return boxed


def _frames(state, structures):
    """The structures as they are now, with energies (eV) and forces (eV/Å)."""
    sizes = [len(atoms) for atoms in structures]
    energies = state.energy.cpu().numpy()
    parts = (values.detach().cpu().split(sizes) for values in (state.positions, state.momenta, state.forces))
    frames = []
    for atoms, energy, *arrays in zip(structures, energies, *parts, strict=True):
        positions, momenta, forces = (array.numpy().astype(float) for array in arrays)
        frame = atoms.copy()
        frame.positions = positions
        frame.set_momenta(momenta)
        frame.calc = SinglePointCalculator(frame, energy=float(energy), forces=forces)
        frames.append(frame)
    return frames
