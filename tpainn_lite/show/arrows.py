"""Atoms in space, each with an arrow: forces, or the vector features of a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import ArrayLike

from tpainn_lite.show.style import COLOURS, new_figure
from tpainn_lite.structures.arguments import check_choice, check_list, finite_numbers
from tpainn_lite.structures.geometry import bonds_of


def arrows(symbols: Sequence[str], positions: ArrayLike, vectors: ArrayLike, title: str | None = None) -> go.Figure:
    """Atoms in space, each with an arrow.

    Parameters
    ----------
    symbols, positions
        (N,) elements; (N, 3) Å.
    vectors
        (N, 3) of any quantity, drawn so that the longest arrow is 1.2 Å.

    >>> figure = arrows(["O", "H"], [[0, 0, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, -1]])
    >>> [trace.name for trace in figure.data]
    ['bonds', 'arrows', None, 'atoms']
    """
    check_list(symbols, "symbols")
    check_choice(tuple(atomic_numbers), **{f"symbol {k}": symbol for k, symbol in enumerate(symbols)})
    positions = finite_numbers(positions, "positions", (len(symbols), 3))
    vectors = finite_numbers(vectors, "vectors", (len(symbols), 3))
    tips = positions + 1.2 * vectors / max(np.linalg.norm(vectors, axis=1).max(), 1e-12)
    figure = new_figure(None, None, title).update_layout(height=460, showlegend=False, scene=_space([positions, tips]))
    _add_sticks(figure, positions[bonds_of(Atoms(symbols, positions))], "bonds", {"color": "lightgrey", "width": 10})
    _add_sticks(figure, np.stack([positions, tips], axis=1), "arrows", {"color": COLOURS[4], "width": 6})
    (x, y, z), (u, v, w) = tips.T, (tips - positions).T
    size = {"sizemode": "raw", "sizeref": 0.35, "anchor": "tip", "showscale": False, "hoverinfo": "skip"}
    figure.add_cone(x=x, y=y, z=z, u=u, v=v, w=w, colorscale=[[0, COLOURS[4]], [1, COLOURS[4]]], **size)
    x, y, z = positions.T
    colours = [COLOURS[{"H": 5, "C": 6, "N": 0, "O": 1, "F": 2}.get(symbol, 3)] for symbol in symbols]
    marker = {"color": colours, "size": [8 if symbol == "H" else 16 for symbol in symbols]}
    text = {"mode": "markers+text", "text": list(symbols), "textposition": "top center"}
    return figure.add_scatter3d(x=x, y=y, z=z, marker=marker, name="atoms", **text)


def _add_sticks(figure, ends, name, line):
    """Lines (n, 2, 3) between two points each, as one trace."""
    gaps = np.full((len(ends), 1, 3), np.nan)
    x, y, z = np.concatenate([ends, gaps], axis=1).reshape(-1, 3).T
    figure.add_scatter3d(x=x, y=y, z=z, mode="lines", line=line, name=name)


def _space(points: Any) -> dict[str, Any]:
    """A cube without axes around these points."""
    reach = float(np.abs(points).max()) + 0.3
    axis = {"range": [-reach, reach], "visible": False}
    eye = {"x": 0.9, "y": 0.9, "z": 0.6}
    return {"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "cube", "camera": {"eye": eye}}
