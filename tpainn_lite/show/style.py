"""How a figure looks: colours are Okabe and Ito's, a method has its own in every figure, names are shown as written.

Okabe and Ito's palette (2008, jfly.uni-koeln.de/color) stays distinct for colour-blind eyes; line styles and
markers differ too, so that the figures survive greyscale.  Paper is transparent, for it may be dark: words, and what
would be black, have a grey that can be read on both.  A page (`docs/site/site.figures.js`) puts its own ink instead.
"""

import html
import itertools
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tpainn_lite.show.plot_data import log_range


@contextmanager
def _withheld(name: str) -> Iterator[None]:
    """As if an optional module were not installed."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # importing it then raises an ImportError
    try:
        yield
    finally:
        del sys.modules[name]


with _withheld("rfc3987_syntax"):  # a grammar of web addresses, by Plotly's nbformat: a second and 16 MB, for nothing
    import plotly.basewidget  # noqa: F401
    import plotly.graph_objects as go
    import plotly.io as pio

Name = TypeVar("Name", bound=Hashable)

NEUTRAL = "#767676"  # contrast: 4.5 with white, 4.6 with black
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", NEUTRAL)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid", "solid")
OWN = {  # what a name begins with: its place in these lists, the same in every figure
    "T-PaiNN": 0, "from scratch": 1, "scratch": 1, "one energy per element": 1, "Δ-learning": 2, "MMFF94": 3,
    "q-TIP4P/F": 3, "UFF": 4, "SPC/Fw": 4, "DFT": 6, "experiment": 6,
}  # fmt: skip
OTHERS = (5, 2, 4, 3, 1, 6)  # places for other names, in this order where they are free; never the first, T-PaiNN's
CLEAR, FAINT = "rgba(0,0,0,0)", "rgba(118,118,118,0.25)"
AXIS = {"gridcolor": FAINT, "linecolor": FAINT, "zerolinecolor": "rgba(118,118,118,0.5)"}
TEMPLATE = go.layout.Template(pio.templates["plotly_white"]).update(
    layout={
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "font": {"color": NEUTRAL}, "xaxis": AXIS, "yaxis": AXIS,
        "modebar": {"bgcolor": CLEAR, "color": NEUTRAL},
    },
    data={"bar": [{"marker": {"line": {"width": 0}}}]},
)  # fmt: skip
LONGEST = 120  # characters of a name in a figure


def text_of(name: object) -> str:
    """A name as it is written: what looks like HTML is shown, and obeyed neither by Plotly nor by a browser.

    >>> text_of("<b>DFT</b>")
    '&lt;b&gt;DFT&lt;/b&gt;'
    """
    words = " ".join(str(name).split(" "))
    return html.escape(words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…", quote=False)


def new_figure(x: str | None, y: str | None, title: str | None) -> go.Figure:
    """Empty axes, each with the quantity and the unit that it shows."""
    figure = go.Figure()
    figure.update_layout(
        template=TEMPLATE, title={"text": text_of(title), "y": 0.97, "yanchor": "top"} if title else None,
        height=380, margin={"l": 70, "r": 20, "t": 90 if title else 20, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}, font={"size": 13},
    )  # fmt: skip
    x, y = (text_of(axis) if axis else None for axis in (x, y))
    return figure.update_xaxes(title=x).update_yaxes(title=y)


def places_of(names: Iterable[Name]) -> dict[Name, int]:
    """The place of each name in the lists of colours, markers and dashes: its own, or one that is left over.

    Of several names with the same beginning the shortest has its place: "T-PaiNN" before "T-PaiNN, better teacher".
    """
    names = list(dict.fromkeys(names))
    places: dict[Name, int] = {}
    for name in sorted(names, key=lambda name: len(str(name))):
        own = next((k for beginning, k in OWN.items() if str(name).startswith(beginning)), None)
        if own is not None and own not in places.values():
            places[name] = own
    left = itertools.cycle([k for k in OTHERS if k not in places.values()] or OTHERS)
    return {name: places[name] if name in places else next(left) for name in names}


def style_of(place: int, mode: str = "lines") -> dict[str, Any]:
    """Colour, dash and marker of a trace."""
    k = place % len(COLOURS)
    return {"mode": mode, "line": {"color": COLOURS[k], "dash": DASHES[k]}, "marker": {"symbol": SYMBOLS[k]}}


def add_curves(figure: go.Figure, curves: Mapping[str, tuple], mode: str = "lines") -> go.Figure:
    """A trace for each name: (x values, y values), or (x values, y values, standard deviations)."""
    for name, place in places_of(curves).items():
        x, y, *spread = curves[name]
        bars = {"type": "data", "array": spread[0]} if spread else None
        figure.add_scatter(x=x, y=y, error_y=bars, name=text_of(name), **style_of(place, mode))
    return figure


def logarithmic(figure: go.Figure, values: ArrayLike, **place: int) -> go.Figure:
    """A logarithmic y axis around these values, with round numbers at its ticks."""
    least, largest = log_range(values)
    low, high = 0.8 * least, 1.25 * largest
    steps = (1, 2, 5) if high / low > 20 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = [step * decade for decade in decades for step in steps if low <= step * decade <= high]
    text = [f"{tick:.10g}" for tick in ticks]
    axis = {"type": "log", "range": [np.log10(low), np.log10(high)], "tickvals": ticks, "ticktext": text}
    return figure.update_yaxes(**axis, **place)
