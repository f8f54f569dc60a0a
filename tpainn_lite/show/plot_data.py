"""What can be drawn: everything that is given to `tpainn_lite.show.plots` is checked here before a figure is begun."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tpainn_lite.structures.arguments import shown

Rows = Sequence[Mapping[str, Any]]


def check_named(groups: Any, holds: str, may_be_empty: bool = False) -> None:
    """Raise ValueError unless this is a dictionary of names with something in it; ``holds``: what each name has."""
    if not isinstance(groups, Mapping) or not (groups or may_be_empty):
        given = f"a {type(groups).__name__}" if not isinstance(groups, Mapping) else "an empty dictionary"
        raise ValueError(f"{given} was given to draw; a dictionary {{name: {holds}}} is expected")


def numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Numbers, arrays or tensors as one flat array, not empty; NaN is a gap."""
    try:
        is_array = hasattr(values, "tolist")  # an array, or a tensor that needs no gradient
        parts = [values] if is_array else [getattr(part, "tolist", lambda part=part: part)() for part in values]
        flat = np.concatenate([np.ravel(np.asarray(part, float)) for part in parts]) if parts else np.zeros(0)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}: {shown(values)} was given to draw; numbers are expected") from None
    if len(flat) == 0:
        raise ValueError(f"{name}: an empty list was given to draw; at least one number is expected")
    return flat


def pair_of(curve: Any, name: str) -> tuple[ArrayLike, ArrayLike]:
    """x and y of a curve, as they are, if there are as many of each."""
    try:
        xs, ys = curve
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {shown(curve)} was given to draw; (x values, y values) are expected") from None
    check_lengths(name, len(xs) if hasattr(xs, "__len__") else np.size(xs), len(numbers(ys, name)))
    return xs, ys


def check_lengths(name: str, *lengths: int) -> None:
    """Raise ValueError unless these are the same."""
    if len(set(lengths)) > 1:
        raise ValueError(f"{name}: {' and '.join(map(str, lengths))} values to draw; as many of each are expected")


def check_rows(rows: Any, keys: Sequence[str], name: str = "rows") -> None:
    """Raise ValueError unless this is a list of dictionaries, not empty, that have all of these keys."""
    is_list = hasattr(rows, "__iter__") and not isinstance(rows, (str, Mapping))
    if not is_list or not (rows := list(rows)) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{name}: {shown(rows)} was given to draw; a list of dictionaries, at least one, is expected")
    for row in rows:
        missing = [key for key in keys if key not in row]
        if missing:
            raise ValueError(f"{name}: a row has no {', '.join(missing)}; it has {', '.join(map(str, row))}")


def statistics(rows: Rows, value: str) -> tuple[list, list, list]:
    """Sizes, and the mean and the standard deviation over seeds at each of them."""
    sizes = sorted({row["n_train"] for row in rows})
    groups = [[row[value] for row in rows if row["n_train"] == n] for n in sizes]
    return sizes, [np.mean(g) for g in groups], [np.std(g, ddof=1) if len(g) > 1 else 0.0 for g in groups]


def log_range(values: Any) -> tuple[float, float]:
    """Least and largest of the numbers that a logarithmic axis can show; ValueError if there is none."""
    flat = numbers(values, "a logarithmic axis")
    positive = flat[np.isfinite(flat) & (flat > 0)]
    if len(positive) == 0:
        raise ValueError("none of the numbers to draw is above 0, which a logarithmic axis needs")
    return positive.min(), positive.max()
