"""MD that runs while you watch: molecules that move, traces that grow, and sliders for temperature and pressure.

The browser drives it: each tick of the play button asks Python for the next bit of MD, as long as that takes less than
the time between two ticks.  So pausing stops the physics at once, and when the page is closed nothing runs on.
"""

import time

import numpy as np

from tpainn_lite.show import painting, plots
from tpainn_lite.show.scenes import make_scenes
from tpainn_lite.show.viewer import Shown, move, moving_widget, nglview_works
from tpainn_lite.simulate.md import Simulation, check_md_calculator, check_settings, flown_apart
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
        self.interval, self.reference = interval, reference
        self.alt = f"MD of {atoms.get_chemical_formula()}, to be started with the play button"
        scenes, self.half_width = make_scenes([[atoms]], [""])
        self.scene = scenes[0]
        self.png = painting.png(scenes, self.half_width, size)
        self._build(size)
        self.restart()

    # --- physics ---

    def restart(self, *_):
        """Begin again from the first structure, with the model that is chosen."""
        calculator = self.calculators[self.model.value]
        self.simulation = Simulation(self.atoms, calculator, self.seed, **self.settings | self._chosen())
        self.n_steps, self.ticks, self.structure, self.n_structures = 1, 0, 0.0, 0
        self.rows, self.energy_at_start = [], self._energy()
        self.remember()
        self.show()

    def step(self, *_):
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

    def remember(self):
        """One more point of each trace, and of the radial distribution function."""
        work = self.simulation.work
        row = {"time": self.simulation.time / 1000, "temperature": work.get_temperature()}
        row["energy"] = self._energy() - self.energy_at_start
        if work.pbc.all():
            row["density"] = density_of(work)
            if self.liquid and self.ticks % REDRAWN == 0 and self.r_max < 0.49 * min(work.cell.lengths()):
                self.r, g = rdf([work], "OO", r_max=self.r_max, n_bins=60)
                self.structure, self.n_structures = self.structure + g, self.n_structures + 1
        self.rows = (self.rows + [row])[-KEPT:]

    def _energy(self):
        """meV per atom, kinetic and potential."""
        work = self.simulation.work
        return 1000 * work.get_total_energy() / len(work)

    # --- what is seen ---

    def _build(self, size):
        from ipywidgets import Button, Dropdown, FloatSlider, HBox, Label, Layout, Play, VBox

        self.liquid = self.atoms.pbc.all() and (self.atoms.numbers == 8).sum() > 3
        self.r_max = min(6.0, 0.45 * min(self.atoms.cell.lengths())) if self.liquid else None  # Å; the box may shrink
        self.model = Dropdown(options=list(self.calculators), description="model")
        self.temperature = FloatSlider(
            self.settings["temperature"], min=10, max=1000, step=10, description="T / K", continuous_update=False
        )
        self.pressure = FloatSlider(
            self.settings["pressure"], min=-2000, max=10000, step=100, description="p / bar", continuous_update=False
        )
        self.player = Play(max=10**6, interval=self.interval, show_repeat=False)
        self.again, self.note = Button(description="from the start"), Label()
        self.viewer = moving_widget(self.scene.drawings, self.half_width, size) if nglview_works() else None
        self._figures()
        for control in (self.temperature, self.pressure):
            control.observe(self._steer, "value")
        self.model.observe(self.restart, "value")
        self.again.on_click(self.restart)
        self.player.observe(self.step, "value")
        controls = [self.model, self.temperature, *([self.pressure] if self.settings["ensemble"] == "npt" else [])]
        left = [*([self.viewer] if self.viewer else []), HBox([self.player, self.again]), self.note, *controls]
        layout = Layout(flex_flow="row wrap", grid_gap="8px")
        self.widget = HBox([VBox(left), VBox([self.traces, *([self.curve] if self.liquid else [])])], layout=layout)

    def _figures(self):
        names = {"temperature": "temperature / K", "energy": "ΔE / meV per atom"}  # since the start
        names |= {"density": "density / g cm⁻³"} if self.settings["ensemble"] == "npt" else {}
        self.keys = list(names)
        self.traces = plots.stacked(list(names.values()), "time / ps").update_layout(width=WIDTH)
        if self.liquid:
            curves = {"so far": ([0.0], [0.0])} | (self.reference or {})
            self.curve = plots.in_place(plots.lines(curves, "r / Å", "g_OO").update_layout(height=260, width=WIDTH))

    def _steer(self, _):
        """A slider was moved: go on so, and say so, also while paused."""
        self.simulation.change(**self._chosen())
        self.show(redraw=False)

    def _chosen(self):
        return {"temperature": self.temperature.value, "pressure": self.pressure.value}

    def show(self, redraw=True):
        """Bring picture, note and traces up to date."""
        work, stopped = self.simulation.work, self.simulation.stopped
        if self.viewer is not None and not flown_apart(work.positions, work.cell.array, work.pbc):
            move(self.viewer, make_scenes([[self.atoms, work]], [""])[0][0].drawings[1])
        now = f"{self.simulation.time / 1000:.3f} ps"
        asked = f"{self.temperature.value:g} K"
        asked += f", {self.pressure.value:g} bar" if self.settings["ensemble"] == "npt" else ""
        going = f"{now} at {asked}; steps in a picture: {self.n_steps}"
        self.note.value = f"stopped at {now}: {stopped}" if stopped else going
        if not redraw:
            return
        times = [row["time"] for row in self.rows]
        with self.traces.batch_update():
            for key, trace in zip(self.keys, self.traces.data, strict=True):
                trace.x, trace.y = times, [row[key] for row in self.rows]
        if self.liquid and self.n_structures:
            with self.curve.batch_update():
                self.curve.data[0].x, self.curve.data[0].y = self.r, self.structure / self.n_structures

    def _repr_mimebundle_(self, include=None, exclude=None):
        return Shown(self.widget, self.png, None, self.alt)._repr_mimebundle_(include, exclude)


def md_dashboard(
    atoms, calculators, *, ensemble="nvt", temperature=300.0, pressure=1.0, timestep=0.5, friction=10.0, size=340,
    interval=50, reference=None, seed=0,
):  # fmt: skip
    """A panel in which MD runs: start, pause, heat, press, change the model, and watch.

    Parameters
    ----------
    atoms : ase.Atoms
        Where it begins.
    calculators : ase Calculator, or dict {name: Calculator}
        To choose from.
    ensemble, temperature, pressure, timestep, friction
        As in `run_md`; temperature and, for "npt", pressure have sliders.
    size : int
        Of the picture, in pixels.
    interval : int
        ms between two pictures.
    reference : dict {name: (r, g)}, optional
        Curves to draw g_OO over, for boxes of water.

    Returns
    -------
    Dashboard
        Displays itself as the last line of a cell; without a kernel, a picture.
    """
    check_structure(atoms)
    found = calculators if isinstance(calculators, dict) else {"potential": calculators}
    if not found:
        raise ValueError("no calculator was given; at least one is expected: {'name': calculator}")
    for calculator in found.values():
        check_md_calculator(calculator, ensemble)
    check_settings(ensemble, temperature=temperature, timestep=timestep, pressure=pressure, friction=friction)
    check_counts(size=size, interval=interval)
    check_counts(least=0, seed=seed)
    _check_reference(reference)
    settings = {"ensemble": ensemble, "temperature": temperature, "pressure": pressure, "timestep": timestep}
    return Dashboard(atoms, found, size, interval, reference, seed, settings | {"friction": friction})


def _check_reference(reference):
    if reference is None:
        return
    if not isinstance(reference, dict):
        raise TypeError(f"reference is a {type(reference).__name__}; {{'name': (r, g)}} is expected")
    for name, curve in reference.items():
        if (
            not isinstance(curve, (tuple, list, np.ndarray))
            or len(curve) != 2
            or np.size(curve[0]) != np.size(curve[1])
        ):
            raise ValueError(f"reference {name!r} is no curve; as many distances r as values of g are expected: (r, g)")
