"""The few things a lesson needs: `check` an answer, `predict` before running, and a `Receipt` at the end."""

import html
import os
import sys
import time
from importlib.metadata import version

PACKAGES = ("torch", "torch-geometric", "ase", "lightning", "rdkit")


def check(answer, correct, hint, tolerance=None):
    """Compare an answer with the correct one; say what to think about if it is wrong.  Never raises.

    Parameters
    ----------
    answer : object
        ``...`` (an untouched exercise) is answered with "not attempted".
    correct : object, or callable(answer) -> bool
        A callable tests behaviour, so that any right answer passes.
    tolerance : float, optional
        For numbers: how far off is still right.

    Returns
    -------
    bool or None
        None where not attempted.
    """
    if answer is ...:
        print("not attempted yet: replace the ... and run this cell again")
        return None
    try:
        right = correct(answer) if callable(correct) else _same(answer, correct, tolerance)
    except Exception as error:  # noqa: BLE001  a wrong answer of any kind gets its hint, never a traceback
        print(f"not yet ({type(error).__name__}: {error}). Hint: {hint}")
        return False
    print("right!" if right else f"not yet. Hint: {hint}")
    return bool(right)


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
            "with    " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        ]
        return "\n".join(lines)


def _same(answer, correct, tolerance):
    return abs(answer - correct) <= tolerance if tolerance is not None else answer == correct
