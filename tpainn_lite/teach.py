"""The few things a lesson needs: `check` an answer, `predict` before running, and a `Receipt` at the end."""

import html
import os
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

from tpainn_lite.receipts import hand_in

solved = set()  # exercises answered rightly since the kernel started
PACKAGES = ("torch", "torch-geometric", "ase", "lightning", "rdkit")


def check(answer, correct, hint, tolerance=None, exercise=""):
    """Compare an answer with the correct one; say what to think about if it is wrong.  Never raises.

    Parameters
    ----------
    answer : object
        ``...`` (an untouched exercise) is answered with "not attempted".
    correct : object, or callable(answer) -> bool
        A callable tests behaviour, so that any right answer passes.
    tolerance : float, optional
        For numbers: how far off is still right.
    exercise : str
        Its number, for the answer and for `solved`.
    """
    if answer is ...:
        print(f"{exercise} not attempted yet: replace the ... and run this cell again".strip())
        return
    try:
        right = correct(answer) if callable(correct) else _same(answer, correct, tolerance)
    except Exception as error:  # noqa: BLE001  a wrong answer of any kind gets its hint, never a traceback
        print(f"{exercise} not yet ({type(error).__name__}: {error}). Hint: {hint}".strip())
        return
    if right:
        solved.add(exercise)
    print(f"{exercise} right!".strip() if right else f"{exercise} not yet. Hint: {hint}".strip())


def solution(exercise, folder="solutions"):
    """The solution of an exercise, folded: click to see it.

    Parameters
    ----------
    exercise : str
        Such as "00.2": block ``# %% 00.2`` of the file ``solutions/00_*.py``.
    """
    from IPython.display import HTML

    blocks = solutions(next(Path(folder).glob(f"{exercise[:2]}_*.py")))
    if exercise not in blocks:
        raise ValueError(f"no solution {exercise!r}; there are {', '.join(blocks)}")
    code = html.escape(blocks[exercise])
    return HTML(f"<details><summary>Solution of {exercise}</summary><pre>{code}</pre></details>")


def solutions(path):
    """{exercise: code} of a solutions file."""
    blocks = re.split(r"^# %% (\S+)$", Path(path).read_text(), flags=re.MULTILINE)[1:]
    return {name: code.strip() for name, code in zip(blocks[::2], blocks[1::2], strict=True)}


def predict(question, options):
    """Buttons for a guess before the cell that answers it; in a page without a kernel, the list of options.

    Returns
    -------
    ipywidgets.VBox
    """
    import ipywidgets as widgets

    note = widgets.HTML()
    buttons = [widgets.Button(description=option, layout=widgets.Layout(width="auto")) for option in options]

    def remember(button):
        note.value = f"Your guess: <b>{html.escape(button.description)}</b>. Run on, and see."

    for button in buttons:
        button.on_click(remember)
    return widgets.VBox([widgets.HTML(f"<b>Predict.</b> {html.escape(question)}"), widgets.HBox(buttons), note])


class Receipt:
    """Started at the top of a notebook, printed at its end: time and memory against the promise, and versions.

    >>> receipt = Receipt(minutes=3, megabytes=1200)
    >>> receipt.seconds < 5
    True
    """

    def __init__(self, minutes, megabytes):
        self.minutes, self.megabytes, self.started = minutes, megabytes, time.perf_counter()

    @property
    def seconds(self):
        """Since the start."""
        return time.perf_counter() - self.started

    @property
    def peak_megabytes(self):
        """Largest memory this process has used so far."""
        if sys.platform == "win32":
            import psutil

            return psutil.Process().memory_info().peak_wset / 1024**2
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1024**2 if sys.platform == "darwin" else 1024)

    def __str__(self):
        lines = [
            f"time    {self.seconds:6.0f} s   (promised: {60 * self.minutes:.0f} s on 2 cores; here: {os.cpu_count()})",
            f"memory  {self.peak_megabytes:6.0f} MB  (promised: {self.megabytes} MB)",
            f"solved  {len(solved)} exercises" + (f": {', '.join(sorted(solved))}" if solved else ""),
            "with    " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        ]
        return "\n".join(lines + (['to hand in: receipt.hand_in("your name")'] if solved else []))

    def hand_in(self, name, folder="."):
        """Write what was solved to a small sealed file for the teacher, see `tpainn_lite.receipts`; its path."""
        versions = {package: version(package) for package in PACKAGES}
        return hand_in(name, solved, folder, seconds=round(self.seconds), versions=versions)


def _same(answer, correct, tolerance):
    return abs(answer - correct) <= tolerance if tolerance is not None else answer == correct
