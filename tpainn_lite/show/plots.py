"""Plotly figures of the course.  Every function returns a figure, and never shows it; see `tpainn_lite.show.style`.

Where an argument cannot be drawn, they raise ValueError or TypeError: its name, what was given, what is expected.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from tpainn_lite.show.arrows import arrows as arrows
from tpainn_lite.show.check_plots import data_check as data_check
from tpainn_lite.show.plot_data import (
    Rows,
    check_lengths,
    check_named,
    check_rows,
    log_range,
    numbers,
    pair_of,
    statistics,
)
from tpainn_lite.show.sliders import in_place as in_place
from tpainn_lite.show.sliders import interactive as interactive
from tpainn_lite.show.sliders import states as states
from tpainn_lite.show.style import (
    COLOURS,
    DASHES,
    SYMBOLS,
    add_curves,
    logarithmic,
    new_figure,
    places_of,
    style_of,
    text_of,
)
from tpainn_lite.show.survival_plot import survival as survival
from tpainn_lite.simulate.record import MDRun
from tpainn_lite.structures.arguments import check_choice, check_counts, check_list, finite_numbers

ERRORS = {  # what stands on an axis
    "force_mae": "force MAE", "energy_mae": "energy MAE", "molecule_energy_mae": "energy MAE",
    "between_mae": "force MAE between molecules",
}  # fmt: skip
MAX_POINTS = 1500  # per parity trace: enough to see, few enough to stay quick

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
Values = ArrayLike | Sequence[ArrayLike]


def history(runs: Mapping[str, Rows], key: str = "train_loss", title: str | None = None) -> go.Figure:
    """Loss or error against training step, one line per run.

    Parameters
    ----------
    runs
        By name, histories from `tpainn_lite.train.training.fit`.
    key
        ``train_loss``, or ``force_mae`` (meV/Å), ``energy_mae`` (meV/atom) where there was a ``valid``.

    >>> history({"run": [{"step": 1, "train_loss": 0.5}]}).data[0].name
    'run'
    """
    labels = {"train_loss": "training loss", "force_mae": "force MAE / meV/Å", "energy_mae": "energy MAE / meV/atom"}
    check_named(runs, "history")
    for name, rows in runs.items():
        check_rows(rows, ("step", key), name)
        numbers([row[key] for row in rows], f"{key} of {name}")
    curves = {name: ([row["step"] for row in rows], [row[key] for row in rows]) for name, rows in runs.items()}
    figure = add_curves(new_figure("training step", labels.get(key, key), title), curves, "lines+markers")
    return logarithmic(figure.update_xaxes(rangemode="tozero"), [values for _, values in curves.values()])


def live_history(name: str = "training", key: str = "train_loss") -> Callable[[Rows], None]:
    """A plot that redraws itself while training runs: pass it as ``watch=``.  Outside a notebook it does nothing.

    >>> live_history()([{"step": 1, "train_loss": 0.5}])
    """
    from IPython import get_ipython
    from IPython.display import display
    from ipywidgets import Output

    place = Output() if get_ipython() else None  # JupyterLab does not redraw a Plotly figure that is only updated

    def watch(rows: Rows) -> None:
        if place is None:
            return
        if not place.outputs:
            display(place)
        drawing = history({name: rows}, key).update_layout(height=260)._repr_mimebundle_()
        place.outputs = ({"output_type": "display_data", "data": drawing, "metadata": {}},)

    return watch


def parity(
    reference: Values,
    predictions: Mapping[str, Values],
    quantity: str = "force component",
    unit: str = "eV/Å",
    title: str | None = None,
    seed: int = 0,
    reference_name: str = "reference",
) -> go.Figure:
    """Predicted against reference values; a perfect model puts every point on the diagonal.

    Parameters
    ----------
    reference, predictions
        An array or a list of arrays, and as many values of each model, by name; in ``unit``.
    reference_name
        What the reference values are, for the axis: "DFT", "MMFF94".

    >>> parity([0.0, 1.0], {"model": [0.1, 1.1]}).data[1].name
    'model: MAE 100 meV/Å'
    """
    check_named(predictions, "values")
    reference = numbers(reference, "reference")
    models = {name: numbers(values, name) for name, values in predictions.items()}
    for name, values in models.items():
        check_lengths(f"reference and {name}", len(reference), len(values))
    kept = np.random.default_rng(seed).permutation(len(reference))[:MAX_POINTS]
    figure = new_figure(f"{reference_name} {quantity} / {unit}", f"predicted {quantity} / {unit}", title)
    ends = [float(reference.min()), float(reference.max())]
    figure.add_scatter(x=ends, y=ends, mode="lines", name="perfect", line={"color": "grey", "width": 1})
    for name, k in places_of(models).items():
        mae = 1e3 * np.abs(models[name] - reference).mean()
        marker = {"color": COLOURS[k], "symbol": SYMBOLS[k], "size": 5, "opacity": 0.5}
        label = f"{text_of(name)}: MAE {mae:.0f} m{unit}"
        figure.add_scatter(x=reference[kept], y=models[name][kept], mode="markers", name=label, marker=marker)
    return figure.update_layout(height=460)


def learning_curve(
    rows: Rows,
    lines: Mapping[str, float] | None = None,
    value: str = "force_mae",
    unit: str = "meV/Å",
    title: str | None = None,
) -> go.Figure:
    """Test error against the number of DFT labels, with error bars over seeds, both axes logarithmic.

    Parameters
    ----------
    rows
        Dictionaries with ``method``, ``n_train``, ``seed`` and ``value``, as of `tpainn_lite.train.curves`.
    lines
        Errors, by name, of what needs no DFT label: horizontal lines.

    >>> rows = [{"method": "T-PaiNN", "n_train": 10, "seed": seed, "force_mae": 50.0 + seed} for seed in range(3)]
    >>> float(learning_curve(rows).data[0].y[0])
    51.0
    """
    check_rows(rows, ("method", "n_train", value))
    numbers([row[value] for row in rows], value)
    log_range([row["n_train"] for row in rows])
    lines = {} if lines is None else lines
    check_named(lines, "error", may_be_empty=True)
    figure = new_figure("number of DFT labels", f"{ERRORS.get(value, value)} / {unit}", title)
    methods = dict.fromkeys(row["method"] for row in rows)
    curves = {method: statistics([row for row in rows if row["method"] == method], value) for method in methods}
    add_curves(figure, curves, "lines+markers")
    for k, (label, error) in enumerate(lines.items()):
        height = np.log10(log_range([error])[0])  # on a logarithmic axis a text, unlike a line, is placed by it
        figure.add_hline(y=error, line={"color": "grey", "dash": DASHES[(k + 1) % len(DASHES)]})
        right = {"x": 1, "xref": "paper", "xanchor": "right"}
        figure.add_annotation(text=text_of(label), y=height, yanchor="bottom", showarrow=False, **right)
    figure.update_xaxes(type="log", tickvals=sorted({row["n_train"] for row in rows}))
    return logarithmic(figure, [row[value] for row in rows] + list(lines.values()))


def gain(
    rows: Rows, method: str, baseline: str, value: str = "force_mae", unit: str = "meV/Å", title: str | None = None
) -> go.Figure:
    """Two learning curves and, in a second panel, the ratio of their errors, seed by seed.

    Parameters
    ----------
    rows
        As for `learning_curve`; both methods with the same sizes and seeds, of one test set.

    >>> errors = {"T-PaiNN": 50.0, "from scratch": 150.0}
    >>> rows = [{"method": name, "n_train": 10, "seed": 0, "force_mae": error} for name, error in errors.items()]
    >>> float(gain(rows, "T-PaiNN", "from scratch").data[2].y[0])
    3.0
    """
    check_rows(rows, ("method", "n_train", "seed", value))
    rows = [row for row in rows if row["method"] in (method, baseline)]
    errors = {(row["method"], row["n_train"], row["seed"]): row[value] for row in rows}
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
    style = {**style_of(6, "lines+markers"), "xaxis": "x2", "yaxis": "y2"}
    figure.add_scatter(x=sizes, y=mean, error_y={"type": "data", "array": spread}, name="ratio", **style)
    figure.update_xaxes(title="number of DFT labels", type="log", tickvals=sizes)
    figure.add_hline(y=1, line={"color": "grey", "dash": "dot"}, row=1, col=2)
    figure.update_yaxes(title="error of the baseline / error", row=1, col=2)
    return logarithmic(figure, [1.0, *(row["ratio"] for row in ratios)], row=1, col=2)


def md_traces(
    runs: Mapping[str, MDRun],
    quantity: Literal["total_energy", "potential_energy", "temperature"] = "total_energy",
    title: str | None = None,
) -> go.Figure:
    """Energy (relative to the first frame, eV) or temperature (K) along MD runs, by name.

    >>> run = MDRun(time=[0.0, 5.0], total_energy=[-3.0, -2.5])
    >>> md_traces({"run": run}).data[0].y
    array([0. , 0.5])
    """
    check_named(runs, "MDRun")
    check_choice(("total_energy", "potential_energy", "temperature"), quantity=quantity)
    curves = {}
    for name, run in runs.items():
        if not hasattr(run, quantity):
            raise ValueError(f"{name}: a {type(run).__name__} was given; what run_md returns is expected")
        values = numbers(getattr(run, quantity), name)
        check_lengths(name, len(run.time), len(values))
        curves[name] = (run.time, values if quantity == "temperature" else values - values[0])
    unit = "K" if quantity == "temperature" else "eV, from the start"
    return add_curves(new_figure("time / fs", f"{quantity.replace('_', ' ')} / {unit}", title), curves)


def histogram(
    groups: Mapping[str, Values], x: str, n_bins: int = 50, log: bool = False, title: str | None = None
) -> go.Figure:
    """How often which value occurs: one outline per group, the same bins for all, as a share of the group.

    Parameters
    ----------
    groups
        Values by name.
    x
        What the values are: quantity / unit.

    >>> histogram({"few": [0.0, 1.0]}, "distance / Å", n_bins=2).data[0].y
    array([0.5, 0.5])
    """
    check_named(groups, "values")
    check_counts(n_bins=n_bins)
    flat = {name: finite_numbers(numbers(values, name), name) for name, values in groups.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(flat.values())), n_bins)
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in flat.items()}
    middles = (edges[1:] + edges[:-1]) / 2
    curves = {name: (middles, np.where(share > 0, share, np.nan if log else 0)) for name, share in shares.items()}
    figure = add_curves(new_figure(x, "share of the values", title), curves).update_traces(line_shape="hvh")
    return figure.update_yaxes(type="log" if log else "linear", exponentformat="power")


def bars(
    categories: Sequence[str], groups: Mapping[str, ArrayLike], x: str, y: str, title: str | None = None
) -> go.Figure:
    """Grouped bars: by name, a number for each category.

    >>> [bar.name for bar in bars(["H", "C"], {"train": [0.6, 0.4]}, "element", "share").data]
    ['train']
    """
    check_named(groups, "numbers")
    check_list(categories, "categories")
    labels = [text_of(category) if isinstance(category, str) else category for category in categories]
    figure = new_figure(x, y, title)
    for name, k in places_of(groups).items():
        check_lengths(f"categories and {name}", len(labels), len(numbers(groups[name], name)))
        figure.add_bar(x=labels, y=groups[name], name=text_of(name), marker={"color": COLOURS[k]})
    return figure


def lines(curves: Curves, x: str, y: str, title: str | None = None) -> go.Figure:
    """Curves by name, for example radial distribution functions; none gives axes to draw on.

    >>> lines({"spring": ([0, 1, 2], [0, 1, 4])}, "r / Å", "energy / eV").layout.xaxis.title.text
    'r / Å'
    """
    check_named(curves, "(x values, y values)", may_be_empty=True)
    return add_curves(new_figure(x, y, title), {name: pair_of(curve, name) for name, curve in curves.items()})


def panels(curves: Mapping[str, Curves], y: str, points: str = "DFT", title: str | None = None) -> go.Figure:
    """Small plots next to each other, each with its own x axis and all with the same y quantity.

    Parameters
    ----------
    curves
        By quantity / unit of the x axis, curves by name.  The same name has the same colour everywhere, and one entry
        in the legend.
    points
        This name is drawn as points, the others as lines.

    >>> bond = {"DFT": ([0.9, 1.0], [0.1, 0.0]), "spring": ([0.9, 1.0], [0.2, 0.0])}
    >>> [trace.mode for trace in panels({"O-H / Å": bond}, "energy / eV").data]
    ['markers', 'lines']
    """
    check_named(curves, "{name: (x values, y values)}")
    for x, group in curves.items():
        check_named(group, f"(x values, y values)}} for {x!r}: {{name: …")
    per_row = 2 if len(curves) > 1 else 1
    rows = -(-len(curves) // per_row)
    figure = new_figure(None, None, title).update_layout(height=300 * rows + 60)
    figure.set_subplots(rows, per_row, vertical_spacing=0.2 / rows, horizontal_spacing=0.12)
    places, in_legend = places_of(name for group in curves.values() for name in group), set()
    for k, (x, group) in enumerate(curves.items()):
        place = {"row": k // per_row + 1, "col": k % per_row + 1}
        for name, curve in group.items():
            xs, ys = pair_of(curve, name)
            legend = {"legendgroup": str(name), "showlegend": name not in in_legend}
            style = style_of(places[name], "markers" if name == points else "lines")
            figure.add_scatter(x=xs, y=ys, name=text_of(name), **legend, **style, **place)
            in_legend.add(name)
        figure.update_xaxes(title=text_of(x), **place)
        figure.update_yaxes(title=text_of(y) if k % per_row == 0 else None, **place)
    return figure
