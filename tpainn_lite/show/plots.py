"""Plotly figures of the course.  Every function returns a figure (never shows it); colours are Okabe and Ito's.

Okabe and Ito's palette (2008, jfly.uni-koeln.de/color) stays distinct for colour-blind eyes; line styles and
markers differ too, so that the figures survive greyscale.
"""

import itertools

import numpy as np
import plotly.graph_objects as go

from tpainn_lite.show.plot_data import (
    check_lengths,
    check_named,
    check_rows,
    log_range,
    numbers,
    pair_of,
    statistics,
    text_of,
    vectors_of,
)
from tpainn_lite.show.sliders import in_place, interactive  # noqa: F401  part of what plots offers
from tpainn_lite.structures.arguments import check_counts, check_list

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
OWN = {  # what a name begins with: its place in these lists, the same in every figure
    "T-PaiNN": 0, "from scratch": 1, "one energy per element": 1, "Δ-learning": 2, "MMFF94": 3, "q-TIP4P/F": 3,
    "UFF": 4, "SPC/Fw": 4, "DFT": 6, "experiment": 6,
}  # fmt: skip
ERRORS = {  # what stands on an axis
    "force_mae": "force MAE", "energy_mae": "energy MAE", "molecule_energy_mae": "energy MAE",
    "between_mae": "force MAE between molecules",
}  # fmt: skip
MAX_POINTS = 1500  # per parity trace: enough to see, few enough to stay quick


def history(runs, key="train_loss", title=None):
    """Loss or error against training step, one line per run.

    Parameters
    ----------
    runs : dict {name: history from `tpainn_lite.train.training.fit`}
    key : str
        ``train_loss``, or ``force_mae`` (meV/Å), ``energy_mae`` (meV/atom) where there was a ``valid``.
    """
    labels = {"train_loss": "training loss", "force_mae": "force MAE / meV/Å", "energy_mae": "energy MAE / meV/atom"}
    check_named(runs, "history")
    for name, rows in runs.items():
        check_rows(rows, ("step", key), name)
        numbers([row[key] for row in rows], f"{key} of {name}")
    figure = _figure("training step", labels.get(key, key), title)
    for name, k in _numbers(runs).items():
        rows = runs[name]
        figure.add_scatter(x=[r["step"] for r in rows], y=[r[key] for r in rows], name=text_of(name), **_style(k))
    figure.update_xaxes(rangemode="tozero")
    return _log_axis(figure, [row[key] for rows in runs.values() for row in rows])


def live_history(name="training", key="train_loss"):
    """A plot that redraws itself while training runs: pass it as ``watch=``.

    Returns
    -------
    callable
        Takes the history so far; shows it (in a notebook) or silently ignores it (elsewhere).
    """
    from IPython import get_ipython
    from IPython.display import display
    from ipywidgets import Output

    place = Output() if get_ipython() else None  # JupyterLab does not redraw a Plotly figure that is only updated

    def watch(rows):
        if place is None:
            return
        if not place.outputs:
            display(place)
        drawing = history({name: rows}, key).update_layout(height=260)._repr_mimebundle_()
        place.outputs = ({"output_type": "display_data", "data": drawing, "metadata": {}},)

    return watch


def parity(
    reference, predictions, quantity="force component", unit="eV/Å", title=None, seed=0, reference_name="reference"
):
    """Predicted against reference values; a perfect model puts every point on the diagonal.

    Parameters
    ----------
    reference : array or list of arrays
        Flattened.
    predictions : dict {name: array or list of arrays}
    reference_name : str
        What the reference values are, for the axis: "DFT", "MMFF94".
    """
    check_named(predictions, "values")
    reference = numbers(reference, "reference")
    predictions = {name: numbers(values, name) for name, values in predictions.items()}
    for name, values in predictions.items():
        check_lengths(f"reference and {name}", len(reference), len(values))
    shown = np.random.default_rng(seed).permutation(len(reference))[:MAX_POINTS]
    figure = _figure(f"{reference_name} {quantity} / {unit}", f"predicted {quantity} / {unit}", title)
    low, high = float(reference.min()), float(reference.max())
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", name="perfect", line={"color": "grey", "width": 1})
    for name, k in _numbers(predictions).items():
        values = predictions[name]
        mae = 1e3 * np.abs(values - reference).mean()
        marker = {"color": COLOURS[k], "symbol": SYMBOLS[k], "size": 5, "opacity": 0.5}
        label = f"{text_of(name)}: MAE {mae:.0f} m{unit}"
        figure.add_scatter(x=reference[shown], y=values[shown], mode="markers", name=label, marker=marker)
    return figure.update_layout(height=460)


def learning_curve(rows, lines=None, value="force_mae", unit="meV/Å", title=None):
    """Test error against the number of DFT labels, with error bars over seeds, both axes logarithmic.

    Parameters
    ----------
    rows : list of dict
        Keys ``method``, ``n_train``, ``seed`` and ``value``.
    lines : dict {name: error}, optional
        Things that need no DFT label, drawn as horizontal lines.
    """
    check_rows(rows, ("method", "n_train", value))
    numbers([row[value] for row in rows], value)
    log_range([row["n_train"] for row in rows])
    check_named(lines or {}, "error", may_be_empty=True)
    figure = _figure("number of DFT labels", f"{ERRORS.get(value, value)} / {unit}", title)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for method, k in _numbers(methods).items():
        sizes, mean, spread = statistics([r for r in rows if r["method"] == method], value)
        bars = {"type": "data", "array": spread, "visible": True}
        figure.add_scatter(x=sizes, y=mean, error_y=bars, name=text_of(method), **_style(k))
    for k, (label, error) in enumerate((lines or {}).items()):
        height = np.log10(log_range([error])[0])
        dash = DASHES[(k + 1) % len(DASHES)]
        figure.add_hline(y=error, line={"color": "grey", "dash": dash})
        figure.add_annotation(  # on a logarithmic axis a line is placed by its value, a text by the value's logarithm
            text=text_of(label),
            x=1,
            xref="paper",
            xanchor="right",
            y=height,
            yanchor="bottom",
            showarrow=False,
        )
    figure.update_xaxes(type="log", tickvals=sorted({row["n_train"] for row in rows}))
    return _log_axis(figure, [row[value] for row in rows] + list((lines or {}).values()))


def gain(rows, method, baseline, value="force_mae", unit="meV/Å", title=None):
    """Two learning curves, and beside them the ratio of their errors, seed by seed: a ratio is worth its baseline.

    Parameters
    ----------
    rows : list of dict
        As for `learning_curve`; both methods with the same sizes and seeds, of one test set.
    method, baseline : str
    """
    check_rows(rows, ("method", "n_train", "seed", value))
    rows = [row for row in rows if row["method"] in (method, baseline)]
    errors = {(r["method"], r["n_train"], r["seed"]): r[value] for r in rows}
    if len(errors) < len(rows):
        raise ValueError("several rows have the same method, n_train and seed; choose one task and one subset")
    ratios = [
        {"n_train": n, "ratio": error / errors[method, n, seed]}
        for (name, n, seed), error in errors.items()
        if name == baseline and (method, n, seed) in errors
    ]
    if not ratios:
        raise ValueError(f"no row of {method!r} has the n_train and seed of one of {baseline!r}; both are expected")
    figure = learning_curve(rows, value=value, unit=unit, title=title)
    sizes, mean, spread = statistics(ratios, "ratio")
    figure.set_subplots(1, 2, horizontal_spacing=0.14)
    figure.update_layout(xaxis_domain=[0, 0.55], xaxis2_domain=[0.69, 1], xaxis2_anchor="y2", yaxis2_anchor="x2")
    bars = {"type": "data", "array": spread, "visible": True}
    figure.add_scatter(x=sizes, y=mean, error_y=bars, name="ratio", **_style(6), xaxis="x2", yaxis="y2")
    figure.update_xaxes(title="number of DFT labels", type="log", tickvals=sizes)
    figure.add_hline(y=1, line={"color": "grey", "dash": "dot"}, row=1, col=2)
    figure.update_yaxes(title="error of the baseline / error", row=1, col=2)
    return _log_axis(figure, [1.0, *(row["ratio"] for row in ratios)], row=1, col=2)


def md_traces(runs, quantity="total_energy", title=None):
    """Energy or temperature along MD runs.

    Parameters
    ----------
    runs : dict {name: MDRun}
    quantity : "total_energy", "potential_energy" (relative to the first frame, eV) or "temperature" (K)
    """
    check_named(runs, "MDRun")
    if quantity not in ("total_energy", "potential_energy", "temperature"):
        raise ValueError(f"quantity {quantity!r} is not one of total_energy, potential_energy, temperature")
    unit = "K" if quantity == "temperature" else "eV, from the start"
    figure = _figure("time / fs", f"{quantity.replace('_', ' ')} / {unit}", title)
    for name, k in _numbers(runs).items():
        if not hasattr(runs[name], quantity):
            raise ValueError(f"{name}: a {type(runs[name]).__name__} was given; what run_md returns is expected")
        values = numbers(getattr(runs[name], quantity), name)
        check_lengths(name, len(runs[name].time), len(values))
        values = values if quantity == "temperature" else values - values[0]
        figure.add_scatter(x=runs[name].time, y=values, name=text_of(name), **{**_style(k), "mode": "lines"})
    return figure


def histogram(groups, x, n_bins=50, log=False, title=None):
    """How often which value occurs: one outline per group, the same bins for all, as a share of the group.

    Parameters
    ----------
    groups : dict {name: array}
    x : str
        What the values are: quantity / unit.
    """
    check_named(groups, "values")
    check_counts(n_bins=n_bins)
    groups = {name: numbers(values, name) for name, values in groups.items()}
    if not all(np.isfinite(values).all() for values in groups.values()):
        raise ValueError("a histogram is drawn of finite numbers; NaN or infinity is among these")
    figure = _figure(x, "share of the values", title)
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), n_bins)
    middles = (edges[1:] + edges[:-1]) / 2
    for name, k in _numbers(groups).items():
        share = np.histogram(groups[name], edges)[0] / len(groups[name])
        style = {**_style(k), "mode": "lines"}
        style["line"] = style["line"] | {"shape": "hvh"}
        figure.add_scatter(x=middles, y=np.where(share > 0, share, np.nan if log else 0), name=text_of(name), **style)
    return figure.update_yaxes(type="log" if log else "linear", exponentformat="power")


def bars(categories, groups, x, y, title=None):
    """Grouped bars.

    Parameters
    ----------
    categories : list of str
    groups : dict {name: list of float, one per category}
    """
    check_named(groups, "numbers")
    check_list(categories, "categories")
    categories = [text_of(category) if isinstance(category, str) else category for category in categories]
    figure = _figure(x, y, title)
    for name, k in _numbers(groups).items():
        check_lengths(f"categories and {name}", len(categories), len(numbers(groups[name], name)))
        figure.add_bar(x=categories, y=groups[name], name=text_of(name), marker={"color": COLOURS[k]})
    return figure


def lines(curves, x, y, title=None):
    """Curves, for example radial distribution functions.

    Parameters
    ----------
    curves : dict {name: (x values, y values)}
        May be empty: axes to draw on.
    """
    check_named(curves, "(x values, y values)", may_be_empty=True)
    figure = _figure(x, y, title)
    for name, k in _numbers(curves).items():
        xs, ys = pair_of(curves[name], name)
        figure.add_scatter(x=xs, y=ys, name=text_of(name), **{**_style(k), "mode": "lines"})
    return figure


def stacked(quantities, x, title=None):
    """Empty traces below each other with one x axis, a figure whose traces can be changed in place (`FigureWidget`).

    Parameters
    ----------
    quantities : list of str
        What each shows: quantity / unit.
    """
    check_list(quantities, "quantities")
    if len(quantities) == 0:
        raise ValueError(f"{quantities!r} was given to draw; a list of quantities, at least one, is expected")
    figure = _figure(x, None, title)
    figure.set_subplots(len(quantities), 1, shared_xaxes=True, vertical_spacing=0.06)
    for k, quantity in enumerate(quantities):
        figure.add_scatter(x=[], y=[], name=text_of(quantity), row=k + 1, col=1, **{**_style(k), "mode": "lines"})
        figure.update_yaxes(title=text_of(quantity), row=k + 1, col=1)
    figure.update_layout(height=150 * len(quantities) + 60, showlegend=False).update_xaxes(title=None)
    return in_place(figure.update_xaxes(title=text_of(x), row=len(quantities), col=1))


def panels(curves, y, points="DFT", title=None):
    """Small plots side by side, each with its own x axis and all with the same y quantity.

    Parameters
    ----------
    curves : dict {quantity / unit of the x axis: {name: (x values, y values)}}
        The same name has the same colour everywhere, and one entry in the legend.
    points : str
        This name is drawn as points, the others as lines.
    """
    from plotly.subplots import make_subplots

    check_named(curves, "{name: (x values, y values)}")
    for x, group in curves.items():
        check_named(group, f"(x values, y values)}} for {x!r}: {{name: …")
    n, per_row = len(curves), 2 if len(curves) > 1 else 1
    rows = -(-n // per_row)
    figure = make_subplots(rows, per_row, vertical_spacing=0.2 / rows, horizontal_spacing=0.12)
    places = _numbers(name for group in curves.values() for name in group)
    for k, (x, group) in enumerate(curves.items()):
        place = {"row": k // per_row + 1, "col": k % per_row + 1}
        for name, curve in group.items():
            xs, ys = pair_of(curve, name)
            first = all(name not in earlier for earlier in list(curves.values())[:k])
            style = {**_style(places[name]), "mode": "markers" if name == points else "lines"}
            named = {"name": text_of(name), "legendgroup": str(name), "showlegend": first}
            figure.add_scatter(x=xs, y=ys, **named, **style, **place)
        figure.update_xaxes(title=text_of(x), **place)
        figure.update_yaxes(title=text_of(y) if k % per_row == 0 else None, **place)
    layout = _figure(None, None, title).layout
    title = text_of(title) if title else None
    return figure.update_layout(
        template=layout.template, title=title, height=300 * rows + 60, margin=layout.margin, legend=layout.legend,
        font=layout.font,
    )  # fmt: skip


def arrows(symbols, positions, vectors, title=None):
    """Atoms in space, each with an arrow.

    Parameters
    ----------
    symbols : sequence of str
    positions, vectors : array (N, 3)
        Å; and anything, drawn so that the longest arrow is 1.2 Å.
    """
    check_list(symbols, "symbols")
    symbols = [text_of(symbol) for symbol in symbols]
    positions, vectors = (
        vectors_of(values, name, len(symbols)) for name, values in (("positions", positions), ("vectors", vectors))
    )
    tips = positions + 1.2 * vectors / max(np.linalg.norm(vectors, axis=1).max(), 1e-12)
    figure = _figure(None, None, title)
    near = np.linalg.norm(positions[:, None] - positions, axis=-1) < 1.7
    bonds = [(i, j) for i, j in np.argwhere(np.triu(near, 1)) if symbols[i] != "H" or symbols[j] != "H"]
    for name, pairs, colour, width in (
        ("bonds", [(positions[i], positions[j]) for i, j in bonds], "lightgrey", 10),
        ("arrows", list(zip(positions, tips, strict=True)), COLOURS[4], 6),
    ):
        gaps = np.array([[start, end, [np.nan] * 3] for start, end in pairs]).reshape(-1, 3)
        x, y, z = gaps.T
        figure.add_scatter3d(x=x, y=y, z=z, mode="lines", line={"color": colour, "width": width}, name=name)
    (x, y, z), (u, v, w) = tips.T, (tips - positions).T
    size = {"sizemode": "raw", "sizeref": 0.35, "anchor": "tip", "showscale": False, "hoverinfo": "skip"}
    figure.add_cone(x=x, y=y, z=z, u=u, v=v, w=w, colorscale=[[0, COLOURS[4]], [1, COLOURS[4]]], **size)
    x, y, z = positions.T
    colours = [COLOURS[{"H": 5, "C": 6, "N": 0, "O": 1, "F": 2}.get(symbol, 3)] for symbol in symbols]
    marker = {"color": colours, "size": [8 if symbol == "H" else 16 for symbol in symbols]}
    figure.add_scatter3d(
        x=x, y=y, z=z, mode="markers+text", text=symbols, textposition="top center", marker=marker, name="atoms"
    )
    reach = float(np.abs(np.concatenate([positions, tips])).max()) + 0.3
    axis = {"range": [-reach, reach], "visible": False}
    scene = {"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "cube"}
    scene["camera"] = {"eye": {"x": 0.9, "y": 0.9, "z": 0.6}}
    return figure.update_layout(scene=scene, height=460, showlegend=False)


def _figure(x, y, title):
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white", title={"text": text_of(title), "y": 0.97, "yanchor": "top"} if title else None,
        height=380, margin={"l": 70, "r": 20, "t": 70 if title else 20, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}, font={"size": 13},
    )  # fmt: skip
    x, y = (text_of(axis) if axis else None for axis in (x, y))
    return figure.update_xaxes(title=x).update_yaxes(title=y)


def _log_axis(figure, values, **place):
    """A logarithmic y axis around these values, with round numbers at its ticks."""
    least, largest = log_range(values)
    low, high = 0.8 * least, 1.25 * largest
    steps = (1, 2, 5) if high / low > 20 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = [step * decade for decade in decades for step in steps if low <= step * decade <= high]
    text = [f"{tick:.10g}" for tick in ticks]
    axis = {"type": "log", "range": [np.log10(low), np.log10(high)], "tickvals": ticks, "ticktext": text}
    return figure.update_yaxes(**axis, **place)


def _numbers(names):
    """{name: its place in the lists of colours, markers and dashes}: a method's own, for others what is left over."""
    names, taken = list(dict.fromkeys(names)), {}
    for name in names:
        own = next((k for beginning, k in OWN.items() if str(name).startswith(beginning)), None)
        if own is not None and own not in taken.values():
            taken[name] = own
    left = itertools.cycle([k for k in range(len(COLOURS)) if k not in taken.values()] or [0])
    return {name: taken[name] if name in taken else next(left) for name in names}


def _style(k):
    k = k % len(COLOURS)
    return {"mode": "lines+markers", "line": {"color": COLOURS[k], "dash": DASHES[k]}, "marker": {"symbol": SYMBOLS[k]}}
