"""Figures that can be changed where they stand: sliders above a figure, traces that grow."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from tpainn_lite.structures.arguments import check_numbers

if TYPE_CHECKING:
    from ipywidgets import VBox


def in_place(figure: go.Figure) -> go.FigureWidget:
    """The same figure as a widget, whose traces can be changed where it stands.

    >>> in_place(go.Figure()).add_scatter(y=[1, 2]).data[0].y
    (1, 2)
    """
    return go.FigureWidget(figure)


def interactive(draw: Callable[..., go.Figure], **controls: tuple[float, float, float, float] | list) -> "VBox":
    """A figure with a slider for each of its numbers; moving one redraws the figure where it stands.

    Parameters
    ----------
    draw
        Takes the controls by name, gives a figure; always the same traces in the same order.
    controls
        (low, high, step, start) for a number, or a list to choose from.

    Returns
    -------
    ipywidgets.VBox
        Without a kernel it shows the figure for the first values.

    Raises
    ------
    ValueError
        A control that is neither, or ``draw`` is no function.

    >>> from tpainn_lite.show.plots import lines
    >>> box = interactive(lambda k: lines({"spring": ([0, 1], [0, k])}, "r / Å", "energy / eV"), k=(1, 9, 1, 5))
    >>> box.children[0].children[0].value
    5.0
    """
    import ipywidgets as widgets

    if not callable(draw):
        raise ValueError(f"draw is a {type(draw).__name__}; a function that gives a figure is expected")
    sliders = {name: _slider(name, control) for name, control in controls.items()}

    def drawn():
        return draw(**{name: slider.value for name, slider in sliders.items()})

    figure = in_place(drawn())

    def redraw(_: Any) -> None:
        fresh = drawn()
        with figure.batch_update():
            for old, new in zip(figure.data, fresh.data, strict=True):
                old.update({key: value for key, value in new.to_plotly_json().items() if key != "type"})
            changed = {k: v for k, v in fresh.layout.to_plotly_json().items() if k.startswith(("title", "yaxis"))}
            figure.update_layout(changed)

    for slider in sliders.values():
        slider.observe(redraw, "value")
    return widgets.VBox([widgets.HBox(list(sliders.values())), figure])


def _slider(name, control):
    import ipywidgets as widgets

    if not (isinstance(control, list) and control) and not (isinstance(control, tuple) and len(control) == 4):
        raise ValueError(f"{name} is {control!r}; (low, high, step, start), or a list to choose from, is expected")
    if isinstance(control, list):
        longest = max(len(str(option)) for option in control)
        wide = {"width": f"{20 + longest}em"}  # half of it is for the text
        return widgets.SelectionSlider(options=control, description=name, continuous_update=False, layout=wide)
    check_numbers(**{f"{name}[{k}]": value for k, value in enumerate(control)})
    low, high, step, start = control
    if not (step > 0 and low < high and low <= start <= high):
        raise ValueError(f"{name} is {control!r}; low < high, step above 0 and start between them are expected")
    digits = f".{max(0, -int(np.floor(np.log10(step))))}f"
    return widgets.FloatSlider(
        start, min=low, max=high, step=step, description=name, readout_format=digits, continuous_update=False
    )
