"""What something is made from, as text that can be kept and compared, so that nothing is resumed by another run.

Whatever can be resumed (a checkpoint, a journal of labels, a trajectory, a learning curve, a project's folder) keeps
an `identity`: what made it, name by name.  Whoever resumes it calls `check_same` first.
"""

import functools
import hashlib
import inspect
import os
import re
import sys
import types
from typing import Any

import numpy as np
from ase import Atoms

from tpainn_lite.structures.charges import ELECTRONS

FORMAT = 1  # of every identity; raised when the same settings come to mean another computation
DIGITS = 12  # of a fingerprint
DEEPEST = 8  # levels of objects inside objects that a fingerprint looks into
LABELS = ("energy", "forces", "stress")
DESCRIBING = ("smiles", "molecules", *ELECTRONS, "level")  # of ``info``
NOT_CONSTANTS = {
    "self", "args", "kwargs", "atoms", "label", "prefix", "directory", "restart", "ignore_bad_restart_file", "command",
    "n_threads", "parameters", "results", "implemented_properties",
}  # fmt: skip
FILLED = (  # what code does to a name that counts, collects or caches: no constant of it
    r"\b(nonlocal|global)\b.*\b{0}\b|\.{0}\s*[-+*/|]?=(?!=)|\b{0}(\[[^]\n]*\])+\s*[-+*/|]?=(?!=)"
    r"|\b{0}\.(append|extend|insert|add|update|setdefault|pop|clear|remove)\("
)


class IdentityError(ValueError):
    """What is there was made by another run than the one that is to resume it; the message says what differs."""


# --- fingerprints ---


def fingerprint(value: Any) -> str:
    """Hexadecimal digits that stay the same as long as a value means the same, in every process.

    Of frames count atoms, positions, masses, cell, labels and what describes them; of weights every number; of a
    calculator or any other object its class and the constants that it was made with; of a function in a script or a
    notebook its code and the values that it uses.
    """
    digest = hashlib.sha256()
    _feed(digest.update, value, set(), 0)
    return digest.hexdigest()[:DIGITS]


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


def _number(value):
    """The same text for 1, 1.0 and numpy's 1."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    plain = value.item() if isinstance(value, np.number) else value
    return f"{plain:.12g}" if isinstance(plain, float) or abs(plain) < 1e12 else str(plain)


def _parts(value):
    """What a value consists of."""
    if isinstance(value, type):
        return [_parts_of_class(value)]
    if isinstance(value, (types.ModuleType, types.BuiltinFunctionType)):
        return [str(value.__name__)]
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
    if hasattr(value, "__wrapped__"):  # a function that caches its results
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
    """What an object was made with: ASE's ``parameters``, and attributes with the name of an argument.

    Where an argument is kept under another name, or the class stands in a script or a notebook, all attributes count.
    """
    try:
        arguments = inspect.signature(type(value).__init__).parameters.keys() - NOT_CONSTANTS
    except (ValueError, TypeError):  # it is not written in Python
        arguments = set()
    state = {name: part for name, part in getattr(value, "__dict__", {}).items() if name not in NOT_CONSTANTS}
    kept = {name: state.get(name, state.get(f"_{name}")) for name in arguments if {name, f"_{name}"} & state.keys()}
    if not _is_installed(type(value)) or kept.keys() != arguments:
        kept = _without_filled(state, [part for cls in type(value).__mro__[:-1] for part in _methods(cls)])
    return [dict(getattr(value, "parameters", None) or {}), kept]


def _parts_of_class(cls):
    """Its name and, where it stands in a script or a notebook, the code of its methods and its plain constants."""
    if _is_installed(cls):
        return f"{cls.__module__}.{cls.__qualname__}"
    own = {name: part for name, part in vars(cls).items() if not name.startswith("__") or name == "__init__"}
    kept = {n: p for n, p in own.items() if isinstance(p, (types.FunctionType, bool, int, float, str, tuple, dict))}
    return [
        cls.__qualname__,
        _without_filled(kept, _methods(cls)),
        [base for base in cls.__bases__ if base is not object],
    ]


def _parts_of_function(function):
    """Its name, where it was installed; its code and what that uses, where it stands in a script or a notebook."""
    if _is_installed(function):
        return ["function", f"{function.__module__}.{function.__qualname__}"]
    outside = function.__globals__
    inside = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    inside = {name: cell.cell_contents for name, cell in inside.items() if cell != types.CellType()}
    used = {name: outside[name] for name in _names(function.__code__) if name in outside}
    values = _without_filled({**used, **inside}, [function])
    values = {name: _seen_from(function.__code__.co_filename, part) for name, part in values.items()}
    return ["function", *_parts_of_code(function.__code__), values, function.__defaults__, function.__kwdefaults__]


def _seen_from(script, value):
    """A path as it is seen from the script that names it: where all of a project moves, nothing has changed."""
    if not isinstance(value, os.PathLike) or not os.path.isabs(value) or not os.path.exists(script):
        return value  # the cells of a notebook are in no file
    here = os.path.dirname(os.path.abspath(script))
    same_drive = os.path.splitdrive(here)[0] == os.path.splitdrive(value)[0]
    return os.path.relpath(value, here) if same_drive else value


def _parts_of_code(code):
    plain = [repr(constant) for constant in code.co_consts[1:] if not isinstance(constant, types.CodeType)]
    return [code.co_code, plain, list(code.co_names), [_parts_of_code(part) for part in _inner(code)]]


def _names(code):
    """Names that a function looks up, functions inside it included."""
    return {*code.co_names, *(name for part in _inner(code) for name in _names(part))}


def _inner(code):
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _methods(cls):
    return [part for name, part in vars(cls).items() if isinstance(part, types.FunctionType) and name != "__init__"]


def _without_filled(values, functions):
    """Values that none of these functions changes: what they count or collect is no constant."""
    code = "\n".join(_source(function) for function in functions)
    return {name: part for name, part in values.items() if not re.search(FILLED.format(re.escape(name)), code)}


def _source(function):
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # from the command line: all that it uses counts
        return ""


def _is_installed(thing):
    """Whether it comes with Python, this library or another package, and not from a script or a notebook."""
    module = getattr(thing, "__module__", None) or ""
    if module.split(".")[0] in {"tpainn_lite", "builtins", *sys.stdlib_module_names} - {"__main__"}:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


# --- identity ---


def describe(value: Any) -> str:
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


def _is_plain(value):
    """Whether it is made of numbers and text alone, whose text says everything."""
    if isinstance(value, (list, tuple, dict)):
        return all(_is_plain(part) for part in (*value, *(value.values() if isinstance(value, dict) else ())))
    return value is None or isinstance(value, (bool, int, float, str))


def identity(**made_from: Any) -> dict[str, str]:
    """What something is made from (frames, potentials, calculators, functions, arrays, numbers, text), to be kept.

    Each name gets a short description that changes whenever what it describes does.

    >>> identity(steps=100)
    {'steps': '100', 'format': '1'}
    """
    return {name: describe(value) for name, value in {**made_from, "format": FORMAT}.items()}


def check_same(kept: dict[str, str] | None, asked: dict[str, str], place: str, advice: str) -> None:
    """Raise `IdentityError`, naming what differs, unless two identities are the same.

    Parameters
    ----------
    kept, asked
        From `identity`; ``kept`` may be None or empty, where something has no record of what made it.
    place
        What ``kept`` belongs to: "the checkpoint in run/".
    advice
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
