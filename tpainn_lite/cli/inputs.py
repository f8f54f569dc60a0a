"""What the command line is given, looked at before any work: files to read, files to write, weights, teachers."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from tpainn_lite.cli.notes import say
from tpainn_lite.reading.formats import is_folder
from tpainn_lite.reading.frames import labelled_frames
from tpainn_lite.reading.labels import without_labels
from tpainn_lite.reading.oddities import REFUSED, find_cells, find_lengths
from tpainn_lite.reading.smiles_files import is_smiles_file, read_smiles
from tpainn_lite.structures.arguments import DatasetError, check_counts, check_numbers
from tpainn_lite.structures.files import check_folder, check_readable, check_target, is_weights
from tpainn_lite.structures.protocols import Teacher

if TYPE_CHECKING:
    from tpainn_lite.model.potential import Potential
    from tpainn_lite.teachers.parallel import Jobs

COOLEST = 300.0  # K; molecules are shaken at this temperature, and up to another
MOST_FRAMES, HOTTEST = 1_000_000, 100_000.0  # of a molecule; K
LARGEST_SEED = 2**31 - 1  # that every program behind the library takes


class Ensemble(StrEnum):
    """What MD holds constant."""

    nve = "nve"
    nvt = "nvt"
    nvt_nh = "nvt-nh"
    npt = "npt"


class TeacherName(StrEnum):
    """Who labels."""

    auto = "auto"
    mmff94 = "mmff94"
    mmff94_liquid = "mmff94-liquid"
    uff = "uff"
    q_tip4p_f = "q-tip4p-f"
    spc_fw = "spc-fw"
    iamoeba = "iamoeba"
    gfn_ff = "gfn-ff"
    gfn2_xtb = "gfn2-xtb"
    gfn1_xtb = "gfn1-xtb"
    b3lyp = "b3lyp"
    pbe0 = "pbe0"
    wb97x = "wb97x"
    revpbe_d3 = "revpbe-d3"


BY_PYSCF = (TeacherName.b3lyp, TeacherName.pbe0, TeacherName.wb97x)


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; for the others, the functions of the library have their own defaults.

    >>> given(steps=None, seed=1)
    {'seed': 1}
    """
    return {name: value for name, value in options.items() if value is not None}


# --- files ---


def check_source(*paths: Path | None) -> None:
    """Raise an error unless each of these is a file with something in it that can be read; None is no file."""
    for path in paths:
        if path is not None and not is_folder(path):
            check_readable(path, "a file of frames, structures, SMILES or weights")


def check_weights_target(target: Path, *sources: Path | None) -> None:
    """Raise an error where weights could not be written, or would overwrite anything but weights of ours."""
    check_target(target, sources, (".safetensors",), is_weights)


def check_checkpoint(folder: Path | None, target: Path) -> None:
    """Raise an error where the state of a training could not be kept in a folder; the weights go to ``target``."""
    if folder is None:
        return
    check_folder(folder)
    if folder.resolve() == target.resolve():
        raise ValueError(f"{folder} is the file for the weights; --checkpoint needs a folder of its own")


def check_weights(*names: Path) -> None:
    """Raise an error unless each is a file that can be read, or the name of shipped weights."""
    from tpainn_lite.model.pretrained import PRETRAINED

    for name in names:
        if name.exists() or str(name) not in PRETRAINED:
            check_readable(name, f"weights: a .safetensors, or one of {', '.join(PRETRAINED)}")


def weights_of(name: Path) -> "Potential":
    """The potential in a file; where there is no such file, the shipped one of this name."""
    from tpainn_lite.model.potential import Potential
    from tpainn_lite.model.pretrained import load_pretrained

    return Potential.load(name) if name.exists() else load_pretrained(str(name))


def elements_of(pairs: Sequence[str]) -> dict[str, str]:
    """{new symbol: known symbol} of ``Se=S``."""
    split = [pair.split("=") for pair in pairs]
    if any(len(parts) != 2 or not all(parts) for parts in split):
        raise ValueError(f"--new-element is {' '.join(pairs)!r}; Se=S, the new one first, is expected")
    return dict(split)


def labelled(path: Path, need: Sequence[str] = ("any",), **how: str) -> list[Atoms]:
    """Frames of a file that `check_source` accepts, with labels; says what was taken.

    ``how``: ``energy_key``, ``forces_key``, ``stress_key`` and ``units``, as of `read_frames`.
    """
    try:
        frames, line = labelled_frames(path, need, **how)
    except DatasetError as error:
        raise error if path.name in str(error) else DatasetError(f"{path}: {error}") from None
    say(line)
    return frames


# --- structures ---


class FramesOf:
    """Frames of a file, one after the other; of molecules made from SMILES so many each, shaken.  They are counted."""

    def __init__(self, source: Path, n_frames: int, hottest: float, seed: int, units: str | None = None) -> None:
        from tpainn_lite.teachers.sample import shaken_molecules

        self.left_out: list[str] = []  # SMILES of which no molecule could be made
        self.n = 0  # frames that were taken
        self.frames: Iterator[Atoms]
        if is_smiles_file(source):
            molecules = listed(source)
            self.frames = shaken_molecules(molecules, n_frames, (COOLEST, hottest), seed, self.left_out)
        else:
            self.frames = map(without_labels, structures_of(source, units))

    def __iter__(self) -> Iterator[Atoms]:
        for atoms in self.frames:
            self.n += 1
            yield atoms

    def missing(self, n_labelled: int) -> str:
        """What was left out, in a few words; nothing where all is there."""
        molecules = [f"{len(self.left_out)} SMILES"] if self.left_out else []
        frames = [f"{self.n - n_labelled} of {self.n} frames"] if self.n > n_labelled else []
        return " and ".join(molecules + frames)


def structures_of(source: Path, units: str | None = None) -> list[Atoms]:
    """Structures of a file; says what is odd about their cells, and refuses lengths that are not in Å."""
    frames = labelled(source, (), **given(units=units))
    lengths = find_lengths(frames)
    if lengths.verdict == REFUSED and "positions" not in (units or ""):
        unit = lengths.found.rpartition(" ")[2]
        raise DatasetError(
            f"{source.name}: bonds are {lengths.found}; --units positions={unit} converts them (tpainn check --write, "
            "for good), --units positions=Å takes them as they are"
        )
    for row in find_cells(frames):
        if row.test == "cell":
            say(f"{source.name}: look at this: {row.found}")
    return frames


def check_shaking(frames: int, hottest: float, seed: int) -> None:
    """Raise ValueError where molecules cannot be shaken so."""
    check_counts(most=MOST_FRAMES, frames=frames)
    check_numbers(hottest=hottest)
    check_seed(seed)
    if not COOLEST <= hottest <= HOTTEST:
        raise ValueError(f"hottest is {hottest:g} K; {COOLEST:g} to {HOTTEST:g} K is expected")


def check_seed(seed: int | None) -> None:
    """Raise ValueError for a seed that some program behind the library does not take; None is none."""
    if seed is not None:
        check_counts(least=0, most=LARGEST_SEED, seed=seed)


def start_of(source: Path, units: str | None = None) -> Atoms:
    """The last structure of a file, or the molecule of its first SMILES."""
    from tpainn_lite.structures.build import molecule

    check_source(source)
    if is_smiles_file(source):
        first, *others = listed(source)
        if others:
            say(f"{source.name}: the first of them, {first!r}, is taken")
        return molecule(first)
    frames = structures_of(source, units)
    if len(frames) > 1:
        say(f"{source.name}: the last of its {len(frames)} structures is taken")
    return frames[-1]


def listed(source: Path) -> list[str]:
    """The SMILES of a list that `check_source` accepts, of which there is one at least; says which were taken."""
    smiles, line = read_smiles(source)
    if not smiles:
        raise ValueError(f"{source} holds no SMILES; one in each line, or a table with a column 'smiles', is expected")
    say(line)
    return smiles


# --- calculators ---


def has_pyscf() -> bool:
    """Whether PySCF is installed."""
    return find_spec("pyscf") is not None


def name_unseen(weights: Sequence[Path], atoms: Atoms) -> None:
    """Say which elements of a structure were in none of the labels that weights were last trained on."""
    for name in weights:
        seen = weights_of(name).metadata.get("labelled")
        unseen = sorted(set(atoms.symbols) - set(seen)) if seen else []
        if unseen:
            say(f"{name}: {', '.join(unseen)} was in none of the labels it was last trained on; do not trust it there")


def calculator_of(weights: Sequence[Path]) -> Calculator:
    """For MD: of one potential, or of a committee of several."""
    from tpainn_lite.model.calculator import PotentialCalculator
    from tpainn_lite.model.committee import Committee

    potentials = [weights_of(path) for path in weights]
    return PotentialCalculator(potentials[0]) if len(potentials) == 1 else Committee(potentials).calculator()


def calculator(teacher: TeacherName) -> Teacher:
    """The calculator of this name; for "auto" the one that finds the classical teacher for each structure.

    Raises ImportError where it needs a package that is not installed.
    """
    from tpainn_lite.teachers import auto, cp2k, dft, gfn_ff, mmff_liquid, rdkit, water, xtb

    made_by: dict[TeacherName, Callable[[], Teacher]] = {
        TeacherName.auto: auto.AutoForceField,
        TeacherName.mmff94: rdkit.mmff94,
        TeacherName.mmff94_liquid: mmff_liquid.mmff94_liquid,
        TeacherName.uff: rdkit.uff,
        TeacherName.q_tip4p_f: water.water,
        TeacherName.spc_fw: lambda: water.water("SPC/Fw"),
        TeacherName.iamoeba: lambda: water.water("iAMOEBA"),
        TeacherName.gfn_ff: gfn_ff.gfn_ff,
        TeacherName.gfn2_xtb: xtb.gfn2_xtb,
        TeacherName.gfn1_xtb: xtb.gfn1_xtb,
        TeacherName.b3lyp: dft.PySCFCalculator,
        TeacherName.pbe0: lambda: dft.PySCFCalculator("pbe0"),
        TeacherName.wb97x: lambda: dft.PySCFCalculator("wb97x"),
        TeacherName.revpbe_d3: cp2k.CP2KCalculator,
    }
    return made_by[teacher]()


@contextmanager
def workers(jobs: int, scheduler: str | None) -> Iterator["Jobs"]:
    """Who does the work: so many processes, or the workers of the Dask scheduler at an address, if one is given."""
    from tpainn_lite.teachers.parallel import scheduler_at

    with scheduler_at(scheduler) if scheduler else nullcontext(jobs) as crew:
        yield crew


def check_teacher(teacher: TeacherName) -> None:
    """Raise ImportError or OSError before any work where the program of a teacher is not installed."""
    if teacher in BY_PYSCF and not has_pyscf():
        raise ImportError(f"--with {teacher} needs PySCF: pip install 'tpainn_lite[dft]'")
    if teacher == TeacherName.revpbe_d3 and not any(map(shutil.which, ("cp2k.psmp", "cp2k.ssmp", "cp2k"))):
        raise OSError("--with revpbe-d3 needs CP2K: apt-get install cp2k, or conda install -c conda-forge cp2k")
    calculator(teacher)
