"""What something is made from, as text that can be kept and compared: nothing is gone on with by another run.

Whatever can be gone on with (a checkpoint, a journal of labels, a trajectory, a learning curve, a project's folder)
keeps an `identity`: what made it, name by name.  Who goes on compares it with `check_same` first.
"""

import dis
import functools
import hashlib
import inspect
import os
import sys
import types

import numpy as np
from ase import Atoms

FORMAT = 1  # of every identity; raised when the same settings come to mean another computation
DIGITS = 12  # of a fingerprint
DEEPEST = 8  # levels of objects inside objects that a fingerprint looks into
LABELS = ("energy", "forces", "stress")
DESCRIBING = ("smiles", "charge", "multiplicity", "level")  # entries of ``info`` that change what a frame means
FILLING = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "clear", "remove"}
NOT_CONSTANTS = {
    "self", "args", "kwargs", "atoms", "label", "prefix", "directory", "restart", "ignore_bad_restart_file", "command",
    "n_threads",
}  # fmt: skip


class IdentityError(ValueError):
    """What is there was made by another run than the one that is asked for; the message says what differs."""


# --- identity ---


def identity(**made_from):
    """What something is made from, as text that can be kept and compared.

    Parameters
    ----------
    **made_from
        Frames, potentials, calculators, functions, arrays, numbers, text.

    Returns
    -------
    dict {str: str}
        For each name a short description that changes whenever what it describes does.

    >>> identity(steps=100)
    {'steps': '100', 'format': '1'}
    """
    return {name: describe(value) for name, value in {**made_from, "format": FORMAT}.items()}


def check_same(kept, asked, place, advice):
    """Raise `IdentityError`, naming what differs, unless two identities are the same.

    Parameters
    ----------
    kept, asked : dict {str: str}
        From `identity`; ``kept`` may be None or empty, where something has no record of what made it.
    place : str
        What ``kept`` belongs to: "the checkpoint in run/".
    advice : str
        What to do: "name another folder, or remove this one".
    """
    if not kept:
        raise IdentityError(f"{place} has no record of what made it: {advice}")
    differing = [name for name in {**asked, **kept} if kept.get(name) != asked.get(name)]
    if differing:
        there, given = (
            ", ".join(f"{name.replace('_', ' ')}: {side.get(name, 'nothing')}" for name in differing[:4])
            for side in (kept, asked)
        )
        raise IdentityError(f"{place} was made with {there}; asked for is {given}: {advice}")


def describe(value):
    """A value in a few words; where these cannot say everything, with its `fingerprint`."""
    if value is None or isinstance(value, (bool, int, float, str, np.number)):
        return _number(value) if isinstance(value, (int, float, np.number)) else str(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(atoms, Atoms) for atoms in value):
        levels = sorted({str(atoms.info["level"]) for atoms in value if "level" in atoms.info})
        words = f"{len(value)} frames" + (f" at level {', '.join(levels)}" if levels else "")
    elif isinstance(value, Atoms):
        words = str(value.symbols)
    elif hasattr(value, "state_dict"):
        words = f"weights of level {getattr(value, 'metadata', {}).get('level', 'unknown')}"
    elif isinstance(value, (list, tuple, dict)) and len(str(value)) < 60 and _is_plain(value):
        return str(value)
    else:
        words = str(getattr(value, "level", None) or getattr(value, "__name__", type(value).__name__))
    return f"{words} ({fingerprint(value)})"


def fingerprint(value):
    """Hexadecimal digits that stay the same as long as a value means the same, in every process.

    Of frames count atoms, places, masses, cell, labels and what describes them; of weights every number; of a
    calculator or any other object its class and the constants that it was made with; of a function in a script or a
    notebook its code and the values that it uses.
    """
    digest = hashlib.sha256()
    _feed(digest.update, value, set(), 0)
    return digest.hexdigest()[:DIGITS]


def _is_plain(value):
    """Whether it is made of numbers and text alone, whose text says everything."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    if isinstance(value, dict):
        return all(_is_plain(part) for part in [*value, *value.values()])
    return value is None or isinstance(value, (bool, int, float, str))


def _number(value):
    """The same text for 1, 1.0 and numpy's 1."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    plain = value.item() if isinstance(value, np.number) else value
    return f"{plain:.12g}" if isinstance(plain, float) or abs(plain) < 1e12 else str(plain)


def _feed(add, value, above, depth):
    """Hand the bytes of a value to ``add``; what contains itself, or lies too deep, counts by its type."""
    if value is None or isinstance(value, (bool, int, float, np.number, np.bool_)):
        add(f"number {_number(value) if value is not None else None}".encode())
    elif isinstance(value, (str, bytes, os.PathLike)):
        add(b"text " + (value if isinstance(value, bytes) else str(value).encode()))
    elif isinstance(value, np.ndarray):
        array = value.astype(float) if value.dtype.kind in "iufb" else value.astype(str)
        add(f"array {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    elif id(value) in above or depth > DEEPEST:
        add(f"{type(value).__qualname__}".encode())
    else:
        for part in _parts(value):
            _feed(add, part, above | {id(value)}, depth + 1)
            add(b";")


def _parts(value):
    """What a value consists of."""
    if isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        return [_parts_of_class(value) if isinstance(value, type) else str(value.__name__)]
    if isinstance(value, Atoms):
        return _parts_of_atoms(value)
    if isinstance(value, dict):
        return ["dict", *(part for name in sorted(value, key=str) for part in (str(name), value[name]))]
    if isinstance(value, (set, frozenset)):
        return ["set", *sorted(fingerprint(part) for part in value)]
    if isinstance(value, (list, tuple, range)):
        return ["list", *value]
    if hasattr(value, "state_dict"):  # a network; duck-typed, so that torch need not be loaded
        return [type(value).__qualname__, value.state_dict()]
    if hasattr(value, "detach"):
        return ["tensor", value.detach().cpu().double().numpy()]
    if isinstance(value, functools.partial):
        return ["partial", value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return ["method", value.__self__, value.__func__]
    if isinstance(value, types.FunctionType):
        return _parts_of_function(value)
    if hasattr(value, "__wrapped__"):  # a function that keeps what it was asked before
        return ["wrapped", value.__wrapped__]
    if isinstance(value, np.random.Generator):
        return [str(value.bit_generator.state)]
    return ["object", type(value), *_constants(value)]


def _parts_of_atoms(atoms):
    results = atoms.calc.results if atoms.calc is not None else {}
    labels = {key: np.asarray(results[key]) for key in LABELS if key in results}
    described = {key: str(atoms.info[key]) for key in DESCRIBING if key in atoms.info}
    fixed = [constraint.todict() for constraint in atoms.constraints]
    return [atoms.numbers, atoms.positions, atoms.get_masses(), atoms.cell.array, atoms.pbc, labels, described, fixed]


def _constants(value):
    """What an object was made with: ASE's ``parameters``, and attributes that are called like an argument.

    Where an argument is kept under another name, or the class stands in a script or a notebook, all attributes count.
    """
    try:
        arguments = inspect.signature(type(value).__init__).parameters.keys() - NOT_CONSTANTS
    except (ValueError, TypeError):  # it is not written in Python
        arguments = ()
    found = {name: getattr(value, name, getattr(value, f"_{name}", None)) for name in arguments}
    constants = [dict(getattr(value, "parameters", None) or {}), found]
    if _is_installed(type(value)) and all(_is_kept(value, name) for name in arguments):
        return constants
    return [*constants, _kept(value)]


def _is_kept(value, argument):
    """Whether an argument is an attribute now; a property of that name may be anything."""
    is_property = isinstance(inspect.getattr_static(type(value), argument, None), property)
    return not is_property and (hasattr(value, argument) or hasattr(value, f"_{argument}"))


def _kept(value):
    """The attributes of an object, without those that its methods write to: they are no constants."""
    try:
        state = value.__getstate__()
    except Exception:  # noqa: BLE001  whatever says that it cannot be copied
        state = getattr(value, "__dict__", {})
    classes = [cls for cls in type(value).__mro__ if cls is not object]
    methods = [part for cls in classes for name, part in vars(cls).items() if name != "__init__"]
    codes = [method.__code__ for method in methods if isinstance(method, types.FunctionType)]
    apart = {*NOT_CONSTANTS, "parameters", "results"}
    asked = {name: part for name, part in state.items() if name.lstrip("_") not in apart} if type(state) is dict else {}
    return {name: part for name, part in asked.items() if not any(_is_filled_by(code, name, part) for code in codes)}


def _parts_of_function(function):
    """Its name, where it was installed; its code and what that uses, where it stands in a script or a notebook."""
    if _is_installed(function):
        return ["function", f"{function.__module__}.{function.__qualname__}"]
    code, outside = function.__code__, function.__globals__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    inside = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    used = {name: outside[name] for name in _names(code) if name in outside}
    inside, used = ([part for name, part in d.items() if not _is_filled_by(code, name, part)] for d in (inside, used))
    defaults = [function.__defaults__ or (), function.__kwdefaults__ or {}]
    return ["function", *_parts_of_code(code), inside, defaults, used]


def _parts_of_code(code):
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    plain = [repr(constant) for constant in code.co_consts[1:] if not isinstance(constant, types.CodeType)]
    return [code.co_code, plain, list(code.co_names), [_parts_of_code(part) for part in inner]]


def _names(code):
    """Names that a function looks up, functions inside it included."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _is_filled_by(code, name, value=None):
    """Whether a function counts with this name, or fills a list: what changes while it works is no constant of it."""
    steps = list(dis.get_instructions(code))
    if any(step.opname in {"STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR"} and step.argval == name for step in steps):
        return True
    if isinstance(value, (list, dict, set)):
        loaded = [k for k, step in enumerate(steps[:-2]) if step.opname.startswith("LOAD_") and step.argval == name]
        if any(steps[k + 1].argval in FILLING for k in loaded if isinstance(steps[k + 1].argval, str)):
            return True
        if any(steps[k + 2].opname in {"STORE_SUBSCR", "COPY"} for k in loaded):  # name[index] = …, name[index] += …
            return True
    return any(_is_filled_by(part, name, value) for part in code.co_consts if isinstance(part, types.CodeType))


def _parts_of_class(cls):
    """Its name and, where it stands in a script or a notebook, the code of its methods and its plain constants."""
    if _is_installed(cls):
        return f"{cls.__module__}.{cls.__qualname__}"
    own = {name: part for name, part in vars(cls).items() if not name.startswith("__") or name == "__init__"}
    kept = {n: p for n, p in own.items() if isinstance(p, (types.FunctionType, bool, int, float, str, tuple, dict))}
    methods = [part.__code__ for n, part in kept.items() if isinstance(part, types.FunctionType) and n != "__init__"]
    kept = {n: part for n, part in kept.items() if not any(_is_filled_by(code, n, part) for code in methods)}
    return [cls.__qualname__, kept, [base for base in cls.__bases__ if base is not object]]


def _is_installed(thing):
    """Whether it comes with Python, this library or another package, and not from a script or a notebook."""
    module = getattr(thing, "__module__", None) or ""
    if module.split(".")[0] in {"tpainn_lite", "builtins", *sys.stdlib_module_names} - {"__main__"}:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _is_filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
