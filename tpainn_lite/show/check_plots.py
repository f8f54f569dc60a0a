"""The figure of a data check: labels against what a pretrained potential says, with the line that fits."""

import numpy as np
import plotly.graph_objects as go

from tpainn_lite.model.check import DataCheck
from tpainn_lite.reading.evidence import Slope
from tpainn_lite.show.style import COLOURS, new_figure

UNITS = {"forces": "force component / eV/Å", "stress": "stress component / eV/Å³"}
MOST = 1500  # points


def data_check(check: DataCheck, quantity: str = "forces", seed: int = 0) -> go.Figure:
    """Labels against the potential that they were compared with: on the grey line, if they are in eV and Å.

    The line that fits has another slope where they are in other units, and falls where gradients were taken for forces.

    Parameters
    ----------
    check
        Of `check_data`.
    quantity
        "forces" or "stress".

    Raises
    ------
    ValueError
        The check had nothing to compare.

    >>> from tpainn_lite import check_data, load_molecules
    >>> data_check(check_data(load_molecules("valid")[:5])).data[1].name[:14]
    'labels = 1.1 ×'
    """
    if not isinstance(check, DataCheck):
        raise TypeError(f"check is a {type(check).__name__}; what check_data returns is expected")
    if quantity not in check.compared:
        there = ", ".join(check.compared) or "nothing"
        raise ValueError(f"quantity is {quantity!r}; compared with a potential were: {there}")
    said, own = check.compared[quantity]
    slope = Slope.of(own, said)
    factor = slope.ratio * np.sign(slope.correlation) if slope else 0.0
    name = check.name or "potential"
    figure = new_figure(f"{name}: {UNITS[quantity]}", f"label: {UNITS[quantity]}", f"{quantity}: {check.verdict}")
    kept = np.random.default_rng(seed).permutation(len(said))[:MOST]
    ends = np.array([said.min(), said.max()])
    marker = {"color": COLOURS[0], "size": 5, "opacity": 0.4}
    figure.add_scatter(x=said[kept], y=own[kept], mode="markers", name="components", marker=marker)
    found = f"labels = {factor:.2g} × {name}"
    figure.add_scatter(x=ends, y=factor * ends, mode="lines", name=found, line={"color": COLOURS[1], "width": 2})
    figure.add_scatter(x=ends, y=ends, mode="lines", name="eV and Å", line={"color": "grey", "width": 1})
    return figure.update_layout(height=460)
