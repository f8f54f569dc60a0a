"""A potential for another program: a folder with all that it needs, and proof that it computes the same there."""

import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.optimize import FIRE

from tpainn_lite.engines.engine import (
    KELVIN,
    START,
    TIMESTEP,
    WEIGHTS,
    Answer,
    Engine,
    answer_of,
    moving_start,
)
from tpainn_lite.engines.for_ipi import IPIEngine
from tpainn_lite.engines.for_lammps import LAMMPSEngine
from tpainn_lite.engines.for_metatomic import MetatomicEngine
from tpainn_lite.engines.for_openmm import OpenMMEngine
from tpainn_lite.engines.for_torch_sim import TorchSimEngine
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.reading.frames import write_frames
from tpainn_lite.simulate.observables import energy_drift
from tpainn_lite.structures.arguments import check_choice, check_counts
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.files import check_folder, path_of, write_text
from tpainn_lite.structures.liquids import liquid

ENGINES: dict[str, Engine] = {
    "openmm": OpenMMEngine(), "ipi": IPIEngine(), "torch-sim": TorchSimEngine(), "metatomic": MetatomicEngine(),
    "lammps": LAMMPSEngine(),
}  # fmt: skip
NOTE, PROOF = "README.md", "check.txt"
STEPS = 200  # of the run that is checked: 0.1 ps
ENERGY, FORCES, STRESS = 1e-5, 1e-4, 1e-5  # eV per atom, eV/Å, eV/Å³ (1.6 MPa), by which answers may differ
RESTING, RELAXATION = 0.5, 100  # eV/Å, steps: before that run
WANDER = 1e-3  # eV per atom, by which the total energy may wander during that run
MOLECULES = ("CCO", "CO", "O", "C", "N", "[H][H]", "N#N", "FF")  # for a start, where none is given
ROOM = 4.0  # Å around a molecule in the box that its stress is compared in


class ExportError(RuntimeError):
    """The other program computes something else; the message says what."""


@dataclass
class Proof:
    """How far the answers of another program are from ours."""

    engine: str
    energy: float = 0.0  # eV per atom
    forces: float = 0.0  # eV/Å
    stress: float = 0.0  # eV/Å³
    wander: float = 0.0  # eV per atom
    drift: float = 0.0  # meV per atom and ps
    why_not: str | None = None  # nothing was checked
    frames: int = field(default=0)

    def __str__(self) -> str:
        if self.why_not:
            return f"{self.engine}: written, not checked here, because {self.why_not}"
        return (
            f"{self.engine}: {self.frames} structures differ from ours by {self.energy:.1e} eV per atom, "
            f"{self.forces:.1e} eV/Å, {self.stress:.1e} eV/Å³; in {STEPS} steps of {TIMESTEP} fs without a thermostat "
            f"the total energy wandered by {1000 * self.wander:.2g} meV per atom"
        )

    @property
    def wrong(self) -> list[str]:
        """What is too far from ours."""
        limits = {"energy": ENERGY, "forces": FORCES, "stress": STRESS, "wander": WANDER}
        units = {"energy": "eV per atom", "forces": "eV/Å", "stress": "eV/Å³", "wander": "eV per atom of drift"}
        return [f"{getattr(self, n):.1e} {units[n]}" for n, limit in limits.items() if not getattr(self, n) <= limit]


def export(
    potential: Potential, engine: str, folder: Path | str, start: Atoms | None = None, check: bool = True
) -> Proof:
    """Write a potential for another program into a folder, with an input that runs, and compare its answers with ours.

    The folder holds the weights, the start, ``run.py``, what else the program needs, and ``README.md``; and
    ``check.txt``, what the comparison found: energies, forces and stress of the start, of it shaken, and in a box; and
    the total energy of a short run.

    Parameters
    ----------
    potential
    engine
        "openmm", "ipi", "torch-sim", "metatomic" or "lammps".
    folder
        Is made; what it holds of an earlier export is replaced.
    start
        A small molecule or a box of water, as the potential knows the elements, unless given.
    check
        Whether to compare, where the program is installed.

    Raises
    ------
    ExportError
        The program computes something else, or its energy drifts.
    ValueError, OSError, ImportError
        The start makes no sense for this potential; the folder holds other files; metatomic, which has to write its own
        file, is not installed.

    >>> from tpainn_lite import load_pretrained
    >>> export(load_pretrained("gas"), "openmm", "for_openmm")  # doctest: +SKIP
    """
    check_potential(potential)
    check_choice(tuple(ENGINES), engine=engine)
    program, folder = ENGINES[engine], path_of(folder, "folder")
    start = default_start(potential) if start is None else start
    check_structure(start, "the start")
    PotentialCalculator(potential).get_potential_energy(start.copy())  # which raises an error for unknown elements
    if start.pbc.any() and not start.pbc.all():
        raise ValueError(f"the start has pbc {start.pbc.tolist()}; a molecule or a box periodic all over is expected")
    _check_ours(folder, engine)
    why_not = program.trouble()
    if engine == "metatomic" and why_not:
        raise ImportError(f"metatomic writes the model's file itself, but {why_not}")
    _write(program, potential, engine, folder, start)
    proof = Proof(engine, why_not="--no-check was given" if not check else why_not)
    if proof.why_not is None:
        proof = prove(potential, engine, folder, start)
    write_text(folder / PROOF, f"{proof}\n")
    if proof.wrong:
        raise ExportError(
            f"{engine} computes something else than we do: {', '.join(proof.wrong)} (see {folder / PROOF})"
        )
    return proof


def _check_ours(folder, engine):
    """Raise OSError where a folder holds what no export has written."""
    check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NOTE).is_file():
        raise OSError(f"{folder} holds other files: a new folder, or that of an earlier export, is expected")
    if (folder / NOTE).is_file() and not (folder / NOTE).read_text(encoding="utf-8").startswith(_title(engine)):
        raise OSError(f"{folder} holds something else than an export for {engine}: a new folder is expected")


def _title(engine):
    return f"# A potential for {engine}, exported by tpainn_lite"


def _write(program, potential, engine, folder, start):
    folder.mkdir(parents=True, exist_ok=True)
    bare = Atoms(start.numbers, start.positions, cell=start.cell, pbc=start.pbc, info=_said(start))
    if start.has("masses"):
        bare.set_masses(start.get_masses())
    texts = program.files(potential, bare)
    level = potential.metadata.get("level", "an unknown level of theory")
    about = f"{_title(engine)}\n\nPaiNN trained on {level}; elements {', '.join(potential.elements)}.\n\n"
    about += f"Install: {program.advice}\n\nRun: `python run.py`, in this folder.\n\n| file | holds |\n|---|---|\n"
    about += f"| `{WEIGHTS}` | the weights |\n| `{START}` | the start |\n| `{PROOF}` | what was compared |\n"
    about += "".join(f"| `{name}` | {_held(name)} |\n" for name in texts)
    write_text(folder / NOTE, about)
    potential.save(folder / WEIGHTS)
    write_frames(folder / START, [bare])
    for name, text in texts.items():
        write_text(folder / name, text)
    program.build(potential, folder)


def _held(name):
    return {"run.py": "the run", "driver.py": "what computes for i-PI"}.get(name, "what the program reads")


def _said(start):
    return {key: start.info[key] for key in ("charge", "multiplicity", "smiles", "molecules") if key in start.info}


def prove(potential: Potential, engine: str, folder: Path | str, start: Atoms, n_steps: int = STEPS) -> Proof:
    """Compare an engine's answers, with what is in the folder, with ours; see `export`."""
    check_counts(n_steps=n_steps)
    program, frames = ENGINES[engine], frames_to_compare(start)
    compared = copy.deepcopy(potential).double() if program.double else potential
    ours = [answer_of(PotentialCalculator(compared), atoms) for atoms in frames]
    theirs = program.answers(Path(folder), frames)
    proof = Proof(engine, frames=len(frames))
    for one, other, atoms in zip(ours, theirs, frames, strict=True):
        _widen(proof, one, other, len(atoms))
    moving = moving_start(_relaxed(start, potential), KELVIN)
    energies = program.total_energies(Path(folder), moving, n_steps, TIMESTEP)
    proof.wander = float(np.abs(energies - energies[0]).max() / len(start))
    proof.drift = energy_drift(np.linspace(0, n_steps * TIMESTEP, len(energies)), energies, len(start))
    return proof


def _relaxed(start, potential):
    """The start without its largest forces: what is far from rest heats up, and no time step of MD suits it."""
    atoms = start.copy()
    atoms.calc = PotentialCalculator(potential)
    FIRE(atoms, logfile=None).run(fmax=RESTING, steps=RELAXATION)
    atoms.calc = None
    return atoms


def _widen(proof: Proof, one: Answer, other: Answer, n_atoms: int) -> None:
    """Take another structure into the largest differences; NaN is one."""
    proof.energy = float(np.maximum(proof.energy, abs(one.energy - other.energy) / n_atoms))
    proof.forces = float(np.maximum(proof.forces, np.abs(one.forces - other.forces).max()))
    if one.stress is not None and other.stress is not None:
        proof.stress = float(np.maximum(proof.stress, np.abs(one.stress - other.stress).max()))


def frames_to_compare(start: Atoms) -> list[Atoms]:
    """The start, and it shaken; of a molecule also a narrow, skewed box, so that there is a stress to compare."""
    shaken = start.copy()
    shaken.positions += np.random.default_rng(0).normal(0, 0.03, shaken.positions.shape)
    if start.pbc.all():
        return [start.copy(), shaken]
    boxed = shaken.copy()
    sides = np.ptp(boxed.positions, axis=0) + ROOM
    boxed.cell, boxed.pbc = np.diag(sides) + np.array([[0, 0, 0], [0.3, 0, 0], [-0.2, 0.4, 0]]), True
    return [start.copy(), shaken, boxed]


def default_start(potential: Potential) -> Atoms:
    """A structure of elements that a potential knows: a box of water if it knows no others, or a small molecule."""
    known = set(potential.elements)
    if known == {"H", "O"}:
        return _relaxed(liquid("O", 32, density=1.0), potential)
    for smiles in MOLECULES:
        atoms = molecule(smiles)
        if set(atoms.get_chemical_symbols()) <= known:
            return atoms
    raise ValueError(
        f"the potential knows {', '.join(potential.elements)}; a start that it can compute is expected: --start"
    )
