"""Results of long runs, ``data/results/*.json``: one layout, so that a number is traced to the command that made it.

A file holds ``command``, ``created``, ``versions``, ``machine``, ``seconds`` and ``rows``: flat, so that
``pandas.DataFrame(load_results("tour")["rows"])`` is a table.
"""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from tpainn_lite import __version__
from tpainn_lite.reading.shipped import load_results, results_path
from tpainn_lite.structures.files import write_text


def earlier(name):
    """(rows, seconds) of an earlier run that is to be gone on with; ([], 0.0) if there is none."""
    if not results_path(name).exists():
        return [], 0.0
    found = load_results(name)
    return found["rows"], found["seconds"]


def merged(rows, new, key):
    """The rows, with the new ones in place of those that have the same values of the names in ``key``."""
    return list({tuple(row.get(name) for name in key): row for row in [*rows, *new]}.values())


def save_results(name, rows, command, seconds, packages=(), threads=None, **more):
    """Write rows with where they come from, whole or not at all.

    Parameters
    ----------
    name : str
    rows : list of dict
    command : str
        What to run to get them again.
    seconds : float
        That it took, all interrupted runs together.
    packages : list of str
        Whose versions matter.
    threads : int, optional
    """
    content = {
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"tpainn_lite": __version__, **{package: version(package) for package in packages}},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores" + (f", {threads} threads used" if threads else ""),
        "seconds": round(seconds, 1),
        **more,
        "rows": rows,
    }
    write_text(results_path(name), json.dumps(content, indent=1, ensure_ascii=False) + "\n")
