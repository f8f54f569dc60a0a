"""Checks of exercises, in files beside the notebooks, so that no answer stands in a cell.

A file ``checks/02_painn_from_scratch.py`` holds a function for each exercise of notebook 02.  It takes the answer (and
what the notebook hands over by name), tests what the answer does, on fresh random inputs where it can, and raises
`Wrong` with one sentence that says what is wrong with it::

    @exercise("02.4")
    def torque(answer):
        if np.shape(answer) != (3,):
            raise Wrong(f"a torque has three components; yours has the shape {np.shape(answer)}")
"""

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tpainn_lite.structures.arguments import shown
from tpainn_lite.structures.files import path_of

Check = TypeVar("Check", bound=Callable[..., None])
MARK = "exercise"  # the attribute that names a check's exercise


class Wrong(Exception):
    """An answer is wrong; the message says how, to the one who gave it."""


@dataclass
class Attempts:
    """What became of an exercise since the kernel started."""

    right: bool = False
    number: int = 0
    code: str = ""  # of the last cell that answered it, the right one where there is one


def exercise(number: str) -> Callable[[Check], Check]:
    """Marks a function as the check of an exercise.

    >>> @exercise("00.1")
    ... def labels(answer):
    ...     close(answer, 600)
    >>> labels(601)
    Traceback (most recent call last):
    tpainn_lite.course.checks.Wrong: your number, 601, is too large
    """

    def mark(check: Check) -> Check:
        setattr(check, MARK, number)
        return check

    return mark


def close(answer: Any, right: float, tolerance: float = 1e-6, called: str = "your number") -> None:
    """Raise `Wrong` unless the answer is the right number, within ``tolerance`` of it; say on which side it is.

    >>> close(0.1 + 0.2, 0.3)
    """
    number = one_number(answer, called)
    if abs(number - right) > max(tolerance, 1e-9 * abs(right)):
        raise Wrong(f"{called}, {number:.6g}, is too {'large' if number > right else 'small'}")


def one_number(answer: Any, called: str = "your answer") -> float:
    """The answer as a number, whatever kind of number it is; `Wrong` where it is none.

    >>> one_number(np.array(2.5))
    2.5
    """
    try:
        values = _floats(answer)
    except (TypeError, ValueError):
        raise Wrong(f"{called} is {shown(answer)}; a number is expected") from None
    if values.size != 1 or not math.isfinite(values.item()):
        raise Wrong(f"{called} is {shown(answer)}; one finite number is expected")
    return values.item()


def same_array(answer: Any, right: Any, called: str = "your array", tolerance: float = 1e-6) -> None:
    """Raise `Wrong` unless the answer holds the right numbers in the right shape; say which of the two is wrong.

    >>> same_array([1.0, 2.0], np.array([1.0, 2.0]))
    """
    try:
        given = _floats(answer)
    except (TypeError, ValueError):
        raise Wrong(f"{called} is {shown(answer)}; an array of numbers is expected") from None
    wanted = _floats(right)
    if given.shape != wanted.shape:
        raise Wrong(f"{called} has the shape {given.shape}; {wanted.shape} is expected")
    off = np.abs(given - wanted)
    if not np.all(off <= tolerance + tolerance * np.abs(wanted)):
        place = tuple(int(k) for k in np.unravel_index(int(np.nan_to_num(off, nan=np.inf).argmax()), off.shape))
        where = f" at {place[0] if len(place) == 1 else place}" if place else ""
        raise Wrong(f"{called} is off by {off[place]:.3g}{where}, where {given[place]:.6g} stands")


def _floats(values):
    """A number, a list, an array or a tensor as an array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)


def checks_of(notebook: str, folder: Path | str = "checks") -> dict[str, Callable[..., None]]:
    """{exercise: check} of the notebook with this number, "02".

    Raises
    ------
    ValueError
        There is no such file, or more than one.
    """
    files = sorted(path_of(folder, "folder").glob(f"{notebook}_*.py"))
    if len(files) != 1:
        raise ValueError(f"{len(files)} files of checks of notebook {notebook!r} in {folder}; one is expected")
    name = f"checks_of_{files[0].stem}"
    spec = importlib.util.spec_from_file_location(name, files[0])
    if spec is None or spec.loader is None:
        raise ValueError(f"{files[0]} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return {getattr(value, MARK): value for value in vars(module).values() if callable(value) and hasattr(value, MARK)}


def verdict(check: Callable[..., None], answer: Any, **given: Any) -> str | None:
    """What is wrong with an answer, in a sentence; None where nothing is.  Whatever the answer does is caught.

    >>> verdict(lambda answer: close(answer, 2.0), 3.0)
    'your number, 3, is too large'
    """
    if missing := [f"{name}={name}" for name in _needed(check) if name not in given]:
        return f"the check needs more of the notebook, behind your answer: {', '.join(missing)}"
    try:
        check(answer, **given)
    except Wrong as wrong:
        return str(wrong)
    except (Exception, SystemExit) as error:  # noqa: BLE001  what a learner wrote may raise anything
        return f"it raised {type(error).__name__}: {_in_words(error)}"
    return None


def _needed(check):
    """Names of what a check must be given, besides the answer."""
    named = [p for p in inspect.signature(check).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [parameter.name for parameter in named[1:] if parameter.default is parameter.empty]


def _in_words(error):
    try:
        return str(error)[:300]
    except Exception:  # noqa: BLE001  some errors cannot be put into words
        return "an error that cannot be put into words"
