"""What a sound structure and a sound label are; every other module asks here before it works."""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import LARGEST, DatasetError, shown
from tpainn_lite.structures.geometry import CLOSEST, check_extent, closest_pair

SHAPES: dict[str, Callable[[int], list[tuple[int, ...]]]] = {  # of labels of n atoms, the first one as ASE has it
    "energy": lambda n: [()],
    "forces": lambda n: [(n, 3)],
    "stress": lambda n: [(6,), (9,), (3, 3)],
}


def check_structure(atoms: Atoms, name: str = "structure") -> None:
    """Raise a clear `ValueError` if no calculator could make sense of these atoms."""
    if not isinstance(atoms, Atoms):
        raise TypeError(f"{name} is a {type(atoms).__name__}; an ase.Atoms is expected")
    if len(atoms) == 0:
        raise ValueError(f"{name} has no atoms; at least one is expected")
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    i, j, d = closest_pair(atoms, name) or (0, 0, CLOSEST)
    if d < CLOSEST:
        raise ValueError(
            f"{name}: atoms {i} and {j} are {d:.3f} Å apart; at least {CLOSEST} Å is expected "
            "(overlapping atoms: wrong units, a doubled atom, or a cell that is too small?)"
        )


def check_frames(frames: Sequence[Atoms], called: str = "") -> None:
    """Raise `DatasetError` for an empty list, `TypeError` for anything but a list of structures.

    ``called`` is put before the number of a frame: "valid: ".
    """
    if isinstance(frames, (str, Atoms)) or not hasattr(frames, "__len__") or not hasattr(frames, "__getitem__"):
        raise TypeError(f"{called}{shown(frames)} was given; a list of ase.Atoms is expected")
    if len(frames) == 0:
        raise DatasetError(f"{called}the list of frames is empty; at least one labelled ase.Atoms is expected")
    for index, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms):
            raise TypeError(f"{called}frame {index} is {shown(atoms)}; an ase.Atoms is expected")


def label_of(atoms: Atoms, key: str) -> float | NDArray:
    """A label as it was given: ``"energy"`` (eV), ``"forces"`` (N, 3) (eV/Å), ``"stress"`` (eV/Å³).

    ASE's ``get_forces`` sets the forces on fixed atoms to zero, which is right for moving them and wrong for learning.
    """
    results = _results(atoms)
    if key not in results:
        raise DatasetError(f"{atoms.get_chemical_formula()} has no {key}; {_advice(atoms, key)}")
    value = np.asarray(results[key], dtype=float)
    return value if value.ndim else float(value)


def check_values(atoms: Atoms, name: str) -> None:
    """Raise `DatasetError` where a position, the cell or a label of a frame is no finite number, or misshapen."""
    _check_places(atoms, name)
    for key in _results(atoms).keys() & SHAPES:
        _check_label(atoms, key, name)


def _check_places(atoms, name):
    for what, row, values in (("a position", "atom", atoms.positions), ("its cell", "side", atoms.cell.array)):
        if not np.isfinite(values).all():
            raise DatasetError(f"{name}: {what} ({row} {np.argwhere(~np.isfinite(values))[0, 0]}) is not finite")


def check_labels(frames: Sequence[Atoms], need: Sequence[str] = ("energy", "forces"), called: str = "") -> None:
    """Raise `DatasetError` unless every frame carries these labels, made of finite numbers."""
    check_frames(frames, called)
    for index, atoms in enumerate(frames):
        _check_places(atoms, f"{called}frame {index}")
        for key in need:
            _check_label(atoms, key, f"{called}frame {index}")


def has_label(atoms: Atoms, key: str) -> bool:
    """Whether a frame carries an "energy", "forces" or a "stress"; a stress counts for what is periodic all around.

    >>> has_label(Atoms("H"), "energy")
    False
    """
    return key in _results(atoms) and (key != "stress" or bool(atoms.pbc.all()))


def check_some_label(frames: Sequence[Atoms], keys: Sequence[str], called: str = "") -> None:
    """Raise `DatasetError` unless every frame has one of these labels, and all that they have are finite numbers."""
    check_frames(frames, called)
    for index, atoms in enumerate(frames):
        there = [key for key in keys if has_label(atoms, key)]
        for key in there or keys[:1]:
            _check_label(atoms, key, f"{called}frame {index}")


def _results(atoms: Atoms) -> dict:
    return atoms.calc.results if atoms.calc is not None else {}


def _check_label(atoms, key, name):
    """Raise `DatasetError` unless a label is there, and made of finite numbers, as many as it should have."""
    results, shapes = _results(atoms), SHAPES[key](len(atoms))
    if key not in results:
        problem = f" has no {key}; {_advice(atoms, key)}"
    elif (value := np.asarray(results[key])).dtype.kind not in "iuf":
        problem = f": its {key} is {shown(results[key])}; numbers are expected"
    elif value.shape not in shapes:
        problem = f": its {key} has the shape {value.shape}; {shapes[0]} is expected"
    elif not np.isfinite(value).all():
        problem = f": its {key} is not finite"
    elif (largest := np.abs(value).max(initial=0)) >= LARGEST:
        problem = f": its {key} reaches {largest:.3g}; less than {LARGEST:g}, in eV and Å, is expected"
    else:
        return
    raise DatasetError(f"{name} ({atoms.get_chemical_formula()}){problem}")


def _advice(atoms, key):
    """What to do about a missing label: often it is there, under another name."""
    similar = [name for name in (*atoms.info, *atoms.arrays) if key.rstrip("s") in name.lower()]
    if similar:
        return f"it has {', '.join(similar)}: write it as {key}, in eV and Å"
    return "label it first: label(frames, calculator)"
