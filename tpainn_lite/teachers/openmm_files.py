"""Files that OpenMM reads force fields from: its own XML; AMBER's, GROMACS's and CHARMM's topologies."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.reading.frames import read_frames
from tpainn_lite.structures.arguments import ForceFieldError, check_numbers, shown
from tpainn_lite.structures.files import check_readable
from tpainn_lite.structures.geometry import bonds_of, check_extent

TOLERANCE = 1e-5  # of the Ewald sum's forces
OURS = ("nonbondedMethod", "nonbondedCutoff", "constraints", "rigidWater", "removeCMMotion", "ewaldErrorTolerance")
FORMATS = ".xml (a System), .prmtop, .parm7, .top or .psf"


@dataclass
class ForceFieldFile:
    """What a file holds: OpenMM's Systems, without a box and in one; atomic numbers (N,) and bonds (n, 2).

    ``near`` (n, 2): where there are positions, pairs of atoms as near as bonded ones.
    """

    name: str
    systems: list[Any]
    numbers: NDArray
    bonds: NDArray
    near: NDArray


def read_force_field(
    system: Any, topology: Any, parameters: Any, cutoff: float, settings: dict[str, Any]
) -> ForceFieldFile:
    """As `tpainn_lite.teachers.openmm_teacher.openmm_teacher` takes them."""
    check_numbers(above=0, cutoff=cutoff)
    fixed = sorted(settings.keys() & set(OURS))
    if fixed:
        raise ValueError(f"{', '.join(fixed)} cannot be chosen: labels need flexible molecules and PME or no cutoff")
    if not isinstance(system, (str, Path)):
        return _given(system, "a System", topology, settings)
    path = Path(system)
    check_readable(path, "a force field that OpenMM can read")
    readers = {".prmtop": _amber, ".parm7": _amber, ".top": _gromacs, ".psf": _charmm}
    if path.suffix == ".xml":
        return _given(_system_in(path), path.name, topology, settings)
    if path.suffix not in readers:
        raise ValueError(f"{path.name} is no file that OpenMM reads a force field from; {FORMATS} is expected")
    if topology is not None:
        raise ValueError(f"{path.name} says which atoms it is for: topology has to be left out")
    return _created(path, readers[path.suffix], parameters, cutoff, settings)


def _given(system, name, topology, settings):
    """Of a System that is there already."""
    import openmm

    if not isinstance(system, openmm.System):
        raise TypeError(f"system is {shown(system)}; OpenMM's System, or a file of it, is expected")
    if settings:
        raise ValueError(f"{', '.join(settings)} cannot be set for a System that is there already")
    if topology is None:
        raise ValueError(f"{name} says nothing of elements: topology (OpenMM's, ase.Atoms, or a .pdb) is expected")
    return ForceFieldFile(name if name != "a System" else "OpenMM's System", [system], *_atoms_of(topology, system))


def _system_in(path):
    import openmm

    text = path.read_text(encoding="utf-8", errors="replace")
    if "<ForceField" in text[:2000]:
        raise ValueError(
            f"{path.name} is a force field, not a System: openmm.app.ForceField(file).createSystem(topology, "
            "constraints=None, rigidWater=False, …) makes one"
        )
    try:
        system = openmm.XmlSerializer.deserialize(text)
    except (openmm.OpenMMException, ValueError) as error:
        raise ValueError(f"{path.name} is no XML of OpenMM's System ({error})") from None
    if not isinstance(system, openmm.System):
        raise ValueError(f"{path.name} holds OpenMM's {type(system).__name__}; a System is expected")
    return system


def _created(path, reader, parameters, cutoff, settings):
    """Of files from which OpenMM makes a System: one without a box, and one in a box."""
    from openmm import app

    try:
        topology, create = reader(path, parameters, 2.1 * cutoff / 10)
        common = {"constraints": None, "rigidWater": False, "removeCMMotion": False, **settings}
        boxed = {"nonbondedMethod": app.PME, "nonbondedCutoff": cutoff / 10, "ewaldErrorTolerance": TOLERANCE}
        systems = [create(nonbondedMethod=app.NoCutoff, **common), create(**boxed, **common)]
    except (ForceFieldError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{path.name}: OpenMM cannot make a System of it ({type(error).__name__}: {error})") from error
    return ForceFieldFile(path.name, systems, *_atoms_of(topology, systems[0]))


def _amber(path: Path, parameters: Any, edge: float) -> tuple[Any, Callable]:
    from openmm import app

    file = app.AmberPrmtopFile(str(path), periodicBoxVectors=np.eye(3) * edge)
    return file.topology, file.createSystem


def _gromacs(path: Path, parameters: Any, edge: float) -> tuple[Any, Callable]:
    from openmm import app

    folder = {"includeDir": str(parameters)} if parameters else {}
    how = {"periodicBoxVectors": np.eye(3) * edge, "defines": {"FLEXIBLE": "1"}, **folder}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files open
        file = app.GromacsTopFile(str(path), **how)
    return file.topology, file.createSystem


def _charmm(path: Path, parameters: Any, edge: float) -> tuple[Any, Callable]:
    from openmm import app

    files = [parameters] if isinstance(parameters, (str, Path)) else list(parameters)
    if not files:
        raise ForceFieldError(f"{path.name} names no parameters: parameters=[files .rtf, .prm, .str] are expected")
    for file in files:
        check_readable(Path(file), "parameters of CHARMM")
    psf, constants = app.CharmmPsfFile(str(path)), app.CharmmParameterSet(*map(str, files))

    def create(nonbondedMethod, **how):
        if nonbondedMethod is app.PME:
            psf.setBox(edge, edge, edge)
        return psf.createSystem(constants, nonbondedMethod=nonbondedMethod, **how)

    return psf.topology, create


def _atoms_of(topology, system):
    """Atomic numbers (N,), bonds (n, 2) and near pairs (n, 2) of the atoms of a topology, whatever it is."""
    none = np.zeros((0, 2), int)
    if isinstance(topology, (str, Path)):
        topology = _topology_in(Path(topology))
    if isinstance(topology, Atoms):
        check_extent(topology.positions, topology.cell.array, topology.pbc, "the topology")
        return topology.numbers.copy(), none, bonds_of(topology) if len(topology) > 1 else none
    if not callable(getattr(topology, "atoms", None)):
        raise TypeError(f"topology is {shown(topology)}; OpenMM's Topology, ase.Atoms, or a file is expected")
    atoms = list(topology.atoms())
    sites = {k for k in range(system.getNumParticles()) if system.isVirtualSite(k)}
    real = [k for k in range(len(atoms)) if k not in sites]
    if len(sites) and len(atoms) == system.getNumParticles() - len(sites):
        real = list(range(len(atoms)))  # a topology without the sites
    place = {atoms[k].index: n for n, k in enumerate(real)}
    numbers = np.array([_number(atoms[k]) for k in real])
    pairs = [(bond[0].index, bond[1].index) for bond in topology.bonds()]
    bonds = [(place[i], place[j]) for i, j in pairs if i in place and j in place]
    return numbers, np.array(bonds, dtype=int).reshape(-1, 2), none


def _number(atom):
    if atom.element is None:
        raise ForceFieldError(
            f"atom {atom.index} ({atom.name}) of the topology has no element: it is no atom, and no site that OpenMM "
            "places itself"
        )
    return atom.element.atomic_number


def _topology_in(path):
    """OpenMM's `Topology` in a .pdb or .cif, or the structure in another file."""
    from openmm import app

    check_readable(path, "a topology: .pdb, .cif, or a file of a structure")
    kinds: dict[str, Callable] = {".pdb": app.PDBFile, ".cif": app.PDBxFile}
    try:
        if path.suffix in kinds:
            return kinds[path.suffix](str(path)).topology
    except Exception as error:
        raise ValueError(f"{path.name}: OpenMM finds no topology in it ({type(error).__name__}: {error})") from error
    return read_frames(path, (), quiet=True)[0]
