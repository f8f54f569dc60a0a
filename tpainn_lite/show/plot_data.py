"""What can be drawn: everything that is given to `tpainn_lite.show.plots` is looked at here before a figure is begun."""

import html
from collections.abc import Mapping

import numpy as np

LONGEST = 120  # characters of a name in a figure


def text_of(name):
    """A name as it is written: what looks like HTML in it is shown, and neither obeyed by Plotly nor by a browser.

    >>> text_of("<b>DFT</b>")
    '&lt;b&gt;DFT&lt;/b&gt;'
    """
    words = " ".join(str(name).split(" "))
    return html.escape(words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…", quote=False)


def check_named(groups, holds, may_be_empty=False):
    """Raise `ValueError` unless this is a dictionary of names, with something in it.

    Parameters
    ----------
    holds : str
        What stands behind each name.
    """
    if not isinstance(groups, Mapping) or not (groups or may_be_empty):
        given = f"a {type(groups).__name__}" if not isinstance(groups, Mapping) else "an empty dictionary"
        raise ValueError(f"{given} was given to draw; a dictionary {{name: {holds}}} is expected")


def numbers(values, name, least=1):
    """Values as a flat array of float; NaN is a gap.

    Parameters
    ----------
    name : str
        Of the values, for the error.
    least : int
        How many there must be.

    Raises
    ------
    ValueError
    """
    try:
        whole = hasattr(values, "tolist")  # an array, or a tensor that needs no slope
        parts = [values] if whole else [getattr(part, "tolist", lambda part=part: part)() for part in values]
        found = np.concatenate([np.ravel(np.asarray(part, float)) for part in parts]) if parts else np.zeros(0)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}: {_short(values)} was given to draw; numbers are expected") from None
    if len(found) < least:
        raise ValueError(f"{name}: {len(found)} numbers were given to draw; at least {least} are expected")
    return found


def pair_of(curve, name):
    """x and y of a curve, as they are, after a look at their lengths.

    Raises
    ------
    ValueError
    """
    try:
        xs, ys = curve
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {_short(curve)} was given to draw; (x values, y values) are expected") from None
    check_lengths(name, len(xs) if hasattr(xs, "__len__") else np.size(xs), len(numbers(ys, name)))
    return xs, ys


def check_lengths(name, *lengths):
    """Raise `ValueError` unless these are the same."""
    if len(set(lengths)) > 1:
        raise ValueError(f"{name}: {' and '.join(map(str, lengths))} values to draw; as many of each are expected")


def check_rows(rows, keys, called="rows"):
    """Raise `ValueError` unless this is a list of dictionaries, not empty, that have all of these keys."""
    if isinstance(rows, (str, Mapping)) or not hasattr(rows, "__iter__"):
        raise ValueError(f"{called}: {_short(rows)} was given to draw; a list of dictionaries is expected")
    rows = list(rows)
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{called}: a list of dictionaries is expected to draw, with at least one in it")
    for row in rows:
        missing = [key for key in keys if key not in row]
        if missing:
            raise ValueError(f"{called}: a row has no {', '.join(missing)}; it has {', '.join(map(str, row))}")


def vectors_of(values, name, n):
    """An array (n, 3) of finite numbers.

    Raises
    ------
    ValueError
    """
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {_short(values)} was given to draw; an array ({n}, 3) is expected") from None
    if array.shape != (n, 3) or n == 0 or not np.isfinite(array).all():
        given = f"an array {array.shape}" if array.shape != (n, 3) else "something that is not finite"
        raise ValueError(f"{name}: {given} was given to draw; finite numbers ({max(n, 1)}, 3) are expected")
    return array


def statistics(rows, value):
    """Sizes, mean and standard deviation over seeds."""
    sizes = sorted({row["n_train"] for row in rows})
    groups = [[row[value] for row in rows if row["n_train"] == n] for n in sizes]
    return sizes, [np.mean(g) for g in groups], [np.std(g, ddof=1) if len(g) > 1 else 0.0 for g in groups]


def log_range(values):
    """Least and largest of the numbers that a logarithmic axis can show.

    Raises
    ------
    ValueError
        There is none.
    """
    values = numbers(values, "a logarithmic axis")
    shown = values[np.isfinite(values) & (values > 0)]
    if len(shown) == 0:
        raise ValueError("none of the numbers to draw is above 0, which a logarithmic axis needs")
    return shown.min(), shown.max()


def _short(value):
    said = repr(value)
    return said if len(said) <= 40 else f"a {type(value).__name__}"
