"""Figures that can be changed where they stand: sliders above a figure, traces that grow.

While `docs/build_page.py` runs a notebook, such a figure also carries its states, for a page without a kernel.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from tpainn_lite.show.plot_data import check_named
from tpainn_lite.show.states import with_states
from tpainn_lite.structures.arguments import check_numbers

if TYPE_CHECKING:
    from ipywidgets import VBox

PLOTLY = "application/vnd.plotly.v1+json"
PAGE = "TPAINN_PAGE"  # an environment variable: what is shown now will stand in a page
CHANGED = ("title", "xaxis", "yaxis", "annotations", "shapes")  # of a layout, by a slider


@lru_cache
def _widget_class():
    class WholeWidget(go.FigureWidget):
        """A widget that the browser hears of once its traces are there.

        Plotly's own is announced empty, and its traces follow; a browser so busy that it has drawn the widget by then
        leaves it empty for ever.
        """

        _is_whole = False

        def __init__(self, figure: go.Figure) -> None:
            super().__init__(figure)
            self._is_whole = True
            self.open()

        def open(self) -> None:
            if self._is_whole:
                super().open()

    return WholeWidget


def in_place(figure: go.Figure) -> go.FigureWidget:
    """The same figure as a widget, whose traces can be changed where it stands.

    >>> in_place(go.Figure()).add_scatter(y=[1, 2]).data[0].y
    (1, 2)
    """
    return _widget_class()(figure)


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
        In a page without a kernel it goes on to answer, with at most 60 values of each control and 200 states of all
        of them: the steps of one slider, a grid of 14 by 14 of two.

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
            figure.update_layout({k: v for k, v in fresh.layout.to_plotly_json().items() if k.startswith(CHANGED)})

    for slider in sliders.values():
        slider.observe(redraw, "value")
    box = widgets.VBox([widgets.HBox(list(sliders.values())), figure])
    if PAGE in os.environ:
        live, spec = box._repr_mimebundle_, with_states(draw, {name: _choices(s) for name, s in sliders.items()})
        box._repr_mimebundle_ = lambda **kinds: live(**kinds) | {PLOTLY: spec}
    return box


def states(figures: Mapping[Any, go.Figure], name: str) -> "VBox":
    """One figure at a time, chosen by a slider: small multiples in time.  It also lives in a page without a kernel.

    Parameters
    ----------
    figures
        By state, figures with the same kinds of traces in the same order; the first one is shown first.
    name
        What is chosen, for the slider.

    Raises
    ------
    ValueError
        No figures, or figures whose traces differ in kind or number.

    >>> from tpainn_lite.show.plots import parity
    >>> states({n: parity([0, 1], {"model": [0, n]}) for n in (10, 50)}, "DFT labels").children[0].children[0].value
    10
    """
    check_named(figures, "figure")
    for state, figure in figures.items():
        if not isinstance(figure, go.Figure):
            raise ValueError(f"{state!r} is a {type(figure).__name__}; a Plotly figure is expected")
    kinds = {state: [trace.type for trace in figure.data] for state, figure in figures.items()}
    first = next(iter(kinds.values()))
    for state, other in kinds.items():
        if other != first:
            raise ValueError(f"the traces of {state!r} are {other}; those of the first figure, {first}, are expected")
    return interactive(lambda **chosen: figures[chosen[name]], **{name: list(figures)})


def _choices(slider):
    """The values of a slider, their labels, and the place of the one that it shows."""
    if hasattr(slider, "options"):
        return slider.options, [str(option) for option in slider.options], slider.index
    values = [slider.min + k * slider.step for k in range(int((slider.max - slider.min) / slider.step + 1e-6) + 1)]
    start = int(np.argmin(np.abs(np.array(values) - slider.value)))
    values[start] = slider.value
    return values, [format(value, slider.readout_format) for value in values], start


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
