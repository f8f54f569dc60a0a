"""The few things a lesson needs: `check` an answer, `predict` before running, and a `Receipt` at the end."""

import html
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tpainn_lite.course.checks import Attempts, checks_of, verdict
from tpainn_lite.course.receipts import hand_in
from tpainn_lite.structures.arguments import check_list, check_numbers
from tpainn_lite.structures.files import path_of

if TYPE_CHECKING:
    from IPython.display import HTML
    from ipywidgets import VBox

solved: set[str] = set()  # exercises answered rightly since the kernel started
attempts: dict[str, Attempts] = {}  # all that were tried
NUMBER = re.compile(r"\d\d\.\d+")  # of an exercise
ROUNDING = 1e-9  # relative; numbers that differ by less are the same
SMALL = 50.0  # MB; processes of fewer only keep count of others
PACKAGES = ("torch", "torch-geometric", "ase", "lightning", "rdkit")


# --- answers ---


def _same(answer, correct, tolerance):
    """Whether an answer is the correct one: containers part by part, numbers within the tolerance."""
    if isinstance(correct, dict):
        same_keys = isinstance(answer, dict) and answer.keys() == correct.keys()
        return same_keys and all(_all_same(answer[key], correct[key], tolerance) for key in correct)
    if hasattr(correct, "columns"):  # a table of pandas, which need not be there
        columns = list(correct.columns)
        same_columns = sorted(map(str, answer.columns)) == sorted(map(str, columns))
        return same_columns and all(_all_same(answer[name], correct[name], tolerance) for name in columns)
    answer, correct = _plain(answer), _plain(correct)
    if isinstance(correct, (list, tuple)):
        same_length = isinstance(answer, (list, tuple, np.ndarray)) and len(answer) == len(correct)
        return same_length and all(_all_same(a, c, tolerance) for a, c in zip(answer, correct, strict=True))
    if isinstance(correct, np.ndarray) and isinstance(answer, (list, tuple)):
        answer = np.asarray([_plain(part) for part in answer])
    if np.shape(answer) != np.shape(correct) and isinstance(correct, (np.ndarray, np.generic, int, float)):
        return False
    if not _are_numbers(correct):
        return answer == correct
    if tolerance is None and not any(np.asarray(value).dtype.kind in "fc" for value in (answer, correct)):
        return answer == correct
    if not _are_numbers(answer, correct):
        raise TypeError(f"numbers are expected, not {type(answer).__name__}")
    with np.errstate(invalid="ignore"):
        off, allowed = np.abs(np.subtract(answer, correct)), ROUNDING * np.abs(correct)
    return np.equal(answer, correct) | (off <= (allowed if tolerance is None else tolerance))


def _all_same(answer, correct, tolerance):
    return bool(np.all(_same(answer, correct, tolerance)))


def _are_numbers(*values):
    return {np.asarray(value).dtype.kind for value in values} <= set("biufc")


def _plain(value):
    """A tensor or a column of a table as an array; anything else as it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "to_numpy") and not hasattr(value, "columns"):
        return value.to_numpy()
    return value.numpy() if hasattr(value, "numpy") else value


def _is_nan(answer):
    """Whether an answer is a number that is none, or an array with one in it."""
    answer = _plain(answer)
    if isinstance(answer, (list, tuple)):
        return any(map(_is_nan, answer))
    array = np.asarray(answer) if isinstance(answer, (float, complex, np.ndarray, np.generic)) else np.zeros(0)
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())


def _in_words(error):
    """Kind and words of an error; some errors cannot be put into words."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        return type(error).__name__


def check(exercise: Any, /, answer: Any = ..., *old: Any, folder: Path | str = "checks", **given: Any) -> None:
    """Check the answer to an exercise, and say what is wrong with it if it is wrong.  Never raises for an answer.

    Parameters
    ----------
    exercise
        Its number: "02.4".  How it is checked is in ``checks/02_*.py`` beside the notebook.
    answer
        ``...`` (an untouched exercise) is answered with "not attempted".
    **given
        What the check needs of the notebook, by name.

    >>> check("00.1", ..., folder="notebooks/checks")
    00.1 not attempted yet: replace the ... and run this cell again
    """
    if not (isinstance(exercise, str) and NUMBER.fullmatch(exercise)):
        return _compare(exercise, answer, *old, **given)
    if answer is ...:
        print(f"{exercise} not attempted yet: replace the ... and run this cell again")
        return None
    tests = checks_of(exercise[:2], folder)
    if exercise not in tests:
        raise ValueError(f"no check of exercise {exercise!r} in {folder}; there are {', '.join(tests)}")
    wrong = verdict(tests[exercise], answer, **given)
    tried = attempts.setdefault(exercise, Attempts())
    tried.number += 1
    if not tried.right:
        tried.code = _this_cell()
    if wrong is None:
        tried.right = True
        solved.add(exercise)
    print(f"{exercise} right!" if wrong is None else f"{exercise} not yet: {wrong}")
    return None


def _this_cell():
    """The code of the cell that runs now; nothing outside a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell.user_ns["In"][-1] if shell else ""


def _compare(answer: Any, correct: Any, hint: str, tolerance: float | None = None, exercise: str = "") -> None:
    """Compare an answer with the correct one; say what to think about if it is wrong.  Never raises.

    Parameters
    ----------
    answer
        ``...`` (an untouched exercise) is answered with "not attempted".
    correct
        A function (answer) -> bool tests behaviour, so that any right answer passes.  Numbers, arrays, tensors, tables,
        and lists and dictionaries of them, are compared number by number, and must have the same shape; NaN is never
        right.
    tolerance
        For numbers: how far off is still right; unless given, rounding alone is.
    exercise
        Its number, for the answer and for `solved`.

    >>> _compare(0.1 + 0.2, 0.3, hint="add them")
    right!
    """
    if tolerance is not None:
        check_numbers(0, tolerance=tolerance)
    if answer is ...:
        print(f"{exercise} not attempted yet: replace the ... and run this cell again".strip())
        return
    try:
        right = _plain(correct(answer)) if callable(correct) else _all_same(answer, correct, tolerance)
        right = np.size(right) > 0 and bool(np.all(right)) and not _is_nan(answer)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a wrong answer of any kind gets its hint, no traceback
        print(f"{exercise} not yet ({_in_words(error)}). Hint: {hint}".strip())
        return
    if right and exercise:
        solved.add(exercise)
    print(f"{exercise} right!".strip() if right else f"{exercise} not yet. Hint: {hint}".strip())


def solution(exercise: str, folder: Path | str = "solutions") -> "HTML":
    """The solution of an exercise, folded: click to see it.

    That of "00.2" is block ``# %% 00.2`` of the file ``solutions/00_*.py``; ValueError where there is none.

    >>> solution("00.2", "notebooks/solutions")  # doctest: +SKIP
    """
    from IPython.display import HTML

    files = sorted(path_of(folder, "folder").glob(f"{str(exercise)[:2]}_*.py"))
    if not files:
        raise ValueError(f"no solutions of exercise {exercise!r} in {folder}; a number such as '00.2' is expected")
    blocks = solutions(files[0])
    if exercise not in blocks:
        raise ValueError(f"no solution {exercise!r}; there are {', '.join(blocks)}")
    code = html.escape(blocks[exercise])
    return HTML(f"<details><summary>Solution of {exercise}</summary><pre>{code}</pre></details>")


def solutions(path: Path | str) -> dict[str, str]:
    """The code of each exercise in a file of solutions, by its number.

    >>> from pathlib import Path
    >>> _ = Path("00.py").write_text("# %% 00.1\\nx = 1\\n")
    >>> solutions("00.py")
    {'00.1': 'x = 1'}
    """
    blocks = re.split(r"^# %% (\S+)$", path_of(path).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {name: code.strip() for name, code in zip(blocks[::2], blocks[1::2], strict=True)}


def predict(question: str, options: Sequence[str], answer: int | str | None = None, because: str = "") -> "VBox":
    """Buttons for a guess before the cell that answers it; with ``answer`` a click says whether it is right, and why.

    A page without a kernel has the options, each with what its button would say, folded.  Collapse the code of a cell
    with an answer in JupyterLab (View, Collapse Selected Code): the site folds it, too.

    Parameters
    ----------
    answer
        The right option, or its place, counted from 0.
    because
        Why it is right: one sentence.

    Raises
    ------
    TypeError, ValueError
        A question or an option that is no text; an answer that is not among the options.

    >>> len(predict("How long is an O-H bond?", ["0.7 Å", "1.0 Å"], answer="1.0 Å").children)
    3
    """
    import ipywidgets as widgets

    check_list(options, "options")
    if not options or not all(isinstance(text, str) for text in (question, because, *options)):
        raise TypeError(
            f"question {question!r}, options {options!r}, because {because!r} were given; texts are expected"
        )
    said = {option: _said(option, options, answer, because) for option in options}
    note = widgets.HTML()
    buttons = [widgets.Button(description=option, layout=widgets.Layout(width="auto")) for option in options]
    for button in buttons:
        button.on_click(lambda button: setattr(note, "value", said[button.description]))
    asked = f"<b>Predict.</b> {html.escape(question)}"
    box = widgets.VBox([widgets.HTML(asked), widgets.HBox(buttons), note])
    folded = "".join(f"<details><summary>{html.escape(o)}</summary><p>{text}</p></details>" for o, text in said.items())
    live = box._repr_mimebundle_
    page = f'<div class="predict"><p>{asked}</p>{folded}</div>'
    box._repr_mimebundle_ = lambda **kinds: live(**kinds) | {"text/html": page}
    return box


def _said(option, options, answer, because):
    """What a click on an option says, as HTML."""
    guess = f"Your guess: <b>{html.escape(option)}</b>."
    if answer is None:
        return f"{guess} Run on, and see."
    is_place = isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options)
    right = options[answer] if is_place else answer
    if not isinstance(right, str) or right not in options:
        raise ValueError(f"answer is {answer!r}; one of {list(options)}, or its place from 0 on, is expected")
    found = "<b>Right.</b>" if option == right else f"Not so: <b>{html.escape(right)}</b>."
    return f"{guess} {found} {html.escape(because)}".strip()


# --- the end of a notebook ---


class Receipt:
    """Started at the top of a notebook, printed at its end: time and memory against the promise, and versions.

    >>> receipt = Receipt(minutes=3, megabytes=1200)
    >>> receipt.seconds < 5
    True
    """

    def __init__(self, minutes: float, megabytes: float):
        check_numbers(above=0, minutes=minutes, megabytes=megabytes)
        self.minutes, self.megabytes, self.started = minutes, megabytes, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.started

    @property
    def helpers_megabytes(self) -> list[float]:
        """Memory of each process that works for this one now, without what they share."""
        import psutil

        helpers, sizes = psutil.Process().children(recursive=True), []
        for helper in helpers:
            with suppress(psutil.Error):
                sizes.append(helper.memory_full_info().uss / 1024**2)
        return [size for size in sizes if size > SMALL]

    @property
    def peak_megabytes(self) -> float:
        """Largest memory this process has used so far."""
        if sys.platform == "win32":
            import psutil

            return psutil.Process().memory_info().peak_wset / 1024**2
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1024**2 if sys.platform == "darwin" else 1024)

    def __str__(self):
        helpers = self.helpers_megabytes
        in_helpers = f"; {sum(helpers):.0f} MB more in {len(helpers)} helpers" if helpers else ""
        lines = [
            f"time    {self.seconds:6.0f} s   (promised: {60 * self.minutes:.0f} s on 2 cores; here: {os.cpu_count()})",
            f"memory  {self.peak_megabytes:6.0f} MB  (promised: {self.megabytes} MB){in_helpers}",
            f"solved  {len(solved)} exercises" + (f": {', '.join(sorted(solved))}" if solved else ""),
            "with    " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        ]
        return "\n".join(lines + (['to hand in: receipt.hand_in("your name")'] if solved else []))

    def hand_in(self, name: str, folder: Path | str = ".") -> Path:
        """Write what was solved, and the answers, to a small sealed file for the teacher; its path.

        See `tpainn_lite.course.receipts`.
        """
        versions = {package: version(package) for package in PACKAGES}
        answers = {number: asdict(tried) for number, tried in attempts.items()}
        return hand_in(name, solved, folder, seconds=round(self.seconds), versions=versions, answers=answers)
