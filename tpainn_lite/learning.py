"""Learning curves: error against number of labels, for several methods, sizes and seeds; resumable, in parallel."""

import itertools
import json
import time
from pathlib import Path

from tpainn_lite.datasets import draw, write_text
from tpainn_lite.label_work import in_parallel, quiet_workers
from tpainn_lite.observables import errors


def learning_curve(methods, pool, test, sizes, seeds=(0, 1, 2), path=None, n_jobs=1, progress=True):
    """Train every method on every number of frames with every seed, and measure it on frames it has not seen.

    All methods get the same frames: `tpainn_lite.draw` of the pool, with the seed.

    Parameters
    ----------
    methods : dict {name: callable(frames, seed) -> Potential}
        For example ``lambda frames, seed: autotune(pretrained, frames, seed=seed, progress=False)``; anything with
        ``predict`` will do, and any ASE calculator.
    pool, test : list of ase.Atoms
        Labelled.  No molecule of one should be in the other.
    sizes, seeds : sequence of int
    path : str or Path, optional
        A JSON file in which each row is kept as soon as it is there; called again, only what is missing is run.
    n_jobs : int
        Processes.

    Returns
    -------
    list of dict
        ``method``, ``n_train``, ``seed``, ``energy_mae`` (meV/atom), ``force_mae`` (meV/Å), ``seconds``: what
        `tpainn_lite.plots.learning_curve` draws.
    """
    if max(sizes) > len(pool):
        raise ValueError(f"sizes go up to {max(sizes)}, the pool has {len(pool)} frames; label more, or ask for fewer")
    rows = _earlier(path)
    done = {(row["method"], row["n_train"], row["seed"]) for row in rows}
    todo = [(m, n, s) for s in seeds for n in sizes for m in methods if (m, n, s) not in done]
    tasks = ((methods[m], m, draw(pool, n, s), s, test) for m, n, s in todo)
    runs = itertools.starmap(_row, tasks) if n_jobs == 1 else in_parallel(_row, tasks, n_jobs)
    with quiet_workers():
        for row in _bar(runs, len(todo), progress):
            rows.append(row)
            if path:
                write_text(path, json.dumps(rows, indent=1) + "\n")
    wanted = {(m, n, s) for m in methods for n in sizes for s in seeds}
    found = [row for row in rows if (row["method"], row["n_train"], row["seed"]) in wanted]
    return sorted(found, key=lambda row: (list(methods).index(row["method"]), row["n_train"], row["seed"]))


def _row(train, method, frames, seed, test):
    started = time.perf_counter()
    model = train(frames, seed)
    seconds = round(time.perf_counter() - started, 2)
    measured = {name: round(value, 4) for name, value in errors(model, test).items()}
    return {"method": method, "n_train": len(frames), "seed": seed, **measured, "seconds": seconds}


def _earlier(path):
    return json.loads(Path(path).read_text(encoding="utf-8")) if path and Path(path).exists() else []


def _bar(rows, total, progress):
    from tqdm.auto import tqdm

    return tqdm(rows, total=total, desc="learning curve", unit=" runs", disable=not progress)
