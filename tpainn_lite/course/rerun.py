"""One learner's answers to one notebook, run: their cells in the notebook as it is shipped, and a verdict on each.

The checks are fetched before the first of a learner's cells runs.  A verdict is a line that begins with a random word.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tpainn_lite.course.grades import PASSED, UNJUDGED, UNTRIED, WRONG
from tpainn_lite.course.handed_in import ASKED, checked_in, without_checks
from tpainn_lite.structures.files import path_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

Key = TypeVar("Key")
Result = TypeVar("Result")
HELD = "tpainn_exercise"  # in the metadata of a cell: whose answer it is, or judges; "" where the checks are fetched
PATIENCE = 10  # a cell of the notebook itself may take so many times what a cell of an answer may
FETCH = """\
def {word}():
    import json, sys
    from tpainn_lite.course.checks import checks_of, verdict
    checks, dumps, show, out = checks_of({lesson!r}), json.dumps, print, sys.stdout
    def judge(number, answer, **given):
        found = None if answer is ... else [verdict(checks[number], answer, **given)]
        show("\\n{word}" + dumps(found), file=out, flush=True)
    return judge
{word} = {word}()"""


def lessons_of(folder: Path | str) -> "dict[str, NotebookNode]":
    """{name: notebook} of a folder of the course; `ValueError` where there is none."""
    try:
        import nbformat
    except ImportError:
        raise ImportError("regrading runs notebooks, which needs nbclient: pip install nbclient") from None
    paths = sorted(path_of(folder, "notebooks").glob("*.ipynb"))
    if not paths:
        raise ValueError(f"there are no notebooks in {folder}; the folder of the course is expected")
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


def asked_in(sources: Sequence[str]) -> list[str]:
    """The numbers of the exercises that code cells ask, in order.

    >>> asked_in(['teach.check("00.1", x)', 'y = 1'])
    ['00.1']
    """
    return [number for source in sources for number in ASKED.findall(source)]


async def judged(
    lesson: "NotebookNode", answers: Mapping[str, list[str]], folder: Path, seconds: float
) -> dict[str, tuple[str, str]]:
    """{exercise: (outcome, sentence)} of a learner's answers to one notebook.

    An answer that runs too long, or ends its kernel, is wrong, and the others are run once more without it.
    """
    found: dict[str, tuple[str, str]] = {}
    left = dict(answers)
    while left:
        notebook = with_answers(lesson, left)
        number, why = await _run(notebook, folder, seconds)
        if not number:  # all were run, or another run would stop at the same place
            return found | {number: _outcome(notebook, number, why) for number in left}
        found[number] = WRONG, why
        del left[number]
    return found


def with_answers(lesson: "NotebookNode", answers: Mapping[str, list[str]]) -> "NotebookNode":
    """The notebook as far as its last answer, with the learner's cells and a verdict behind each exercise answered."""
    from nbformat.v4 import new_code_cell, new_notebook

    word = f"_judge_{secrets.token_hex(8)}"
    cells = [cell for cell in lesson.cells if cell.cell_type == "code" and "colab" not in cell.metadata.get("tags", ())]
    made, last = [], 0
    for cell in cells:
        made.append(new_code_cell(cell.source))
        for number in filter(answers.__contains__, ASKED.findall(cell.source)):
            if not last:
                fetch = FETCH.format(word=word, lesson=number.split(".")[0])
                made.append(new_code_cell(fetch, metadata={HELD: ""}))
            sources = [without_checks(source) for source in answers[number]]
            sources.append(f"{word}({_judged(number, cell.source, answers[number])})")
            made += [new_code_cell(source, metadata={HELD: number}) for source in sources]
            last = len(made)
    return new_notebook(cells=made[:last], metadata={"word": word})


def _judged(number, shipped, sources):
    """The arguments of a check: the answer that the learner names, with what the lesson gives."""
    named, given = checked_in(shipped, number)
    own = [checked_in(source, number)[0] for source in sources]
    answer = next((expression for expression in reversed(own) if expression), named)
    return ", ".join([repr(number), str(answer), *given])


async def _run(notebook, folder, seconds):
    """Run it in a copy of the course without its solutions; (exercise or "", what happened) where it stopped."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError

    place: dict[str, Any] = {}
    limits = {True: seconds, False: PATIENCE * seconds}
    with tempfile.TemporaryDirectory() as copy:
        here = Path(copy) / "notebooks"
        shutil.copytree(folder, here, ignore=shutil.ignore_patterns("solutions", "*.ipynb", ".*"))
        client = NotebookClient(
            notebook, kernel_name="python3", allow_errors=True, store_widget_state=False, shutdown_kernel="immediate",
            resources={"metadata": {"path": str(here)}}, startup_timeout=300,
            timeout_func=lambda cell: limits[_is_own(cell)], on_cell_start=lambda cell, cell_index: place.update(cell),
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
        )  # fmt: skip
        try:
            await client.async_execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
        except CellTimeoutError:
            why = f"it took more than {limits[_is_own(place)]:g} s"
        except RuntimeError:
            task = asyncio.current_task()
            if task and task.cancelling():  # which nbclient takes for the end of its kernel
                raise asyncio.CancelledError from None
            why = "it ended its kernel"
        else:
            return "", ""
    own = _is_own(place)
    return (place["metadata"][HELD], why) if own else ("", f"a cell of the notebook was not finished: {why}")


def _is_own(cell):
    """Whether a cell is part of an answer."""
    return bool(cell.get("metadata", {}).get(HELD))


def _outcome(notebook, number, why_not):
    """(outcome, sentence) of an answer that was run, or was not reached because of ``why_not``."""
    if faults := _errors(notebook, ""):
        return UNJUDGED, f"its check could not be fetched: {faults[0]}"
    judge = [cell for cell in notebook.cells if cell.metadata.get(HELD) == number][-1]
    if why_not and not judge.outputs:
        return UNJUDGED, why_not
    error = "".join(f"its cell raised {error}" for error in _errors(notebook, number)[:1])
    printed = "".join(output.get("text", "") for output in judge.outputs if output.get("name") == "stdout")
    verdicts = re.findall(f"^{notebook.metadata.word}(.*)$", printed, re.MULTILINE)
    try:
        (verdict,) = map(json.loads, verdicts)
        if any(output.output_type == "error" for output in judge.outputs):
            return WRONG, error
        if verdict is None:
            return (WRONG, error) if error else (UNTRIED, "")
        (wrong,) = verdict
    except (ValueError, TypeError):
        return WRONG, error or "no verdict came back from its kernel"
    return (PASSED, "") if wrong is None else (WRONG, str(wrong))


def _errors(notebook, number):
    """What the cells of an answer raised."""
    outputs = [output for cell in notebook.cells if cell.metadata.get(HELD) == number for output in cell.outputs]
    raised = [output for output in outputs if output.output_type == "error"]
    return [f"{error.ename}: {error.evalue[:300]}".removesuffix(": ") for error in raised]


def as_they_end(
    work: Callable[..., Awaitable[Result]], jobs: Mapping[Key, tuple], n_jobs: int
) -> Generator[tuple[Key, Result], None, None]:
    """(key, ``await work(*job)``) of each job, ``n_jobs`` at a time, in the order in which they end.

    They run in a thread of their own, for nbclient would answer Ctrl-C itself in this one.  Those that run when this
    is closed are cancelled.
    """
    loop, over, free = asyncio.new_event_loop(), asyncio.Event(), asyncio.Semaphore(n_jobs)

    async def one(job):
        async with free:
            return await work(*job)

    def run():
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(over.wait())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        keys = {asyncio.run_coroutine_threadsafe(one(job), loop): key for key, job in jobs.items()}
        for future in as_completed(keys):
            yield keys[future], future.result()
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
