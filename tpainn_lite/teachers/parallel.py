"""Who does the work: this process, others on this machine, or the workers of a cluster.

Wherever there is an ``n_jobs``, it is a number of processes, a Dask client (of workers started by Slurm, PBS, …), or
any `concurrent.futures.Executor` (a pool of processes, mpi4py's).  A worker does one job at a time on one thread, or
on as many as its ``OMP_NUM_THREADS`` says, so that results are those of one process.
"""

import concurrent.futures as futures
import inspect
import itertools
import os
import pickle
import platform
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from tpainn_lite import __version__
from tpainn_lite.structures.arguments import shown

WATCH_SECONDS = 0.5  # how often a process looks whether the one that it works for is still there
MOST_JOBS = 1024  # processes
AHEAD = 2  # jobs for each worker of an executor that are handed over, so that none has to wait for its next
COUNT_SECONDS = 1.0  # how often the workers of a cluster are counted: they come and go
LOSS_SECONDS = 0.5  # in which all that was lost with a worker is known
PATIENCE = 10.0  # seconds without any worker after which that is said
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

_END = object()
_one_at_a_time = threading.Lock()  # in a worker with several threads: seeds and numbers of threads belong to a process
_here = threading.local()  # whether this thread is at work for another process


@runtime_checkable
class Cluster(Protocol):
    """What has an executor: a client of Dask's."""

    def get_executor(self, **how: Any) -> Executor:
        """What takes functions and gives futures."""


Jobs: TypeAlias = int | Executor | Cluster


def check_jobs(n_jobs: Jobs) -> None:
    """Raise `ValueError` unless this can be a number of processes, as joblib counts them, or who does the work."""
    if isinstance(n_jobs, (Executor, Cluster)) and not inspect.isclass(n_jobs):
        return
    whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
    if not whole or n_jobs == 0 or n_jobs > MOST_JOBS:
        raise ValueError(
            f"n_jobs is {n_jobs!r}; a whole number of processes from 1 to {MOST_JOBS} is expected, -1 for all cores, a "
            "Dask client or an executor"
        )


def usable_cores() -> int:
    """Cores that this process may use: those of the machine, or fewer where it or its container is confined."""
    from joblib import cpu_count

    return cpu_count()


def n_workers(n_jobs: Jobs) -> int:
    """How many jobs are done at a time, at least 1."""
    executor = executor_of(n_jobs)
    if executor is not None:
        return max(1, _workers_of(executor))
    assert isinstance(n_jobs, (int, np.integer))
    return n_jobs if n_jobs > 0 else usable_cores()


def executor_of(n_jobs: Jobs) -> Executor | None:
    """Who is meant, if it is not processes of this machine; a Dask client that is active does what several would."""
    if isinstance(n_jobs, Executor):
        return n_jobs
    if isinstance(n_jobs, Cluster):
        return n_jobs.get_executor(pure=False)
    if n_jobs == 1 or getattr(_here, "working", False) or "distributed" not in sys.modules:
        return None
    try:
        return sys.modules["distributed"].default_client().get_executor(pure=False)
    except ValueError:  # there is none
        return None


def side_by_side(
    work: Callable[..., Any], jobs: Iterable[tuple], n_jobs: Jobs = -1, progress: bool = True
) -> Iterator[Any]:
    """``work(*job)`` for each job, several at a time, each on a core of its own: results in the order of the jobs.

    Parameters
    ----------
    work
        A function, one of a notebook's own too; it runs in another process, and what it prints there is lost.
    jobs
        A tuple of arguments for each.
    n_jobs
        Processes; -1 for all cores.  With one, or one core, or one job, this process does it all.  Or a Dask client,
        or any `concurrent.futures.Executor`, whose workers do it all.
    progress
        Show a progress bar.

    >>> list(side_by_side(pow, [(2, 3), (3, 2)], n_jobs=1, progress=False))
    [8, 9]
    """
    from tqdm.auto import tqdm

    check_jobs(n_jobs)
    if not callable(work) or isinstance(jobs, str) or not hasattr(jobs, "__iter__"):
        raise TypeError(f"work is {shown(work)}, jobs {shown(jobs)}; a function and a list of tuples are expected")
    jobs, executor = list(jobs), executor_of(n_jobs)
    workers = executor or min(n_workers(n_jobs), len(jobs))
    done = itertools.starmap(work, jobs) if workers in (0, 1) else in_parallel(work, jobs, workers, in_order=True)
    yield from tqdm(done, "side by side", len(jobs), unit=" jobs", disable=not progress)


def in_parallel(
    work: Callable[..., Any], jobs: Iterable[tuple], n_jobs: Jobs, in_order: bool = False,
    called: Callable[..., str] | None = None,
) -> Generator[Any, None, None]:  # fmt: skip
    """Results of ``work(*job)`` as they come, or in the order of the jobs: from processes of joblib's, which end when
    this one does, in whatever way; or from an executor, whose errors name the job as ``called(*job)`` does.
    """
    executor = executor_of(n_jobs)
    if executor is not None:
        return _quietly(_on_executor(executor, work, jobs, in_order, called))
    return _quietly(_on_processes(work, jobs, n_jobs, in_order))


# --- processes of this machine ---


def _on_processes(work, jobs, n_jobs, in_order):
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=n_jobs, initializer=_end_with, initargs=(os.getpid(),)):
        workers = Parallel(return_as="generator" if in_order else "generator_unordered", batch_size=1)
    return workers(delayed(work)(*job) for job in jobs)


def _end_with(parent):
    """Let this process end soon after its parent was killed; it would wait for work for ever."""

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _quietly(runs):
    """The same, without the workers' warnings, and with Python's own filters while their taker is at work."""
    try:
        while True:
            with quiet_workers():
                run = next(runs, _END)
            if run is _END:
                return
            yield run
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that not all was taken
            runs.close()


@contextmanager
def quiet_workers() -> Iterator[None]:
    """Without warnings of joblib's, that processes have grown and are replaced, and of Dask's, that jobs are large."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        warnings.filterwarnings("ignore", message="Sending large graph of size")
        yield


# --- workers of an executor ---


@contextmanager
def scheduler_at(address: str) -> Iterator[Cluster]:
    """A Dask client of the scheduler at an address (``tcp://host:8786``), or in a file that Dask wrote.

    Raises
    ------
    ImportError, OSError
        Without Dask, or where no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("a scheduler needs Dask: pip install 'tpainn_lite[cluster]'") from error
    try:
        client = Client(**_arguments_of(address), timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # noqa: BLE001  of all kinds: no answer, no file of a scheduler, another protocol
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(
            f"no Dask scheduler answers at {address} ({reason}): start one (dask scheduler), or name its address, "
            "tcp://host:port, or its file"
        ) from None
    with client:
        yield client


def _arguments_of(address):
    """Dask's name for an address, or for a scheduler's file, which it may be about to write."""
    if not address.endswith(".json"):
        return {"address": address}
    for _ in range(int(PATIENCE / 0.1)):
        if os.path.exists(address):
            return {"scheduler_file": address}
        time.sleep(0.1)
    raise OSError("there is no such file")


def _workers_of(executor):
    """How many there are now; on a cluster that waits for its machines, 0."""
    client = getattr(executor, "_client", None)
    if client is not None:
        return len(client.nthreads())
    known = (getattr(executor, name, None) for name in ("_max_workers", "num_workers"))
    return next((n for n in known if isinstance(n, int)), usable_cores())


def _on_executor(executor, work, jobs, in_order, called):
    """Hand over a few jobs more than there are workers; what was not begun is taken back when nobody wants it."""
    packed_work, jobs, count = packed_bytes(work), enumerate(jobs), _Count(executor)
    running: deque[tuple[futures.Future, str]] = deque()
    try:
        while True:
            unfinished = [future for future, _ in running if not future.done()]
            for number, job in itertools.islice(jobs, max(0, AHEAD * count.workers() - len(unfinished))):
                future = executor.submit(
                    _alone, packed_work, packed_bytes(job), __version__, (platform.node(), os.getpid())
                )
                running.append((future, called(*job) if called else f"job {number}"))
                unfinished.append(future)
            if not running:
                return
            ready = [k for k, (future, _) in enumerate(running) if future.done() and not (in_order and k)]
            if not ready:
                count.wait(unfinished)
            for k in reversed(ready):
                result = _result(*running[k])
                del running[k]
                yield pickle.loads(result)
    except Exception as error:
        if not _is_loss(error):
            raise
        raise RuntimeError(_lost(running, error)) from error
    finally:
        for future, _ in running:
            future.cancel()


class _Count:
    """The workers of an executor, counted now and then; it says so where there are none for long."""

    def __init__(self, executor):
        self.executor, self.counted, self.n = executor, -COUNT_SECONDS, 0
        self.idle_since, self.said = time.monotonic(), False

    def workers(self):
        """How many there are, at least 1: a cluster that grows with its work needs some to begin with."""
        if time.monotonic() - self.counted >= COUNT_SECONDS:
            with suppress(OSError):  # the scheduler is gone, which the futures say better
                self.n = _workers_of(self.executor)
            self.counted = time.monotonic()
        return max(1, self.n)

    def wait(self, some):
        """Until one of them is done, or it is time to look whether there are more workers."""
        futures.wait(some, timeout=COUNT_SECONDS, return_when=futures.FIRST_COMPLETED)
        if self.n:
            self.idle_since = time.monotonic()
        elif not self.said and time.monotonic() - self.idle_since > PATIENCE:
            self.said = True
            print("the cluster has no workers yet: waiting for them", file=sys.stderr, flush=True)


def _result(future, name):
    """What came out; an error of the job itself says of which."""
    try:
        return future.result()
    except Exception as error:
        if not _is_loss(error):
            error.add_note(f"in {name}")
        raise


def _is_loss(error):
    """Whether it is nothing that the job itself raised: its worker died, or the scheduler did."""
    names = ("KilledWorker", "FutureCancelledError", "FuturesCancelledError")
    return isinstance(error, (futures.BrokenExecutor, futures.CancelledError)) or type(error).__name__ in names


def _lost(running, error):
    """What was on the way when a worker died, of which one may be why."""
    futures.wait([future for future, _ in running], timeout=LOSS_SECONDS)
    names = [name for future, name in running if not future.done() or future.cancelled() or future.exception()]
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    what = " or ".join([*names[:3], *(["another piece of work"] if len(names) > 3 else [])])
    return f"{what}: the worker or its scheduler died ({reason}); more memory for each, or a sound program, is expected"


def packed_bytes(thing: Any) -> bytes:
    """Anything, functions of a notebook too, for another process."""
    from joblib.externals.loky.backend.reduction import dumps

    return bytes(dumps(thing))


def _alone(packed_work, packed_job, version, home):
    """On a worker: one job at a time, on one thread unless ``OMP_NUM_THREADS`` says more; what comes out, as bytes."""
    if version != __version__:
        raise RuntimeError(f"the worker has tpainn_lite {__version__}, its client {version}: install the same version")
    with _one_at_a_time:
        _here.working = True
        away = home != (platform.node(), os.getpid())
        try:
            if away:
                _stay_on_own_threads()
            work, job = pickle.loads(packed_work), pickle.loads(packed_job)
            if away:
                _stay_on_own_threads()  # of what has come with the job
            return packed_bytes(work(*job))
        finally:
            _here.working = False


def _stay_on_own_threads():
    """No more threads than ``OMP_NUM_THREADS``, or one: for what is loaded, and what will be."""
    for name in THREADS:
        if name != "NUMBA_NUM_THREADS" or "numba" not in sys.modules:  # which takes no other number once it is loaded
            os.environ.setdefault(name, "1")
    first = os.environ["OMP_NUM_THREADS"].split(",")[0]
    n_threads = max(1, int(first)) if first.isdigit() else 1
    torch, numba = sys.modules.get("torch"), sys.modules.get("numba")
    if torch is not None:
        torch.set_num_threads(n_threads)
    if numba is not None:
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
