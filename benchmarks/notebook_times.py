"""How long each notebook runs: on one core, on two, and on one that another program uses as well.

    python benchmarks/notebook_times.py                # all that is missing: one to two hours on a quiet machine
    python benchmarks/notebook_times.py --again        # all of it anew
    python docs/readme_numbers.py                      # then: the table of docs/module.md

The cores are those that the kernel may use (its affinity; Linux).  ``others`` is what other programs did on them in the
five seconds before a run, in percent: a run begins when it is below ten (or after five minutes, as it is).  Where one
core is used, another may do other work; that costs a little, because they share the way to the memory.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from results import earlier, merged, save_results

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CASES = {"two cores": (2, False), "one core": (1, False), "busy core": (1, True)}  # (cores, another program beside it)
PACKAGES = ("torch", "torch-geometric", "numba", "jupyterlab")


def timed(path, cores, busy):
    """A row: seconds from the first to the last cell, with the start of the kernel, and megabytes by the receipt."""
    allowed = os.sched_getaffinity(0)
    mine = sorted(allowed)[:cores]
    others = quiet(mine)
    os.sched_setaffinity(0, mine)
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if "colab" not in cell.metadata.get("tags", ())]
        begun = time.perf_counter()
        NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
        ).execute()
        seconds = time.perf_counter() - begun
    finally:
        if other:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, allowed)
    return {"seconds": round(seconds, 1), "megabytes": memory(notebook), "others": round(others, 1)}


def quiet(cores, most=10.0, patience=300):
    """Wait until these cores have nothing else to do; what the busiest does then, in percent."""
    until = time.monotonic() + patience
    while (others := busiest(cores)) > most and time.monotonic() < until:
        pass
    return others


def busiest(cores):
    """The largest use of one of these cores over five seconds, in percent."""
    used = psutil.cpu_percent(interval=5, percpu=True)
    return max(used[core] for core in cores)


def memory(notebook):
    """Megabytes that the notebook's receipt prints; None without one."""
    texts = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())]
    found = [match[1] for text in texts if (match := re.search(r"^memory +(\d+) MB", text, flags=re.MULTILINE))]
    return int(found[-1]) if found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="measure all of it anew")
    parser.add_argument("--notebooks", type=Path, default=NOTEBOOKS)
    args = parser.parse_args()
    rows, seconds = ([], 0.0) if args.again else earlier("notebook_times")
    done = {(row["notebook"], row["case"]) for row in rows}
    for case, (cores, busy) in CASES.items():
        for path in sorted(args.notebooks.glob("*.ipynb")):
            if (path.stem, case) in done or cores > len(os.sched_getaffinity(0)):
                continue
            row = {"notebook": path.stem, "case": case, "cores": cores, "busy": busy} | timed(path, cores, busy)
            print(row, flush=True)
            rows, seconds = merged(rows, [row], ("notebook", "case")), seconds + row["seconds"]
            save_results("notebook_times", rows, "python benchmarks/notebook_times.py", seconds, PACKAGES)


if __name__ == "__main__":
    main()
