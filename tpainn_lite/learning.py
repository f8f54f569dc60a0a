"""Learning curves: error against number of labels, for several methods, sizes and seeds; resumable, in parallel."""

import itertools
import json
import time
from pathlib import Path

from tpainn_lite.datasets import draw
from tpainn_lite.files import write_text
from tpainn_lite.label_work import in_parallel, quiet_workers
from tpainn_lite.observables import errors


def learning_curve(methods, pool, test, sizes, seeds=(0, 1, 2), path=None, n_jobs=1, progress=True, measure=errors):
    """Train every method on every number of frames with every seed, and measure it on frames it has not seen.

    All methods get the same frames: `tpainn_lite.draw` of the pool, with the seed.

    Parameters
    ----------
    methods : dict {name: callable(frames, seed) -> Potential}
        For example ``lambda frames, seed: autotune(pretrained, frames, seed=seed, progress=False)``; anything with
        ``predict`` will do, and any ASE calculator.
    pool : list of ase.Atoms
        Labelled.
    test : list of ase.Atoms, or dict {subset: list of ase.Atoms}
        Labelled.  No molecule of the pool should be in it.
    sizes, seeds : sequence of int
    path : str or Path, optional
        A JSON file in which each row is kept as soon as it is there; called again, only what is missing is run.
    n_jobs : int
        Processes.
    measure : callable(model, frames) -> dict
        `tpainn_lite.observables.errors` unless given.

    Returns
    -------
    list of dict
        ``method``, ``n_train``, ``seed``, ``subset`` (if there are several), ``energy_mae`` (meV/atom), ``force_mae``
        (meV/Å), ``seconds`` (of training): what `tpainn_lite.plots.learning_curve` draws.
    """
    if max(sizes) > len(pool):
        raise ValueError(f"sizes go up to {max(sizes)}, the pool has {len(pool)} frames; label more, or ask for fewer")
    rows = _earlier(path)
    done = {(row["method"], row["n_train"], row["seed"]) for row in rows}
    todo = [(m, n, s) for s in seeds for n in sizes for m in methods if (m, n, s) not in done]
    tests = test if isinstance(test, dict) else {None: test}
    tasks = ((methods[m], m, draw(pool, n, s), s, tests, measure) for m, n, s in todo)
    runs = itertools.starmap(_rows, tasks) if n_jobs == 1 else in_parallel(_rows, tasks, n_jobs)
    with quiet_workers():
        for new in _bar(runs, len(todo), progress):
            rows += new
            if path:
                write_text(path, json.dumps(rows, indent=1) + "\n")
    wanted = {(m, n, s) for m in methods for n in sizes for s in seeds}
    found = [row for row in rows if (row["method"], row["n_train"], row["seed"]) in wanted]
    return sorted(found, key=lambda row: (list(methods).index(row["method"]), row["n_train"], row["seed"]))


def _rows(train, method, frames, seed, tests, measure):
    started = time.perf_counter()
    model = train(frames, seed)
    run = {"method": method, "n_train": len(frames), "seed": seed}
    seconds, rows = round(time.perf_counter() - started, 2), []
    for subset, test in tests.items():
        measured = {name: round(value, 4) for name, value in measure(model, test).items()}
        rows.append(run | ({} if subset is None else {"subset": subset}) | measured | {"seconds": seconds})
    return rows


def _earlier(path):
    return json.loads(Path(path).read_text(encoding="utf-8")) if path and Path(path).exists() else []


def _bar(rows, total, progress):
    from tqdm.auto import tqdm

    return tqdm(rows, total=total, desc="learning curve", unit=" runs", disable=not progress)
