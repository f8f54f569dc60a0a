"""What an argument must be: the checks that every other module makes before it works."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

LARGEST, SMALLEST = 1e12, 1e-12  # of numbers that can be meant
MOST = 2**32 - 1  # of things that can be counted, and the largest seed


class DatasetError(ValueError):
    """A file or a list of frames is not what it should be; the message says what to do."""


class ForceFieldError(ValueError):
    """A force field cannot describe this molecule; the message says which atom and why."""


def check_numbers(least: float | None = None, above: float | None = None, **values: Any) -> None:
    """Raise `ValueError` unless each of these is a number, of at least ``least``, or greater than ``above``, and of a
    size that a quantity in eV, Å, K or fs can have.

    >>> check_numbers(above=0, timestep=0.5, temperature=300)
    """
    limit = f" of at least {least:g}" if least is not None else f" above {above:g}" if above is not None else ""
    for name, value in values.items():
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not is_number or not -LARGEST < value < LARGEST or (value != 0 and abs(value) < SMALLEST):
            size = f" (up to {LARGEST:g})" if is_number and abs(value) >= LARGEST else ""
            raise ValueError(f"{name} is {shown(value)}; a finite number{limit}{size} is expected")
        if (least is not None and value < least) or (above is not None and not value > above):
            raise ValueError(f"{name} is {value!r}; a finite number{limit} is expected")


def check_counts(least: int = 1, most: int = MOST, **values: Any) -> None:
    """Raise `ValueError` unless each of these is a whole number of at least ``least``, and at most ``most``.

    >>> check_counts(n_frames=10)
    """
    for name, value in values.items():
        is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not is_whole or not least <= value <= most:
            size = f" and at most {most}" if is_whole and value > most else ""
            raise ValueError(f"{name} is {shown(value)}; a whole number of at least {least}{size} is expected")


def check_list(values: object, name: str) -> None:
    """Raise `TypeError` for anything but a list, a tuple, a set, an array or the like."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} is {shown(values)}; a list is expected")


def check_choice(choices: Sequence[object], **values: Any) -> None:
    """Raise `ValueError` unless each of these is one of the choices.

    >>> check_choice(("nve", "nvt"), ensemble="nvt")
    """
    for name, value in values.items():
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
            raise ValueError(f"{name} {shown(value)} is not one of {tuple(choices)}")


def generator(seed: int | None) -> np.random.Generator:
    """NumPy's random numbers from a seed: a whole number of at least 0, or None for others each time."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(f"seed is {shown(seed)}; a whole number of at least 0 is expected") from None


def check_calculator(calculator: object) -> None:
    """Raise `TypeError`, with what was given, for anything but an ASE calculator of energies and forces."""
    methods = [getattr(calculator, name, None) for name in ("get_potential_energy", "get_forces")]
    if all(map(callable, methods)) and not isinstance(calculator, (type, Atoms)):
        return
    advice = ""
    if isinstance(calculator, type) or inspect.isroutine(calculator):
        kind, advice = "class" if isinstance(calculator, type) else "function", f", as {calculator.__name__}() makes it"
        given = f"the {kind} {calculator.__name__}"
    else:
        given = repr(calculator) if calculator is None or isinstance(calculator, str) else type(calculator).__name__
        advice = ", as PotentialCalculator(potential) is one" if hasattr(calculator, "state_dict") else ""
    raise TypeError(f"the calculator is {given}; an ASE calculator is expected{advice}")


def whole_steps(spacing: float, timestep: float) -> int:
    """How many steps of ``timestep`` lie between two frames, both in fs; `ValueError` unless they fill ``spacing``.

    >>> whole_steps(0.3, 0.1)
    3
    """
    check_numbers(above=0, spacing=spacing, timestep=timestep)
    ratio = spacing / timestep
    if not 0.5 < ratio < 1e15 or abs(round(ratio) - ratio) > 1e-6 * ratio:
        raise ValueError(f"spacing is {spacing:g} fs; one step of {timestep:g} fs, or several whole ones, are expected")
    return round(ratio)


def shown(thing: object) -> str:
    """A thing in a few words, on one line."""
    words = repr(thing)
    return f"{words[:60]}…" if len(words) > 60 else words


def finite_numbers(values: ArrayLike, name: str, shape: tuple[int | str, ...] | None = None) -> NDArray[np.float64]:
    """An array of finite numbers, of a shape in which a text stands for any length of 1 or more.

    >>> finite_numbers([[0, 0, 1]], "positions", ("N", 3))
    array([[0., 0., 1.]])
    """
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a {type(values).__name__} that is no array of numbers; one is expected") from None
    if shape is not None:
        fits = len(shape) == array.ndim and array.size > 0
        if not fits or any(n != length for n, length in zip(shape, array.shape, strict=True) if isinstance(n, int)):
            expected = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
            raise ValueError(f"{name} has the shape {array.shape}; {expected} is expected")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite; finite ones are expected")
    return array
