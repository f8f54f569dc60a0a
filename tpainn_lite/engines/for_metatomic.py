"""metatomic: one file with the network itself, for LAMMPS, GROMACS, PLUMED, i-PI, ASE and others that load such models.

The file needs no tpainn_lite where it runs.  PaiNN is written down in TorchScript, over the pair vectors that an engine
finds, and in double precision: energies of −10⁴ eV leave no digits for their changes in single.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from tpainn_lite.engines.engine import Answer, Engine, answer_of
from tpainn_lite.engines.scripted import ScriptedPaiNN, torch_without_pyg
from tpainn_lite.model.potential import Potential

MODEL = "potential.pt"
RUN = '''"""MD of start.extxyz by the metatomic model potential.pt, in ASE: python run.py

Other programs load the same file: see in.lammps.
"""

from ase import units
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from metatomic_ase import MetatomicCalculator

atoms = read("start.extxyz")
atoms.calc = MetatomicCalculator("potential.pt")
MaxwellBoltzmannDistribution(atoms, temperature_K=300)
Langevin(atoms, 0.5 * units.fs, temperature_K=300, friction=0.01 / units.fs, trajectory="run.traj").run(1000)
'''
LAMMPS = """# For a LAMMPS that has pair_style metatomic (from conda-forge: lammps-metatomic): lmp -in in.lammps
units metal
atom_style atomic
boundary {boundary}
read_data start.data
pair_style metatomic potential.pt
pair_coeff * * {numbers}
velocity all create 300 1
fix run all nvt temp 300 300 0.1
timestep 0.0005
thermo 10
run 1000
"""


class MetatomicEngine(Engine):
    """metatomic, tested through its ASE calculator."""

    packages = ("metatomic", "metatomic_ase")
    double = True
    advice = "pip install metatomic-torch"

    def files(self, potential: Potential, start: Atoms) -> dict[str, str]:
        """{name: text} of its folder."""
        from tpainn_lite.engines.for_lammps import data_of, species_of

        numbers = " ".join(str(number) for number in species_of(start).values())
        lammps = LAMMPS.format(boundary="p p p" if start.pbc.all() else "s s s", numbers=numbers)
        return {"run.py": RUN, "in.lammps": lammps, "start.data": data_of(start)}

    def build(self, potential: Potential, folder: Path) -> None:
        """The model, as ``potential.pt``."""
        model = metatomic_model(potential)
        with torch_without_pyg():
            model.save(str(folder / MODEL))

    def answers(self, folder: Path, frames: Sequence[Atoms]) -> list[Answer]:
        """What the model in the file computes."""
        return [answer_of(self._calculator(folder), atoms) for atoms in frames]

    def total_energies(self, folder: Path, start: Atoms, n_steps: int, timestep: float) -> NDArray:
        """(n,) eV of ASE's integrator without a thermostat, moved by the model in the file."""
        atoms, energies = start.copy(), []
        atoms.calc = self._calculator(folder)
        run = VelocityVerlet(atoms, timestep * units.fs)
        for _ in run.irun(n_steps):
            energies.append(atoms.get_total_energy())
        return np.array(energies)

    def _calculator(self, folder):
        with torch_without_pyg():
            from metatomic_ase import MetatomicCalculator

            return MetatomicCalculator(str(folder / MODEL))


def metatomic_model(potential: Potential) -> Any:
    """metatomic's `AtomisticModel` of a potential, in double precision; ``.save(path)`` writes it.

    Raises
    ------
    ImportError
        metatomic is not installed.
    """
    with torch_without_pyg():
        import metatomic.torch as mta

    range_of_all = potential.painn.n_interactions * potential.cutoff  # what an atom hears, it hears from neighbours
    outputs = {"energy": mta.ModelOutput(unit="eV", sample_kind="atom", explicit_gradients=[])}
    known = [int(z) for z in torch.nonzero(~potential.atomref.isnan()).flatten()]
    abilities = mta.ModelCapabilities(
        outputs=outputs, atomic_types=known, interaction_range=range_of_all, length_unit="angstrom",
        supported_devices=["cuda", "cpu"], dtype="float64",
    )  # fmt: skip
    level = str(potential.metadata.get("level", "unknown level"))
    about = mta.ModelMetadata(name="PaiNN", description=f"tpainn_lite: PaiNN trained on {level}")
    about.references = {"architecture": ["arXiv:2102.03150"], "model": ["arXiv:2603.24752"], "implementation": []}
    about.extra = {"tpainn_lite": json.dumps(potential.metadata, default=str)}
    return mta.AtomisticModel(_wrapped(potential).eval(), about, abilities)


def _wrapped(potential):
    """The network with its reference energies, as metatomic calls it."""
    from tpainn_lite.engines.metatomic_module import MetatomicPaiNN

    atomref = torch.nan_to_num(potential.atomref.cpu().double(), nan=0.0)
    return MetatomicPaiNN(ScriptedPaiNN(potential.painn), atomref, float(potential.scale), potential.cutoff)
