"""How long simulations last, as a figure."""

import plotly.graph_objects as go

from tpainn_lite.show.plot_data import Rows, check_rows, log_range
from tpainn_lite.show.style import new_figure, places_of, style_of, text_of
from tpainn_lite.simulate import observables


def survival(rows: Rows, title: str | None = None) -> go.Figure:
    """The share of simulations that has not broken, against time, with its 95 % interval: a curve for each method.

    Parameters
    ----------
    rows
        Dictionaries, one for each simulation, with ``method``, ``picoseconds`` and ``stopped`` (why it broke, or None).

    >>> rows = [{"method": "T-PaiNN", "picoseconds": 10.0, "stopped": None}] * 5
    >>> survival(rows).data[-1].y.tolist()
    [1.0, 1.0]
    """
    check_rows(rows, ("method", "picoseconds", "stopped"))
    start = log_range([row["picoseconds"] for row in rows])[0] / 2
    figure = new_figure("time / ps", "share that has not broken", title)
    for method, place in places_of(row["method"] for row in rows).items():
        own = [row for row in rows if row["method"] == method]
        broke = [row["stopped"] is not None for row in own]
        time, share, low, high = observables.survival([row["picoseconds"] for row in own], broke)
        time[0], style = start, style_of(place)
        step, edge = {**style["line"], "shape": "hv"}, {"width": 0, "shape": "hv"}
        shared = {"x": time, "legendgroup": method, "mode": "lines"}
        figure.add_scatter(y=high, line=edge, showlegend=False, hoverinfo="skip", **shared)
        colour = f"rgba{(*(int(step['color'][k : k + 2], 16) for k in (1, 3, 5)), 0.15)}"
        figure.add_scatter(
            y=low, line=edge, fill="tonexty", fillcolor=colour, showlegend=False, hoverinfo="skip", **shared
        )
        figure.add_scatter(y=share, line=step, name=text_of(method), **shared)
    return figure.update_xaxes(type="log").update_yaxes(range=[0, 1.03])
