"""A figure with all states of its controls as one small piece of JSON, so that a page without a kernel stays alive.

What is stored is the figure for the first values, and for every other state only what differs from it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import plotly.graph_objects as go

MOST_OF_ONE = 60  # values of one control that a page has
MOST = 200  # states of all controls together
BYTES = 300_000  # of one figure, as JSON
DIGITS = 5

Choices = tuple[Sequence[Any], Sequence[str], int]  # values, their labels, the place of the first one


def with_states(draw: Callable[..., go.Figure], choices: Mapping[str, Choices]) -> dict[str, Any]:
    """The figure as a dictionary for Plotly, with ``states``: the labels of each control, and what each state changes.

    All values of a control, or as many of them, evenly spread, as fit: 60 of one control, 200 states together, 300 kB.

    Parameters
    ----------
    draw
        Takes the controls by name.
    choices
        By name: the values, their labels, and the place of the one that is shown first.

    >>> spec = with_states(lambda k: go.Figure(go.Scatter(y=[0, k])), {"k": ([1, 2], ["1", "2"], 0)})
    >>> spec["states"]["controls"]
    [{'name': 'k', 'labels': ['1', '2'], 'start': 0}]
    >>> spec["states"]["changes"]
    [{}, {'data': {'0': {'y': [0, 2]}}}]
    """
    lengths, most = [len(values) for values, _, _ in choices.values()], MOST
    while True:
        sizes = dict(zip(choices, _sizes(lengths, most), strict=True))
        spec = _spec(draw, {name: _thinned(*choice, sizes[name]) for name, choice in choices.items()})
        if len(json.dumps(spec, separators=(",", ":"))) <= BYTES or most == 1:
            return spec
        most //= 2


def _sizes(lengths, most):
    """How many values each control may have; what a short one leaves over is for the longer ones."""
    sizes = [0] * len(lengths)
    for done, k in enumerate(sorted(range(len(lengths)), key=lambda k: lengths[k])):
        share = int(most ** (1 / (len(lengths) - done)) + 1e-9)
        sizes[k] = max(1, min(lengths[k], share, MOST_OF_ONE))
        most //= sizes[k]
    return sizes


def _thinned(values, labels, start, size):
    """So many of the values, evenly spread, the first one among them."""
    kept = np.round(np.linspace(0, len(values) - 1, size)).astype(int)
    kept[np.argmin(np.abs(kept - start))] = start
    return [values[k] for k in kept], [labels[k] for k in kept], int(np.flatnonzero(kept == start)[0])


def _spec(draw, choices):
    first = _json(draw(**{name: values[start] for name, (values, _, start) in choices.items()}))
    states = (dict(zip(choices, values, strict=True)) for values in product(*(v for v, _, _ in choices.values())))
    changes = [changes_of(first, _json(draw(**state))) for state in states]
    controls = [{"name": name, "labels": labels, "start": start} for name, (_, labels, start) in choices.items()]
    return first | {"states": {"controls": controls, "changes": changes}}


def _json(figure):
    data = [plain(trace.to_plotly_json()) for trace in figure.data]
    return {"data": data, "layout": plain(figure.layout.to_plotly_json())}


def changes_of(first: Any, other: Any) -> Any:
    """What has to be put into ``first`` to make ``other`` of it; None takes a key away.

    >>> changes_of({"x": [1], "marker": {"size": 3}, "name": "a"}, {"x": [1], "marker": {"size": 4}})
    {'marker': {'size': 4}, 'name': None}
    """
    if isinstance(first, dict) and isinstance(other, dict):
        new = {key: changes_of(first.get(key), value) for key, value in other.items() if value != first.get(key)}
        return new | {key: None for key in first if key not in other}
    if _are_parts(first) and _are_parts(other) and len(first) == len(other):
        pairs = enumerate(zip(first, other, strict=True))
        return {str(k): changes_of(old, new) for k, (old, new) in pairs if old != new}
    return other


def _are_parts(value):
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) for part in value)


def plain(value: Any) -> Any:
    """The same for JSON: arrays as lists, numbers with five digits (of themselves and of their range), NaN as None.

    >>> plain({"x": np.array([0.1234567, np.nan]), "y": (1000.123456, 1000.2)})
    {'x': [0.12346, None], 'y': [1000.123456, 1000.2]}
    """
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and not _are_numbers(value):
        return [plain(part) for part in value]
    if isinstance(value, (list, tuple, np.ndarray, np.generic)):
        array = np.asarray(value)
        return _rounded(array) if array.dtype.kind == "f" else array.tolist()
    return value


def _are_numbers(values):
    return bool(values) and all(isinstance(value, (int, float, np.number)) for value in values)


def _rounded(array):
    finite = np.abs(array[np.isfinite(array)])
    span = float(np.ptp(array[np.isfinite(array)])) if finite.size else 0.0
    decimals = DIGITS - 1 - int(np.floor(np.log10(span))) if span > 0 else None

    def short(value):
        if isinstance(value, list):
            return [short(part) for part in value]
        if not np.isfinite(value):
            return None
        far = decimals is not None and abs(value) > span  # its digits have to tell it from its neighbours
        number = round(value, decimals) if far else float(f"{value:.{DIGITS}g}")
        return int(number) if number.is_integer() and abs(number) < 1e9 else number

    return short(array.tolist())
