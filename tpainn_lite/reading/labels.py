"""Which numbers of a file are its labels: found by their names, moved to where the library looks, said in one line.

Where two sets of labels stand in one file, somebody has to decide.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.reading.extxyz import matrix_of, voigt_of
from tpainn_lite.reading.label_names import KINDS, LABEL_OF, LABELS, WORD, Key, Names, key_of
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.isolated import is_isolated

SAME = {"energy": 1e-5, "forces": 1e-4, "stress": 1e-6}  # eV, eV/Å, eV/Å³: numbers that are equal but for rounding
WITHOUT_NAME = {"any", "decided"}  # what may be needed: one label at least; none, but no choice between two
COMPARED = 100  # frames, where two names are looked at
SHORT = {"energy": {"E", "U", "y"}, "forces": {"F", "dy"}, "stress": {"S"}}  # names of one letter, of labels
LONGEST_LIST = 8  # names in a line


# --- what is there ---


def value_of(atoms: Atoms, name: str) -> Any:
    """What a frame has under a name: as a result, in ``info`` or in ``arrays``; None where it has nothing."""
    for place in (_results(atoms), atoms.info, atoms.arrays):
        if name in place:
            return place[name]
    return None


def _results(atoms: Atoms) -> dict:
    return getattr(atoms.calc, "results", None) or {}


def _fits(name: str, kind: str, value: Any, n: int) -> bool:
    """Whether a value can be a label; what has exactly the usual name must be one, and is looked at later."""
    if name in LABELS:
        return True
    array = np.asarray(value) if isinstance(value, (int, float, list, tuple, np.ndarray, np.number)) else np.array("")
    sizes = {"energy": (1,), "forces": (3 * n,), "gradient": (3 * n,), "stress": (6, 9), "virial": (6, 9)}[kind]
    return array.dtype.kind in "iuf" and array.size in sizes and not isinstance(value, bool)


class Found:
    """The names of labels in a list of frames, and where they are."""

    def __init__(self, frames: Sequence[Atoms]) -> None:
        self.frames = frames
        self.places: dict[str, list[int]] = {}  # {name: frames that have it}
        self.others: dict[str, None] = {}  # names of what is no label, in their order
        for index, atoms in enumerate(frames):
            for name in (*_results(atoms), *atoms.info, *atoms.arrays):
                key = key_of(name)
                if key and _fits(name, key.kind, value_of(atoms, name), len(atoms)):
                    where = self.places.setdefault(name, [])
                    if not where or where[-1] != index:
                        where.append(index)
                elif name in _results(atoms) or (key is None and _is_of_interest(name)):
                    self.others[name] = None

    def names(self, label: str) -> list[str]:
        """Of one label, the usual name first."""
        names = [name for name in self.places if LABEL_OF[_key(name).kind] == label]
        return sorted(names, key=lambda name: (name != label, _key(name).group, _key(name).kind == "virial"))

    def groups(self, label: str) -> set[str]:
        """Sets of labels that have this one."""
        return {_key(name).group for name in self.names(label)}

    def agree(self, label: str, names: Sequence[str]) -> bool:
        """Whether these names have the same numbers, in some frames that have all of them, and in no frame others."""
        shared = sorted(set.intersection(*({*self.places[name]} for name in names)))
        for index in shared[:: max(1, len(shared) // COMPARED)]:
            values = [label_from(self.frames[index], name, label) for name in names]
            if not all(np.allclose(value, values[0], rtol=1e-6, atol=SAME[label]) for value in values[1:]):
                return False
        return bool(shared)


def _key(name: str) -> Key:
    return key_of(name) or Key("energy", name)


def _is_of_interest(name: str) -> bool:
    words = {word.lower() for word in WORD.findall(name)}
    return bool(words & (KINDS.keys() | {"dipole", "cell", "box"})) and not words & {"weight", "id", "unit", "units"}


# --- what is taken ---


class Choice(NamedTuple):
    """Names that are taken for each label, and what is undecided."""

    taken: dict[str, list[str]]
    undecided: dict[str, list[str]]


def choose(found: Found, names: Names, need: Iterable[str]) -> Choice:
    """Which names are taken; raises `DatasetError` where two sets of labels that are needed leave a choice."""
    taken: dict[str, list[str]] = {}
    undecided: dict[str, list[str]] = {}
    asked = {label: names.of(label) for label in LABELS if names.of(label)}
    group = next((_key(given[0]).group for given in asked.values()), None)
    for label in LABELS:
        if label in asked:
            _check_names(found, asked[label], label)
            taken[label] = asked[label]
            continue
        there = found.names(label)
        if group is not None:
            own = [name for name in there if _key(name).group == group]
            there = own or [name for name in there if _key(name).group not in found.groups("energy")]
        if len(there) < 2 or found.agree(label, there):
            taken[label] = there
        else:
            undecided[label] = there
    wanted = {*LABELS} if WITHOUT_NAME & {*need} else {*need, "stress"} if need else set()
    if wanted & undecided.keys():
        raise DatasetError(_question(found, undecided, wanted))
    return Choice({label: there for label, there in taken.items() if there}, undecided)


def _check_names(found, asked, label):
    """Raise `DatasetError` where no frame has what was asked for."""
    if any(value_of(atoms, name) is not None for atoms in found.frames for name in asked):
        return
    there = {name: None for atoms in found.frames[:COMPARED] for name in _numbers(atoms, label)}
    raise DatasetError(f"no frame has {' or '.join(map(repr, asked))}; what could be its {label} are {_listed(there)}")


def _numbers(atoms, label):
    """Names of what has the shape of a label."""
    for name in (*_results(atoms), *atoms.info, *atoms.arrays):
        if name not in ("numbers", "positions") and _fits(f"?{name}", label, value_of(atoms, name), len(atoms)):
            yield name


def _question(found, undecided, wanted):
    """Which of two sets of labels is meant, and how to say so."""
    label = next(label for label in LABELS if label in undecided and label in wanted)
    names = undecided[label]
    parts = []
    for name in names:
        first = found.places[name][0]
        value = value_of(found.frames[first], name)
        parts.append(f"{name} (frame {first}: {float(np.ravel(value)[0]):g}{' …' if np.size(value) > 1 else ''})")
    option, choice = f"{label}_key", names[-1]
    return (
        f"two sets of labels, {' and '.join(parts)}: say which is meant, {option}={choice!r} or "
        f"--{option.replace('_', '-')} {choice}"
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else ""
    return ", ".join(names[:LONGEST_LIST]) + more if names else "none"


# --- taking it ---


def label_from(atoms: Atoms, name: str, label: str, virial: bool = False) -> Any:
    """A label under a name, with the shape and the sign that the library expects.

    ``virial``: a virial is left as it is, as Voigt's six; else it is turned and divided by the volume.
    """
    value, kind = value_of(atoms, name), _key(name).kind
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or isinstance(value, (bool, np.bool_)):
        return value  # what it is will be said when values are looked at
    if label == "energy":
        return float(array.reshape(-1)[0]) if array.size == 1 else value
    if label == "forces":
        forces = array.reshape(-1, 3) if array.size == 3 * len(atoms) else array
        return -forces if kind == "gradient" else forces
    if array.size not in (6, 9):
        return value
    stress = voigt_of(matrix_of(array))
    return stress if kind != "virial" or virial else -stress / atoms.get_volume()


def take(frames: Sequence[Atoms], choice: Choice, virial: bool = False) -> None:
    """Move the labels that were chosen to ``atoms.calc.results``, in place; the other names stay where they are."""
    for atoms in frames:
        old = _results(atoms)
        new = {key: value for key, value in old.items() if key not in LABELS}
        for label, names in choice.taken.items():
            name = next((name for name in names if value_of(atoms, name) is not None), None)
            if name is None or (label == "stress" and not _has_stress(atoms, name)):
                continue
            new[label] = label_from(atoms, name, label, virial)
        for label in choice.undecided.keys() & old.keys():  # not lost, and not a label either
            (atoms.arrays if label == "forces" else atoms.info)[label] = old[label]
        for name in {name for names in choice.taken.values() for name in names}:
            atoms.info.pop(name, None)
            atoms.arrays.pop(name, None)
        if new and isinstance(atoms.calc, SinglePointCalculator):
            atoms.calc.results = new  # a new one would copy the atoms
        else:
            atoms.calc = SinglePointCalculator(atoms, **new) if new else None


def _has_stress(atoms: Atoms, name: str) -> bool:
    """Whether a stress means something: of a box, and of numbers; some write NaN for molecules."""
    value = np.asarray(value_of(atoms, name))
    return bool(atoms.pbc.all()) and not (value.dtype.kind == "f" and np.isnan(value).all())


def without_labels(atoms: Atoms) -> Atoms:
    """A copy without any energy, forces or stress: what is to be labelled anew."""
    copy = atoms.copy()
    for place in (copy.info, copy.arrays):
        for name in [name for name in place if key_of(name) and name not in ("numbers", "positions")]:
            if _fits(f"?{name}", _key(name).kind, place[name], len(copy)):
                del place[name]
    return copy


# --- saying it ---


def line_of(frames: Sequence[Atoms], found: Found, choice: Choice, notes: Iterable[str] = ()) -> str:
    """What was taken, in one line: "40 frames; energy from REF_energy, forces; ignored: dipole"."""
    parts = [_part(frames, label, names, found) for label, names in choice.taken.items()]
    there = "; ".join([", ".join(parts)] if parts else ["no labels"])
    used = {name for taken in choice for names in taken.values() for name in names}
    left = [name for name in (*found.places, *found.others) if name not in used]
    undecided = [f"two sets, none taken: {' and '.join(names)}" for names in choice.undecided.values()]
    ignored = [f"ignored: {_listed(left)}"] if left else []
    return "; ".join(
        [f"{len(frames)} frame{'s' * (len(frames) > 1)}", there, *notes, *_of_frames(frames), *undecided, *ignored]
    )


def _part(frames, label, names, found):
    n = sum(label in _results(atoms) for atoms in frames)
    where = "" if n == len(frames) else f" (in {n} of them)"
    shared = set.intersection(*({*found.places.get(name, ())} for name in names))
    kind, joint = _key(names[0]).kind, " = " if shared else " or "
    how = {"gradient": " (sign turned)", "virial": " (sign turned, divided by the volume)"}.get(kind, "")
    return f"{label}{where}" if names == [label] else f"{label}{where} from {joint.join(names)}{how}"


def _of_frames(frames):
    """What else should be known of frames: single atoms, some of them periodic, atoms that were held fixed."""
    n = sum(map(is_isolated, frames))
    if n:
        yield f"{n} isolated atom{'s' * (n > 1)}, for the reference energies alone"
    n = sum(bool(atoms.pbc.any()) for atoms in frames)
    if 0 < n < len(frames):
        yield f"{n} of them periodic"
    if any(atoms.constraints for atoms in frames):
        yield "labels of fixed atoms as they stand"


def has_reader() -> bool:
    """Whether somebody reads what is printed: not where the output goes to a file or to another program."""
    ipython = sys.modules.get("IPython")
    return sys.stdout.isatty() or (ipython is not None and ipython.get_ipython() is not None)


def missing(frames: Sequence[Atoms], need: Iterable[str], found: Found) -> str | None:
    """What to say of labels that are needed and not there; None where all are.

    Each must be in some frame, and in every frame one of them; "any" is any label.
    """
    wanted = [label for label in need if label not in WITHOUT_NAME]
    for label in wanted:
        if not any(label in _results(atoms) for atoms in frames):
            return f"frame 0 ({frames[0].get_chemical_formula()}) has no {label}; {advice(frames[0], label, found)}"
    only_free = (k for k, atoms in enumerate(frames) if need and _has_free_energy_alone(atoms))
    if (index := next(only_free, None)) is not None:
        key = "energy,free_energy" if any("energy" in _results(atoms) for atoms in frames) else "free_energy"
        return (
            f"frame {index} ({frames[index].get_chemical_formula()}) has no energy; it has free_energy: write it as "
            f"energy, or take it with energy_key={key!r} (--energy-key {key})"
        )
    some = set(LABELS) if "any" in need else set(wanted)
    for index, atoms in enumerate(frames):
        if some and not some & _results(atoms).keys():
            label = next(label for label in LABELS if label in some)
            return f"frame {index} ({atoms.get_chemical_formula()}) has no {label}; {advice(atoms, label, found)}"
    return None


def _has_free_energy_alone(atoms):
    return "energy" not in _results(atoms) and value_of(atoms, "free_energy") is not None


def advice(atoms: Atoms, label: str, found: Found | None = None) -> str:
    """What to do about a missing label: often it is there, under another name."""
    root = label.rstrip("s")
    similar = [name for name in (*_results(atoms), *atoms.info, *atoms.arrays) if root in name.lower()]
    similar += [name for name in _numbers(atoms, label) if SHORT[label] & {*WORD.findall(name)} and name not in similar]
    if similar:
        option = f"{label}_key={similar[0]!r} (--{label}-key {similar[0]})"
        return f"it has {', '.join(similar)}: write it as {label}, in eV and Å, or take it with {option}"
    return "label it first: label(frames, calculator)"


def check_units_of_names(choice: Choice) -> None:
    """Raise `DatasetError` where a name says that its numbers are in other units than eV and Å."""
    for label, names in choice.taken.items():
        for name in names:
            unit = _key(name).unit
            if unit:
                raise DatasetError(
                    f"{name} is in {unit} by its name, and {label} in eV and Å is expected; say what its units are: "
                    "units='Hartree,Bohr' or --units Hartree,Bohr, say"
                )
