"""What a sound structure and a sound label are; every other module asks here before it works."""

import numpy as np
from ase import Atoms

from tpainn_lite.structures.arguments import DatasetError, shown
from tpainn_lite.structures.geometry import CLOSEST, check_extent, closest_pair

SHAPES = {  # of labels of n atoms, the first one as ASE has it
    "energy": lambda n: [()],
    "forces": lambda n: [(n, 3)],
    "stress": lambda n: [(6,), (9,), (3, 3)],
}


def check_structure(atoms, name="structure"):
    """Raise a clear `ValueError` if no calculator could make sense of these atoms."""
    if not isinstance(atoms, Atoms):
        raise TypeError(f"{name} is a {type(atoms).__name__}; an ase.Atoms is expected")
    if len(atoms) == 0:
        raise ValueError(f"{name} has no atoms; at least one is expected")
    if not np.isfinite(atoms.positions).all():
        bad = int(np.argwhere(~np.isfinite(atoms.positions))[0, 0])
        raise ValueError(f"{name}: the position of atom {bad} is not a finite number; check where it came from")
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    close = closest_pair(atoms, name)
    if close is not None and close[2] < CLOSEST:
        i, j, d = close
        raise ValueError(
            f"{name}: atoms {i} and {j} are {d:.3f} Å apart; at least {CLOSEST} Å is expected "
            "(overlapping atoms: wrong units, a doubled atom, or a cell that is too small?)"
        )


def label_of(atoms, key):
    """A label as it was given: ``"energy"`` (eV), ``"forces"`` (N, 3) (eV/Å), ``"stress"`` (eV/Å³).

    ASE's ``get_forces`` sets the forces on fixed atoms to zero, which is right for moving them and wrong for learning.
    """
    results = atoms.calc.results if atoms.calc is not None else {}
    if key not in results:
        raise DatasetError(f"{atoms.get_chemical_formula()} has no {key}; {_advice(atoms, key)}")
    value = np.asarray(results[key], dtype=float)
    return value if value.ndim else float(value)


def check_labels(frames, need=("energy", "forces"), called=""):
    """Raise `DatasetError` unless every frame carries finite labels, and all or none are periodic.

    ``called`` is put before the number of a frame: "valid: ".
    """
    check_frames(frames, called)
    for index, atoms in enumerate(frames):
        if atoms.pbc.any() != frames[0].pbc.any():
            told = (f"{k} ({frames[k].get_chemical_formula()}) has pbc {frames[k].pbc.tolist()}" for k in (0, index))
            raise DatasetError(
                f"{called}frame {' but frame '.join(told)}: all periodic or none is expected; put the molecules in a "
                "box (pbc=True, a cell wider than twice the cutoff), or keep two lists"
            )
        for key in need:
            _check_label(atoms, key, f"{called}frame {index}")


def check_frames(frames, called=""):
    """Raise `DatasetError` unless this is a list of at least one structure; TypeError for anything else."""
    if isinstance(frames, (str, Atoms)) or not hasattr(frames, "__len__") or not hasattr(frames, "__getitem__"):
        raise TypeError(f"{called}{shown(frames)} was given; a list of ase.Atoms is expected")
    if len(frames) == 0:
        raise DatasetError(f"{called}the list of frames is empty; at least one labelled ase.Atoms is expected")
    for index, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms):
            raise TypeError(f"{called}frame {index} is {shown(atoms)}; an ase.Atoms is expected")


def check_values(atoms, name):
    """Raise `DatasetError` where a position, the cell or a label of a frame is no finite number, or misshapen."""
    for what, values in (("a position", atoms.positions), ("its cell", atoms.cell.array)):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise DatasetError(f"{name}: {what} ({'atom' if what == 'a position' else 'side'} {row}) is not finite")
    for key in atoms.calc.results if atoms.calc is not None else ():
        if key in SHAPES:
            _check_label(atoms, key, name)


def _check_label(atoms, key, name):
    """Raise `DatasetError` unless a label is there, and made of finite numbers, as many as it should have."""
    results, shapes = atoms.calc.results if atoms.calc is not None else {}, SHAPES[key](len(atoms))
    if key not in results:
        problem = f" has no {key}; {_advice(atoms, key)}"
    elif (value := np.asarray(results[key])).dtype.kind not in "iuf":
        problem = f": its {key} is {shown(results[key])}; numbers are expected"
    elif value.shape not in shapes:
        problem = f": its {key} has the shape {value.shape}; {shapes[0]} is expected"
    elif not np.isfinite(value).all():
        problem = f": its {key} is not finite"
    else:
        return
    raise DatasetError(f"{name} ({atoms.get_chemical_formula()}){problem}")


def _advice(atoms, key):
    """What to do about a missing label: often it is there, under another name."""
    similar = [name for name in (*atoms.info, *atoms.arrays) if key.rstrip("s") in name.lower()]
    if similar:
        return f"it has {', '.join(similar)}: write it as {key}, in eV and Å"
    return "label it first: label(frames, calculator)"
