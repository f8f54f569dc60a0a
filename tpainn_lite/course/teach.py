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

from tpainn_lite.course.checks import Attempts, checks_of, verdict
from tpainn_lite.course.receipts import hand_in
from tpainn_lite.reading.shipped import cards_at_end
from tpainn_lite.structures.arguments import check_list, check_numbers, shown
from tpainn_lite.structures.files import path_of

if TYPE_CHECKING:
    from IPython.display import HTML
    from ipywidgets import VBox

solved: set[str] = set()  # exercises answered rightly since the kernel started
attempts: dict[str, Attempts] = {}  # all that were tried
NUMBER = re.compile(r"\d\d\.\d+")  # of an exercise
HOW_TO_HAND_IN = """What was solved since the kernel started counts: after a restart, run all cells once more.
to hand in: receipt.hand_in("your name") writes a file beside the notebook"""
SMALL = 50.0  # MB; processes of fewer only keep count of others
PACKAGES = ("torch", "torch-geometric", "ase", "lightning", "rdkit")


# --- answers ---


def check(exercise: str, answer: Any, *, folder: Path | str = "checks", **given: Any) -> None:
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
        raise ValueError(f"exercise is {shown(exercise)}; a number such as '02.4' is expected")
    if answer is ...:
        print(f"{exercise} not attempted yet: replace the ... and run this cell again")
        return
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


def _this_cell():
    """The code of the cell that runs now; nothing outside a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell.user_ns["In"][-1] if shell else ""


def solution(exercise: str, folder: Path | str = "solutions") -> "HTML":
    """The solution of an exercise, folded: click to see it.

    That of "00.2" is block ``# %% 00.2`` of the file ``solutions/00_*.py``; ValueError where there is none.

    >>> solution("00.2", "notebooks/solutions")  # doctest: +SKIP
    """
    from IPython.display import HTML

    files = sorted(path_of(folder, "folder").glob(f"{str(exercise)[:2]}_*.py"))
    if not files:
        why = "whoever gave out this course withheld them" if NUMBER.fullmatch(str(exercise)) else "'00.2' is a number"
        raise ValueError(f"no solutions of exercise {exercise!r} in {folder}: {why}")
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
    """Started at the top of a notebook, printed at its end: time and memory against the promise, data, and versions.

    >>> receipt = Receipt(minutes=3, megabytes=1200)
    >>> receipt.seconds < 5
    True
    """

    def __init__(self, minutes: float, megabytes: float):
        check_numbers(above=0, minutes=minutes, megabytes=megabytes)
        self.minutes, self.megabytes, self.started = minutes, megabytes, time.perf_counter()
        self.cards = cards_at_end()  # of the shipped sets that the notebook loads

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
        lines += [f"data    {card}" for card in self.cards.values()]
        return "\n".join([*lines, HOW_TO_HAND_IN])

    def hand_in(self, name: str, folder: Path | str = ".") -> Path:
        """Write what was solved, and the answers, to a small sealed file for the teacher; its path.

        See `tpainn_lite.course.receipts`.
        """
        versions = {package: version(package) for package in PACKAGES}
        answers = {number: asdict(tried) for number, tried in attempts.items()}
        return hand_in(name, solved, folder, seconds=round(self.seconds), versions=versions, answers=answers)
