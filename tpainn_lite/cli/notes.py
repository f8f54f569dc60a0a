"""What a command has to say on the way, on the error stream: kept until its work begins, or has succeeded.

So a command that fails says one thing alone: what went wrong.
"""

import sys

_kept: list[str] = []


def say(line: str) -> None:
    """Keep a line, for `tell`."""
    _kept.append(line)


def tell() -> None:
    """Print the lines that were kept: before long work, and at the end."""
    lines, _kept[:] = list(_kept), []
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def forget() -> None:
    """Leave out the lines that were kept."""
    _kept.clear()
