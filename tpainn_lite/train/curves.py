"""Learning curves: error against number of labels, for several methods, sizes and seeds; resumable, in parallel.

A file of rows knows the pool, the tests and the settings behind each method's name; rows of others do not get into it.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from tpainn_lite.model.errors import errors
from tpainn_lite.structures.arguments import DatasetError, check_counts, shown
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.files import check_folder, locked, path_of, write_text
from tpainn_lite.structures.identity import check_same, describe, identity
from tpainn_lite.structures.select import draw
from tpainn_lite.teachers.parallel import Jobs, check_jobs, in_parallel

Row = dict[str, Any]


def learning_curve(
    methods: Mapping[str, Callable[[list[Atoms], int], Any]], pool: Sequence[Atoms],
    test: Sequence[Atoms] | Mapping[str, Sequence[Atoms]], sizes: Iterable[int], seeds: Iterable[int] = (0, 1, 2),
    path: Path | str | None = None, n_jobs: Jobs = 1, progress: bool = True,
    measure: Callable[[Any, Sequence[Atoms]], dict[str, float]] = errors,
) -> list[Row]:  # fmt: skip
    """Train every method on every number of frames with every seed, and measure it on frames it has not seen.

    All methods get the same frames: `tpainn_lite.draw` of the pool, with the seed.

    Parameters
    ----------
    methods
        {name: function of (frames, seed) that gives a potential}, for example
        ``lambda frames, seed: autotune(pretrained, frames, seed=seed, progress=False)``; anything with ``predict`` will
        do, and any ASE calculator.
    pool
        Labelled frames to draw from.
    test
        Labelled frames, or {name of a subset: frames}.  No molecule of the pool should be among them.
    path
        A JSON file in which each row is kept as soon as it is there; called again, only what is missing is run.
        Several processes may share it.
    n_jobs
        Processes, -1 for all cores.  Or a Dask client, or any `concurrent.futures.Executor`, whose workers train and
        measure; the file of rows is written here.
    measure
        Function of (model, frames) that gives {name of an error: value}.

    Returns
    -------
    list of dict
        ``method``, ``n_train``, ``seed``, ``subset`` (if there are several), ``energy_mae`` (meV/atom), ``force_mae``
        (meV/Å), ``seconds`` (of training): what `tpainn_lite.show.plots.learning_curve` draws.

    Raises
    ------
    IdentityError
        The rows in ``path`` were made with another pool or test, or another method of that name.
    ValueError, TypeError
        Sizes, seeds or methods that make no sense.

    >>> from tpainn_lite import load_molecules, new_potential
    >>> methods, frames = {"untrained": lambda frames, seed: new_potential(frames)}, load_molecules("valid")
    >>> learning_curve(methods, frames, frames[:2], sizes=[50], seeds=[0], progress=False)[0]["n_train"]
    50
    """
    from tqdm.auto import tqdm

    if isinstance(sizes, str) or isinstance(seeds, str) or not (np.iterable(sizes) and np.iterable(seeds)):
        raise TypeError(f"sizes is {sizes!r}, seeds {seeds!r}; lists of whole numbers are expected")
    sizes, seeds = list(sizes), list(seeds)
    _check(methods, pool, sizes, seeds, n_jobs)
    file = _RowFile(path, methods, pool, test, measure) if path else None
    rows = file.read() if file else []
    done = {(row["method"], row["n_train"], row["seed"]) for row in rows}
    todo = [(m, n, s) for s in seeds for n in sizes for m in methods if (m, n, s) not in done]
    tests = test if isinstance(test, dict) else {None: test}
    tasks = ((methods[m], m, draw(pool, n, s), s, tests, measure) for m, n, s in todo)
    runs = itertools.starmap(_rows, tasks) if n_jobs == 1 else in_parallel(_rows, tasks, n_jobs, called=_called)
    for new in tqdm(runs, total=len(todo), desc="learning curve", unit=" runs", disable=not progress):
        rows = file.add(new) if file else rows + new
    wanted = {(m, n, s) for m in methods for n in sizes for s in seeds}
    chosen = [row for row in rows if (row["method"], row["n_train"], row["seed"]) in wanted]
    return sorted(chosen, key=lambda row: (list(methods).index(row["method"]), row["n_train"], row["seed"]))


def mean_error(rows: Iterable[Mapping[str, Any]], value: str, **wanted: Any) -> float:
    """The mean of an error over the rows that have the wanted values, over all seeds unless one is wanted.

    Parameters
    ----------
    rows
        As of `learning_curve`, or ``load_results(...)["rows"]``.
    value
        The error: ``force_mae`` (meV/Å), ``energy_mae`` (meV/atom), ...; the mean has its unit.
    **wanted
        What a row must have to count, such as ``method="delta"`` and ``n_train=50``.

    Raises
    ------
    ValueError, TypeError
        No row has all that, or one that has it lacks the error.

    >>> rows = [{"method": "T-PaiNN", "n_train": 10, "seed": seed, "force_mae": 50.0 + seed} for seed in range(3)]
    >>> mean_error(rows, "force_mae", method="T-PaiNN", n_train=10)
    51.0
    """
    rows = list(rows) if np.iterable(rows) else [rows]
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(f"rows is {shown(rows)}; a list of dictionaries is expected")
    chosen = [row for row in rows if all(row.get(name) == wish for name, wish in wanted.items())]
    if not chosen:
        raise ValueError(f"none of {len(rows)} rows has {wanted}; look at what the rows have")
    found = [row[value] for row in chosen if isinstance(row.get(value), (int, float))]
    if len(found) < len(chosen):
        raise ValueError(f"{shown(value)} is no number in every row that was asked for; one has {', '.join(chosen[0])}")
    return float(np.mean(found))


def _rows(train, method, frames, seed, tests, measure):
    started = time.perf_counter()
    model = train(frames, seed)
    run = {"method": method, "n_train": len(frames), "seed": seed}
    seconds, rows = round(time.perf_counter() - started, 2), []
    for subset, test in tests.items():
        measured = {name: round(value, 4) for name, value in measure(model, test).items()}
        rows.append(run | ({} if subset is None else {"subset": subset}) | measured | {"seconds": seconds})
    return rows


def _called(train, method, frames, seed, *_):
    """A run, in words."""
    return f"the method {method!r} on {len(frames)} frames with seed {seed}"


def _check(methods, pool, sizes, seeds, n_jobs):
    check_frames(pool)
    if not sizes or not seeds:
        raise ValueError("no sizes or no seeds were given; at least one of each is expected")
    for n in sizes:
        check_counts(**{"a size": n})
    for seed in seeds:
        check_counts(0, **{"a seed": seed})
    if max(sizes) > len(pool):
        raise ValueError(f"sizes go up to {max(sizes)}, the pool has {len(pool)} frames; label more, or train on fewer")
    if not isinstance(methods, dict) or not methods or not all(callable(train) for train in methods.values()):
        raise ValueError("methods must be a dict of names and functions of (frames, seed), with one entry at least")
    check_jobs(n_jobs)


class _RowFile:
    """Rows on disk, with what made them; shared by as many processes as like."""

    def __init__(self, path, methods, pool, test, measure):
        self.path, self.methods = path_of(path), {name: describe(train) for name, train in methods.items()}
        self.made_from = identity(pool=pool, test=test, measure=measure)

    def read(self):
        """The rows that are there; IdentityError where they are of another kind."""
        return self._content()["rows"]

    def add(self, new):
        """All rows, with the new ones among them unless another process was faster."""
        with locked(self.path, wait=600):
            content = self._content()
            there = {_place(row) for row in content["rows"]}
            content["rows"] += [row for row in new if _place(row) not in there]
            write_text(self.path, json.dumps(content, indent=1) + "\n")
        return content["rows"]

    def _content(self):
        if not self.path.exists():
            check_folder(self.path.parent)
            return {"identity": self.made_from, "methods": self.methods, "rows": []}
        content, advice = _read(self.path), "name another file, or remove it"
        check_same(content["identity"], self.made_from, f"{self.path}", advice)
        for name in self.methods.keys() & content["methods"].keys():
            kept, given = ({name: each[name]} for each in (content["methods"], self.methods))
            check_same(kept, given, f"{self.path}: a method", advice)
        return content | {"methods": content["methods"] | self.methods}


def _place(row):
    return row["method"], row["n_train"], row["seed"], row.get("subset")


def _read(path):
    """The content of a file of rows; DatasetError unless it is one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows: list[Row] = content["rows"]
        numbers = [row[name] for row in rows for name in row.keys() - {"method", "subset"}]
        whole = all(isinstance(content[name], dict) for name in ("identity", "methods"))
        whole = whole and all({"method", "n_train", "seed"} <= row.keys() for row in rows)
        whole = whole and all(isinstance(value, (int, float)) for value in numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise DatasetError(f"{path} is damaged, or no file of `learning_curve`: name another file, or remove it")
    return content
