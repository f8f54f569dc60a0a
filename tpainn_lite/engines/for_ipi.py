"""i-PI: path integrals, replica exchange and more, with our potential as the driver at the other end of a socket."""

import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from tpainn_lite.engines.engine import WEIGHTS, Answer, Engine
from tpainn_lite.model.potential import Potential

SOCKETS = Path("/tmp")  # where i-PI and ASE look for sockets: ipi_ADDRESS
PATIENCE = 60.0  # s, until i-PI has opened its socket
MARGIN = 60.0  # Å around molecules, which i-PI wants in a cell, too
PARTS = "[ step, time{femtosecond}, conserved{electronvolt}, potential{electronvolt}, temperature{kelvin} ]"
EXACT = "[ step, conserved, potential, virial_md ]"  # in Hartree and Bohr: its eV is not quite ASE's
INPUT = """<simulation verbosity='low'>
  <output prefix='run'>
    <properties stride='{every}' filename='out'> {parts} </properties>
    <trajectory stride='{every}' filename='pos'> positions{angstrom} </trajectory>
    <trajectory stride='{every}' filename='force'> forces{ev/ang} </trajectory>
  </output>
  <total_steps>{n_steps}</total_steps>
  <prng><seed>1</seed></prng>
  <ffsocket name='tpainn' mode='unix' pbc='false'><address>{address}</address><latency>1e-4</latency></ffsocket>
  <system>
    <initialize nbeads='1'>
      <file mode='xyz'>init.xyz</file>
      <velocities mode='thermal' units='kelvin'>300</velocities>
    </initialize>
    <forces><force forcefield='tpainn'/></forces>
    <motion mode='dynamics'>
      <dynamics mode='{ensemble}'>
        <timestep units='femtosecond'>{timestep}</timestep>
        <thermostat mode='langevin'><tau units='femtosecond'>100</tau></thermostat>
      </dynamics>
    </motion>
    <ensemble><temperature units='kelvin'>300</temperature></ensemble>
  </system>
</simulation>
"""
DRIVER = '''"""The driver of i-PI: potential.safetensors at the other end of its socket."""

from tpainn_lite.engines.for_ipi import drive

drive("potential.safetensors", "start.extxyz", "{address}")
'''
RUN = '''"""MD of start.extxyz by potential.safetensors in i-PI: python run.py

More beads (nbeads in input.xml) make it path-integral MD; several drivers may serve them.
"""

import subprocess
import sys

from tpainn_lite.engines.for_ipi import program

server = subprocess.Popen([program(), "input.xml"])
driver = subprocess.Popen([sys.executable, "driver.py"])
code = server.wait()
driver.wait()
sys.exit(code)
'''


class IPIEngine(Engine):
    """i-PI."""

    packages = ("ipi",)
    advice = "pip install ipi"

    def files(self, potential: Potential, start: Atoms) -> dict[str, str]:
        """{name: text} of its folder."""
        address = f"tpainn_{secrets.token_hex(4)}"
        text = input_of(address, n_steps=1000, timestep=0.5, ensemble="nvt", every=10)
        driver = DRIVER.replace("{address}", address)
        return {"input.xml": text, "init.xyz": init_of(start), "driver.py": driver, "run.py": RUN}

    def answers(self, folder: Path, frames: Sequence[Atoms]) -> list[Answer]:
        """What i-PI receives from the driver at the first step, in its own units, turned back into ours."""
        found = []
        for atoms in frames:
            table, forces = _run(folder / WEIGHTS, atoms, 1, 0.1)
            _, turn = _standard(atoms)
            stress = None
            if atoms.pbc.all():
                xx, yy, zz, xy, xz, yz = -table[0, 3:9] * units.Ha / units.Bohr**3
                stress = turn.T @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn
            found.append(Answer(float(table[0, 2] * units.Ha), forces @ turn, stress))
        return found

    def total_energies(self, folder: Path, start: Atoms, n_steps: int, timestep: float) -> NDArray:
        """(n,) eV: what i-PI says is conserved."""
        return _run(folder / WEIGHTS, start, n_steps, timestep)[0][:, 1] * units.Ha


def program() -> str:
    """i-PI's command, next to this Python or on the path."""
    here = Path(sys.executable).parent / "i-pi"
    found = str(here) if here.exists() else shutil.which("i-pi")
    if found is None:
        raise OSError("the command i-pi is not there: pip install ipi")
    return found


def input_of(address: str, n_steps: int, timestep: float, ensemble: str, every: int, parts: str = PARTS) -> str:
    """i-PI's input: so many steps of ``timestep`` fs."""
    values = {
        "parts": parts,
        "address": address,
        "n_steps": n_steps,
        "timestep": timestep,
        "ensemble": ensemble,
        "every": every,
    }
    text = INPUT
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def init_of(atoms: Atoms) -> str:
    """i-PI's start; molecules are put into a wide cell, which the potential never sees."""
    standard, _ = _standard(atoms)
    sides = " ".join(f"{x:.8f}" for x in standard.cell.cellpar())
    head = f"{len(atoms)}\n# CELL(abcABC): {sides} cell{{angstrom}} positions{{angstrom}}\n"
    return head + "".join(f"{a.symbol} {a.x:.10f} {a.y:.10f} {a.z:.10f}\n" for a in standard)


def _standard(atoms):
    """The atoms in axes as i-PI wants them, and the rotation (3, 3) into these."""
    standard = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if not atoms.pbc.any():
        standard.cell = np.eye(3) * (np.ptp(atoms.positions, axis=0).max() + MARGIN)
    cell, turn = standard.cell.standard_form()
    standard.set_cell(cell)
    standard.positions = atoms.positions @ turn.T
    return standard, turn


def drive(weights: Path | str, start: Path | str | Atoms, address: str) -> None:
    """Compute energies, forces and virials for i-PI, until it ends.

    Parameters
    ----------
    weights, start
        Files; of the start, the elements and the directions that are periodic matter.
    address
        Of i-PI's unix socket.
    """
    from ase.calculators.socketio import SocketClient

    from tpainn_lite.model.calculator import PotentialCalculator
    from tpainn_lite.reading.frames import read_frames

    atoms = start.copy() if isinstance(start, Atoms) else read_frames(start, (), quiet=True)[0]
    atoms.calc = PotentialCalculator(Potential.load(weights))
    waited = time.monotonic()
    while not (SOCKETS / f"ipi_{address}").exists():
        if time.monotonic() - waited > PATIENCE:
            raise OSError(f"i-PI has opened no socket {SOCKETS}/ipi_{address} within {PATIENCE:g} s: does it run?")
        time.sleep(0.05)
    SocketClient(unixsocket=address).run(atoms, use_stress=bool(atoms.pbc.all()))


def _run(weights, atoms, n_steps, timestep):
    """The table of a run without a thermostat, and the forces (N, 3) in eV/Å of its first step."""
    address = f"tpainn_{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory() as place:
        there = Path(place)
        (there / "input.xml").write_text(input_of(address, n_steps, timestep, "nve", 1, EXACT))
        (there / "init.xyz").write_text(init_of(atoms))
        with (there / "log").open("w") as log:
            server = subprocess.Popen([program(), "input.xml"], cwd=there, stdout=log, stderr=log)
            try:
                drive(weights, atoms, address)
                server.wait(PATIENCE)
            finally:
                server.kill()
                server.wait()
        if server.returncode not in (0, -9) or not (there / "run.out").exists():
            raise OSError(f"i-PI broke down: {(there / 'log').read_text()[-500:]}")
        table = np.loadtxt(there / "run.out", ndmin=2)
        lines = next(there.glob("run.force*")).read_text().splitlines()[2 : 2 + len(atoms)]
    return table, np.array([line.split()[1:4] for line in lines], float)
