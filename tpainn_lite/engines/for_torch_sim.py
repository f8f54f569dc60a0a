"""torch-sim: many structures in one step (`tpainn_lite.simulate.many`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.engines.engine import WEIGHTS, Answer, Engine
from tpainn_lite.model.potential import Potential

RUN = '''"""MD of copies of start.extxyz by potential.safetensors in torch-sim, all in one step: python run.py"""

from tpainn_lite import Potential
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.simulate.many import TorchSimPotential, run_many

start = read_frames("start.extxyz", (), quiet=True)[0]
potential = Potential.load("potential.safetensors")
runs = run_many([start] * 4, potential, n_steps=1000, temperature=300, timestep=0.5, every=10)
for k, run in enumerate(runs):
    print(k, run)
    write_frames(f"run_{k}.extxyz", run.frames)

# With torch-sim's own functions the potential is a model as any other:
#     torch_sim.optimize(system=[start], model=TorchSimPotential(potential), optimizer=…)
'''


class TorchSimEngine(Engine):
    """torch-sim."""

    packages = ("torch_sim",)
    advice = "pip install 'tpainn_lite[batched]'"

    def files(self, potential: Potential, start: Atoms) -> dict[str, str]:
        """{name: text} of its folder."""
        return {"run.py": RUN}

    def answers(self, folder: Path, frames: Sequence[Atoms]) -> list[Answer]:
        """What torch-sim's model computes, one structure after the other: they may be periodic or not."""
        import torch_sim

        from tpainn_lite.simulate.many import TorchSimPotential

        model, found = TorchSimPotential(Potential.load(folder / WEIGHTS)), []
        for atoms in frames:
            state = torch_sim.initialize_state([_boxed(atoms)], model.device, model.dtype)
            out = {name: value.detach().cpu().numpy() for name, value in model(state).items()}
            found.append(Answer(float(out["energy"][0]), out["forces"], out["stress"][0] if atoms.pbc.all() else None))
            model = TorchSimPotential(model.potential)  # lists of neighbours belong to one structure
        return found

    def total_energies(self, folder: Path, start: Atoms, n_steps: int, timestep: float) -> NDArray:
        """(n,) eV of torch-sim's own integrator without a thermostat."""
        import torch_sim

        from tpainn_lite.simulate.many import FEMTOSECOND, TorchSimPotential

        model = TorchSimPotential(Potential.load(folder / WEIGHTS))
        dt, zero = (torch.tensor(x, dtype=model.dtype) for x in (timestep * FEMTOSECOND, 0.0))
        state = torch_sim.initialize_state([_boxed(start)], model.device, model.dtype)
        if hasattr(torch_sim, "nve_step"):  # since 0.4
            state = torch_sim.nve_init(state=state, model=model, kT=zero)
            step = lambda state: torch_sim.nve_step(state=state, model=model, dt=dt)  # noqa: E731
        else:
            begin, step = torch_sim.nve(model, dt=dt, kT=zero)
            state = begin(state)
        state.momenta = torch.as_tensor(start.get_momenta(), dtype=model.dtype)
        masses, energies = torch.as_tensor(start.get_masses(), dtype=model.dtype)[:, None], []
        for _ in range(n_steps + 1):
            energies.append(float(state.energy[0]) + float((state.momenta**2 / masses).sum()) / 2)
            state = step(state)
        return np.array(energies)


def _boxed(atoms):
    """torch-sim wants a cell of molecules, too; nothing is periodic in it."""
    if atoms.cell.rank == 3:
        return atoms
    boxed = atoms.copy()
    boxed.cell = np.eye(3) * (np.ptp(atoms.positions, axis=0).max() + 20)
    return boxed
