"""Molecules on the screen: a picture always, and a live 3D viewer where one can run.

`view(atoms)` or `view(frames)` gives one notebook output in several formats: the live nglview widget for
JupyterLab, and a picture (PNG, or GIF for a trajectory) painted here, which needs neither a browser nor a graphics
card.  Web pages, PDFs, GitHub and a broken viewer extension show the picture.

Both draw the same scene (`tpainn_lite.show.scenes`) on the same scale.
"""

import base64
import html
import warnings
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from tpainn_lite.show import painting
from tpainn_lite.show.scenes import BALL, CORNER, Drawing, make_scenes
from tpainn_lite.structures.arguments import check_counts, check_list
from tpainn_lite.structures.geometry import is_boxed

NGLVIEW = "4.0"  # 4.0.1 asks the browser for an extension that it does not bring: an empty box


class Shown:
    """What `view` returns: one output with several formats; the notebook takes the best it can show.

    ``widget`` is the live viewer (None without nglview); ``png`` and ``gif`` (None for a single structure) are
    bytes; ``alt`` says in words what is seen.
    """

    def __init__(self, widget: Any, png: bytes, gif: bytes | None, alt: str):
        self.widget, self.png, self.gif, self.alt = widget, png, gif, alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        kind, data = ("gif", self.gif) if self.gif else ("png", self.png)
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        live = self.widget._repr_mimebundle_() if self.widget is not None else {}
        return dict(live) | {
            "text/html": f'<img src="{source}" alt="{html.escape(self.alt)}" style="max-width: 100%">',
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": self.alt,
        }


def view(atoms: Atoms | Iterable[Atoms], title: str = "", size: int = 360, interval: int = 100) -> Shown:
    """Show one structure, or a trajectory with a player that loops.

    A molecule is shown from its flat side; of a periodic box the edges are drawn, and its molecules are kept whole.

    Parameters
    ----------
    atoms
        One structure, or the frames of a trajectory (the same atoms in each).
    size, interval
        Width and height in pixels; time between frames in ms.

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    ValueError, TypeError
        If there is nothing to show, the frames differ in their atoms, or a position is not finite.

    >>> from ase.build import molecule
    >>> view(molecule("H2O")).alt
    'Ball-and-stick picture of H2O'
    """
    return view_side_by_side([atoms], [title], size, interval)


def view_side_by_side(
    trajectories: Sequence[Atoms | Iterable[Atoms]],
    titles: Sequence[str] | None = None,
    size: int = 320,
    interval: int = 100,
) -> Shown:
    """Show two or more structures or trajectories next to each other, on one scale, moved by one player.

    A trajectory shorter than the longest stays at its last frame and says that it ended there.  Other parameters and
    errors are those of `view`.

    >>> from ase.build import molecule
    >>> view_side_by_side([molecule("H2O"), molecule("CH4")], ["water", "methane"]).alt
    'Ball-and-stick picture of water: H2O; methane: CH4'
    """
    checked = _checked(trajectories)
    check_counts(size=size, interval=interval)
    if titles is not None:
        check_list(titles, "titles")
    titles = [""] * len(checked) if titles is None else list(titles)
    if len(titles) != len(checked) or not all(isinstance(title, str) for title in titles):
        raise ValueError(
            f"{len(checked)} trajectories were given with titles {titles!r:.60}; one text for each is expected "
            "(and the trajectories together in one list)"
        )
    scenes, half_width = make_scenes(checked, titles)
    gif = painting.gif(scenes, half_width, size) if len(scenes[0].notes) > 1 else None
    widget = _live(scenes, half_width, size, interval) if nglview_works() else None
    return Shown(widget, painting.png(scenes, half_width, size), gif, _in_words(checked, titles))


def _checked(trajectories):
    """Lists of sound frames."""
    if isinstance(trajectories, Atoms) or not hasattr(trajectories, "__len__") or len(trajectories) == 0:
        raise ValueError(f"{trajectories!r} was given; a list of trajectories (lists of ase.Atoms) is expected")
    for one in trajectories:
        if not hasattr(one, "__iter__"):
            raise TypeError(f"a trajectory is {one!r}; a list of ase.Atoms is expected")
    return [_checked_frames([one] if isinstance(one, Atoms) else list(one)) for one in trajectories]


def _checked_frames(frames):
    if not frames:
        raise ValueError("an empty list of frames was given; at least one ase.Atoms is expected")
    for k, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms) or len(atoms) == 0:
            raise TypeError(f"frame {k} is {atoms!r}; an ase.Atoms with at least one atom is expected")
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            raise ValueError(
                f"frame {k} is {atoms.symbols}, but frame 0 is {frames[0].symbols}: the same atoms in the same order "
                "are expected; show different structures with view_side_by_side"
            )
        if not np.isfinite(atoms.positions).all():
            advice = f"show what came before: frames[:{k}]" if k else "check where it came from"
            raise ValueError(f"frame {k} of {len(frames)} has a position that is not a finite number; {advice}")
    return frames


def nglview_works() -> bool:
    """Whether the live viewer can run; if not, say in one line what to do."""
    try:
        version = metadata.version("nglview")
    except metadata.PackageNotFoundError:
        version = "missing"
    if version != NGLVIEW:
        print(f"Picture only: nglview is {version}. For 3D, pip install nglview=={NGLVIEW} and restart JupyterLab.")
    return version == NGLVIEW


def _in_words(trajectories, titles):
    parts = []
    for frames, title in zip(trajectories, titles, strict=True):
        what = frames[0].get_chemical_formula() + (" in a periodic box" if is_boxed(frames[0]) else "")
        what += f", {len(frames)} frames" if len(frames) > 1 else ""
        parts.append(f"{title}: {what}" if title else what)
    return "Ball-and-stick picture of " + "; ".join(parts)


# --- live ---


def _live(scenes, half_width, size, interval):
    """An ipywidgets box: viewers side by side, and below them, for trajectories, one player and one slider for all."""
    from ipywidgets import HTML, HBox, IntSlider, Label, Play, VBox, jslink

    viewers = [_live_viewer(scene.drawings, half_width, size) for scene in scenes]
    heads = [HTML(f"<b>{html.escape(scene.title)}</b>") for scene in scenes]
    notes = [Label(scene.notes[0]) for scene in scenes]
    row = HBox([VBox(column) for column in zip(heads, viewers, notes, strict=True)])
    row.layout.flex_flow, row.layout.grid_gap = "row wrap", "8px"
    last = len(scenes[0].notes) - 1
    if last == 0:
        return row
    player, slider = Play(max=last, interval=interval, repeat=True), IntSlider(max=last, readout=False)
    jslink((player, "value"), (slider, "value"))

    def show(change):
        for scene, viewer, note in zip(scenes, viewers, notes, strict=True):
            _show_model(viewer, min(change["new"], len(scene.drawings) - 1))
            note.value = scene.notes[change["new"]]

    player.observe(show, "value")
    return VBox([row, HBox([player, slider])])


def _live_viewer(drawings: Sequence[Drawing], half_width: float, size: int) -> Any:
    """An nglview widget that holds each frame as a model of its own, and shows the first.

    nglview's own trajectories move the atoms of the first frame and keep its bonds, so that a bond that breaks would
    be stretched across the picture; models have each their bonds.  The widget usually waits for Python to send it
    what to draw, and is blank while the cells below it run.  So all of it is put in the state that the browser has
    from the start, as for a page that is loaded again, and nothing is left to send.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of nglview's own making
        import nglview
    text = nglview.TextStructure("".join(map(_mol2, drawings)), "mol2")
    widget = nglview.NGLWidget(text, default_representation=False)
    atoms, corners = _selections(0)
    balls = {"sele": atoms, "radiusType": "vdw", "radiusScale": BALL / 2, "aspectRatio": 2}
    edges = {"sele": corners, "radiusSize": painting.EDGE, "color": "gray"}
    kinds = {"0": {"type": "ball+stick", "params": balls}, "1": {"type": "licorice", "params": edges}}
    widget.n_components, widget._ngl_repr_dict = 1, {"0": kinds}
    # The picture's projection; and nothing is cut off for being near: NGL's 10 Å is more than a small molecule has.
    widget._ngl_full_stage_parameters = {"cameraType": "orthographic", "clipDist": 0}
    distance = half_width / np.tan(np.radians(20))  # NGL's eye spans 40 degrees
    camera = np.diag([distance] * 3 + [1]).ravel().tolist()
    widget._remote_call("set_camera_orientation", args=[camera], fire_embed=True)
    widget._callbacks_before_loaded.clear()
    widget._view_width = widget._view_height = f"{size}px"
    widget.layout.border = "1px solid lightgray"  # so that an atom that leaves is seen to leave
    return widget


def _selections(model):
    """NGL's words for the atoms, and for the corners of the cell, of one model."""
    return f"/{model} and not .CELL", f"/{model} and .CELL"


def _show_model(widget, model):
    for k, selection in enumerate(_selections(model)):
        which = {"component_index": 0, "repr_index": k}
        widget._remote_call("setSelection", "Representation", [selection], which, fire_once=True)
    widget._remote_call("request_repr_dict", fire_once=True)  # remembered, should the page be loaded again


def _ngl_positions(drawing):
    return drawing.positions * (-1, 1, -1)  # NGL's eye looks along +z, with +x to its left


def _mol2(drawing):
    """One model as text; of the formats NGL reads, this takes bonds as they are given and sets no limit on atoms."""
    lines = ["@<TRIPOS>MOLECULE", "model", f"{len(drawing.numbers)} {len(drawing.bonds)}", "@<TRIPOS>ATOM"]
    positions = _ngl_positions(drawing)
    for k, (number, (x, y, z)) in enumerate(zip(drawing.numbers, positions, strict=True), 1):
        name, element = ("CELL", "X") if number == CORNER else [chemical_symbols[number]] * 2
        lines.append(f"{k} {name} {x:.3f} {y:.3f} {z:.3f} {element}")
    lines += ["@<TRIPOS>BOND"] + [f"{k} {a + 1} {b + 1} 1" for k, (a, b) in enumerate(drawing.bonds, 1)]
    return "\n".join(lines) + "\n"
