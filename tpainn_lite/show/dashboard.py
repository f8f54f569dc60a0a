"""MD that runs while you watch: molecules that move, traces that grow, and sliders for temperature and pressure.

The browser drives it: each tick of the play button asks Python for the next bit of MD, as long as that takes less than
the time between two ticks.  So pausing stops the physics at once, and when the page is closed nothing runs on.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from numpy.typing import ArrayLike

from tpainn_lite.show import painting, plots
from tpainn_lite.show.plot_data import check_named, pair_of
from tpainn_lite.show.scenes import make_scenes
from tpainn_lite.show.viewer import Shown, live_viewer, move_atoms, nglview_works
from tpainn_lite.simulate.md import Ensemble, Simulation, check_md_calculator, check_settings, flown_apart
from tpainn_lite.simulate.observables import rdf
from tpainn_lite.structures.arguments import check_counts
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import density_of

SHARE = 0.6  # of the time between two ticks that the physics may take
KEPT = 400  # points of a trace
WIDTH = 450  # of the traces, in pixels
REDRAWN = 6  # ticks between two redrawings of the traces


class Dashboard:
    """See `md_dashboard`.  ``widget`` is all of it, ``simulation`` what runs, ``step()`` one tick by hand."""

    def __init__(self, atoms, calculators, size, interval, reference, seed, settings):
        self.atoms, self.calculators, self.seed, self.settings = atoms, calculators, seed, settings
        self.interval = interval
        self.alt = f"MD of {atoms.get_chemical_formula()}, to be started with the play button"
        scenes, half_width = make_scenes([[atoms]], [""])
        self.png = painting.png(scenes, half_width, size)
        self.viewer = live_viewer(scenes[0].drawings, half_width, size, is_moving=True) if nglview_works() else None
        self.is_liquid = atoms.pbc.all() and (atoms.numbers == 8).sum() > 3
        self.r_max = min(6.0, 0.45 * min(atoms.cell.lengths())) if self.is_liquid else None  # Å; the box may shrink
        self._make_figures(reference or {})
        self._make_controls()
        self.restart()

    # --- physics ---

    def restart(self, *_: Any) -> None:
        """Begin again from the first structure, with the model that is chosen."""
        calculator = self.calculators[self.model.value]
        self.simulation = Simulation(self.atoms, calculator, self.seed, **self.settings | self._chosen())
        self.n_steps, self.ticks = 1, 0
        self.rows: list[dict[str, float]] = []
        self.curves: list[np.ndarray] = []  # g(r) so far
        self.energy_at_start = self._energy()
        self.remember()
        self.show()

    def step(self, *_: Any) -> None:
        """One tick: as much MD as fits into it, then the picture, and now and then the traces."""
        if self.simulation.stopped:
            return
        started = time.perf_counter()
        self.simulation.advance(self.n_steps)
        seconds = max(time.perf_counter() - started, 1e-6) / self.n_steps
        self.n_steps = int(np.clip(1e-3 * self.interval * SHARE / seconds, 1, 2 * self.n_steps))
        self.ticks += 1
        if not self.simulation.stopped:
            self.remember()
        self.show(redraw=self.ticks % REDRAWN == 0 or bool(self.simulation.stopped))
        if self.simulation.stopped:
            self.player.playing = False

    def remember(self) -> None:
        """One more point of each trace, and of the radial distribution function."""
        work = self.simulation.work
        row = {"time": self.simulation.time / 1000, "temperature": work.get_temperature()}
        row["energy"] = self._energy() - self.energy_at_start
        if work.pbc.all():
            row["density"] = density_of(work)
            if self.is_liquid and self.ticks % REDRAWN == 0 and self.r_max < 0.49 * min(work.cell.lengths()):
                self.r, g = rdf([work], "OO", r_max=self.r_max, n_bins=60)
                self.curves.append(g)
        self.rows = (self.rows + [row])[-KEPT:]

    def _energy(self):
        """meV per atom, kinetic and potential."""
        work = self.simulation.work
        return 1000 * work.get_total_energy() / len(work)

    # --- what is seen ---

    def _make_figures(self, reference):
        names = {"temperature": "temperature / K", "energy": "ΔE / meV per atom"}  # since the start
        names |= {"density": "density / g cm⁻³"} if self.settings["ensemble"] == "npt" else {}
        self.keys = list(names)
        self.traces = plots.stacked(list(names.values()), "time / ps").update_layout(width=WIDTH)
        if self.is_liquid:
            curves = {"so far": ([0.0], [0.0]), **reference}
            self.curve = plots.in_place(plots.lines(curves, "r / Å", "g_OO").update_layout(height=260, width=WIDTH))

    def _make_controls(self):
        from ipywidgets import Button, Dropdown, FloatSlider, HBox, Label, Layout, Play, VBox

        self.model = Dropdown(options=list(self.calculators), description="model")
        sliders = {"temperature": ("T / K", 10, 1000, 10), "pressure": ("p / bar", -2000, 10000, 100)}
        self.temperature, self.pressure = (
            FloatSlider(self.settings[name], min=low, max=high, step=step, description=text, continuous_update=False)
            for name, (text, low, high, step) in sliders.items()
        )
        self.player = Play(max=10**6, interval=self.interval, show_repeat=False)
        self.again, self.note = Button(description="from the start"), Label()
        for control in (self.temperature, self.pressure):
            control.observe(self._steer, "value")
        self.model.observe(self.restart, "value")
        self.again.on_click(self.restart)
        self.player.observe(self.step, "value")
        controls = [self.model, self.temperature, *([self.pressure] if self.settings["ensemble"] == "npt" else [])]
        left = [*([self.viewer] if self.viewer else []), HBox([self.player, self.again]), self.note, *controls]
        right = [self.traces, *([self.curve] if self.is_liquid else [])]
        self.widget = HBox([VBox(left), VBox(right)], layout=Layout(flex_flow="row wrap", grid_gap="8px"))

    def _steer(self, _):
        """A slider was moved: continue with its value, and show it, also while paused."""
        self.simulation.change(**self._chosen())
        self.show(redraw=False)

    def _chosen(self):
        return {"temperature": self.temperature.value, "pressure": self.pressure.value}

    def show(self, redraw: bool = True) -> None:
        """Bring picture, note and traces up to date."""
        work, stopped = self.simulation.work, self.simulation.stopped
        if self.viewer is not None and not flown_apart(work.positions, work.cell.array, work.pbc):
            move_atoms(self.viewer, make_scenes([[self.atoms, work]], [""])[0][0].drawings[1])
        now = f"{self.simulation.time / 1000:.3f} ps"
        chosen = f"{self.temperature.value:g} K"
        chosen += f", {self.pressure.value:g} bar" if self.settings["ensemble"] == "npt" else ""
        running = f"{now} at {chosen}; steps in a picture: {self.n_steps}"
        self.note.value = f"stopped at {now}: {stopped}" if stopped else running
        if not redraw:
            return
        times = [row["time"] for row in self.rows]
        with self.traces.batch_update():
            for key, trace in zip(self.keys, self.traces.data, strict=True):
                trace.x, trace.y = times, [row[key] for row in self.rows]
        if self.curves:
            with self.curve.batch_update():
                self.curve.data[0].x, self.curve.data[0].y = self.r, np.mean(self.curves, axis=0)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return Shown(self.widget, self.png, None, self.alt)._repr_mimebundle_(include, exclude)


def md_dashboard(
    atoms: Atoms,
    calculators: GetPropertiesMixin | Mapping[str, GetPropertiesMixin],
    *,
    ensemble: Ensemble = "nvt",
    temperature: float = 300.0,
    pressure: float = 1.0,
    timestep: float = 0.5,
    friction: float = 10.0,
    size: int = 340,
    interval: int = 50,
    reference: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    seed: int = 0,
) -> Dashboard:
    """A panel in which MD runs: start, pause, heat, press, change the model, and watch.

    Parameters
    ----------
    calculators
        One, or several by name to choose from.
    ensemble, temperature, pressure, timestep, friction
        As in `run_md`; temperature (K) and, for "npt", pressure (bar) have sliders.
    size, interval
        Width of the picture in pixels; time between two pictures in ms.
    reference
        By name, curves (r in Å, g) to draw g_OO over, for boxes of water.

    Returns
    -------
    Dashboard
        Displays itself as the last line of a cell; without a kernel, a picture.

    Raises
    ------
    ValueError, TypeError
        A bad structure, calculator, setting or curve, which is named.

    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> panel = md_dashboard(bulk("Cu", cubic=True), {"EMT": EMT()})
    >>> panel.step()
    >>> panel.simulation.time
    0.5
    """
    check_structure(atoms)
    models = calculators if isinstance(calculators, Mapping) else {"potential": calculators}
    if not models:
        raise ValueError("no calculator was given; at least one is expected: {'name': calculator}")
    for calculator in models.values():
        check_md_calculator(calculator, ensemble)
    settings: dict[str, Any] = {
        "ensemble": ensemble, "temperature": temperature, "pressure": pressure, "timestep": timestep,
        "friction": friction,
    }  # fmt: skip
    check_settings(**settings)
    check_counts(size=size, interval=interval)
    check_counts(least=0, seed=seed)
    if reference is not None:
        check_named(reference, "(r, g)", may_be_empty=True)
        for name, curve in reference.items():
            pair_of(curve, name)
    return Dashboard(atoms, models, size, interval, reference, seed, settings)
