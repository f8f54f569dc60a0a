"""Molecules on the screen: a picture always, and a live 3D viewer beside it where one can run.

`view(atoms)` or `view(frames)` gives one notebook output in several formats: the live nglview widget for
JupyterLab, and a picture (PNG, or GIF for a trajectory) painted here, which needs neither a browser nor a graphics
card.  Web pages, PDFs, GitHub and a broken viewer extension show the picture.

Both draw the same scene on the same scale.  Molecules are turned so that their two longest axes lie in the page.
A bond is drawn where two atoms are nearer than 1.25 times the sum of their covalent radii *in that frame*, so a
bond that breaks is seen to break.  An atom that flies off leaves the picture; the view does not shrink to follow it.
"""

import base64
import html
import io
import itertools
import warnings
from importlib import metadata
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii, vdw_radii
from ase.data.colors import jmol_colors

NGLVIEW = "4.0"  # 4.0.1 asks the browser for an extension that it does not bring: an empty box
STRETCH = 1.25  # a bond, in units of the sum of the covalent radii
BALL, STICK, EDGE = 0.24, 0.13, 0.03  # radii: balls in van der Waals radii; bonds and edges of the cell in Å
CORNER = -1  # the "atomic number" of a corner of the cell
INK, SMOOTH = 0.14, 3  # grey of outlines; pictures are painted three times as large, then shrunk
MAX_GIF = 400_000  # bytes
GIF_ATOMS, LIVE_ATOMS = 5_000, 20_000  # atoms times frames: what is quickly painted, and quickly sent
MAX_FRAMES = 200  # of a trajectory; longer ones are thinned


class Drawing(NamedTuple):
    """One frame, turned to face the viewer (x right, y up, z to the eye); the cell's 8 corners come last."""

    numbers: np.ndarray  # (N,)
    positions: np.ndarray  # (N, 3) Å
    bonds: np.ndarray  # (B, 2) indices; between two corners: an edge of the cell


class Scene(NamedTuple):
    """One trajectory, ready to be shown."""

    title: str
    drawings: list  # fewer than there are steps if it ends before the others
    notes: list  # what is written below it at each step


class Shown:
    """What `view` returns: one output with several formats; the notebook takes the best it can show.

    ``widget`` is the live viewer (None without nglview); ``png`` and ``gif`` (None for a single structure) are
    bytes; ``alt`` says in words what is seen.
    """

    def __init__(self, widget, png, gif, alt):
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


def view(atoms, title="", size=360, interval=100):
    """Show one structure, or a trajectory with a player that loops.

    Parameters
    ----------
    atoms : ase.Atoms or list of ase.Atoms
        One structure, or the frames of a trajectory (the same atoms in each).
    size : int
        Width and height in pixels.
    interval : int
        Time between frames in ms.

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    ValueError, TypeError
        If there is nothing to show, the frames differ in their atoms, or a position is not finite.
    """
    return view_side_by_side([atoms], [title], size, interval)


def view_side_by_side(trajectories, titles=None, size=320, interval=100):
    """Show two or more trajectories next to each other, on one scale, moved by one player.

    A trajectory shorter than the longest stays at its last frame and says that it ended there.

    Parameters
    ----------
    trajectories : list of list of ase.Atoms
        A lone ase.Atoms counts as a trajectory of one frame.
    titles : list of str, optional
        One for each.
    size, interval : int
        Width and height of each in pixels; time between frames in ms.

    Returns
    -------
    Shown
    """
    trajectories = _checked(trajectories)
    titles = [""] * len(trajectories) if titles is None else list(titles)
    if len(titles) != len(trajectories) or not all(isinstance(title, str) for title in titles):
        raise ValueError(
            f"{len(trajectories)} trajectories were given with titles {titles!r:.60}; one text for each is expected "
            "(and the trajectories together in one list)"
        )
    scenes, half_width = _scenes(trajectories, titles)
    gif = _gif(scenes, half_width, size) if len(scenes[0].notes) > 1 else None
    widget = _live(scenes, half_width, size, interval) if _nglview_works() else None
    return Shown(widget, _png(scenes, half_width, size), gif, _in_words(trajectories, titles))


def picture(atoms, size=360):
    """Paint one structure: a PNG file (bytes) of ``size`` × ``size`` pixels, on white.

    A molecule is shown from its flat side; of a periodic box the edges are drawn, and its molecules are kept whole.

    >>> from ase.build import molecule
    >>> picture(molecule("H2O"))[1:4]
    b'PNG'
    """
    scenes, half_width = _scenes(_checked([atoms]), [""])
    return _png(scenes, half_width, size)


def animation(frames, size=320, max_frames=40):
    """Paint a trajectory: a looping GIF file (bytes) of less than 400 kB, with one view for all frames.

    The frames are evenly thinned to ``max_frames``; large systems get fewer and smaller ones.
    """
    scenes, half_width = _scenes(_checked([frames]), [""])
    return _gif(scenes, half_width, size, max_frames)


# ---------------------------------------------------------------- what was given


def _checked(trajectories):
    """Lists of sound frames, or a clear error."""
    if isinstance(trajectories, Atoms) or len(trajectories) == 0:
        raise ValueError(f"{trajectories!r} was given; a list of trajectories (lists of ase.Atoms) is expected")
    return [_checked_frames([t] if isinstance(t, Atoms) else list(t)) for t in trajectories]


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
            raise ValueError(
                f"frame {k} of {len(frames)} has a position that is not a finite number, as when MD blows up; "
                + (f"show what came before: frames[:{k}]" if k else "check where it came from")
            )
    return frames


def _nglview_works():
    """Whether the live viewer can run; if not, say in one line what to do."""
    try:
        found = metadata.version("nglview")
    except metadata.PackageNotFoundError:
        found = "missing"
    if found != NGLVIEW:
        print(f"Picture only: nglview is {found}. For 3D, pip install nglview=={NGLVIEW} and restart JupyterLab.")
    return found == NGLVIEW


def _in_words(trajectories, titles):
    parts = []
    for frames, title in zip(trajectories, titles, strict=True):
        what = frames[0].get_chemical_formula() + (" in a periodic box" if _boxed(frames[0]) else "")
        what += f", {len(frames)} frames" if len(frames) > 1 else ""
        parts.append(f"{title}: {what}" if title else what)
    return "Ball-and-stick picture of " + "; ".join(parts)


# ---------------------------------------------------------------- from atoms to drawings


def _scenes(trajectories, titles):
    """A `Scene` for each trajectory, and half the width in Å that all of them are shown in."""
    lengths, n_atoms = [len(frames) for frames in trajectories], sum(len(frames[0]) for frames in trajectories)
    steps = _evenly(lengths, min(MAX_FRAMES, max(12, LIVE_ATOMS // n_atoms)))
    same = all(np.array_equal(frames[0].numbers, trajectories[0][0].numbers) for frames in trajectories)
    scenes, first, largest = [], 1.0, 1.0
    for frames, title in zip(trajectories, titles, strict=True):
        turn = _facing(trajectories[0][0] if same else frames[0])  # the same molecule, seen from the same side
        drawings = _followed([_drawing(frames[k], turn) for k in steps if k < len(frames)])
        radii = _radii(drawings[0].numbers)[:, None]  # (N, 1)
        reach = [1.05 * (np.abs(drawing.positions[:, :2]) + radii).max() for drawing in drawings]
        first, largest = max(first, reach[0]), max(largest, *reach)
        scenes.append(Scene(title, drawings, [_note(k, len(frames)) for k in steps]))
    return scenes, min(largest, 1.6 * first)


def _evenly(lengths, most):
    """About ``most`` evenly spaced steps (S,) of the longest trajectory, with the last frame of each."""
    even = np.linspace(0, max(lengths) - 1, min(max(lengths), most)).round().astype(int)
    return np.unique(np.append(even, np.array(lengths) - 1))


def _note(step, length):
    if length == 1:
        return ""
    return f"frame {step + 1} of {length}" if step < length else f"ended at frame {length}"


def _boxed(atoms):
    return atoms.pbc.any() and atoms.cell.rank == 3


def _facing(atoms):
    """Rotation (3, 3) that lays the two longest axes of a molecule in the page; a box is only tilted."""
    boxed, axes = _boxed(atoms), np.eye(3)
    if not boxed and len(atoms) > 1:
        axes = np.linalg.svd(atoms.positions - atoms.positions.mean(0))[2]  # rows, longest first
        axes *= np.sign(axes[np.arange(3), np.abs(axes).argmax(1)])[:, None]
        axes[2] = np.cross(axes[0], axes[1])  # a rotation, not a mirror
    tilt = Atoms("H3", np.eye(3))
    tilt.rotate(22 if boxed else 12, "y")  # a little, so that no atom hides another
    tilt.rotate(15 if boxed else 12, "x")
    return tilt.positions.T @ axes


def _drawing(atoms, turn):
    """One frame, turned; not centred yet."""
    positions, bonds = _whole_molecules(atoms)
    numbers, n = atoms.numbers, len(atoms)
    if _boxed(atoms):
        corners = np.array(list(itertools.product((0, 1), repeat=3)))  # (8, 3)
        edges = [(n + a, n + (a | bit)) for a in range(8) for bit in (1, 2, 4) if not a & bit]
        numbers = np.append(numbers, [CORNER] * 8)
        positions = np.concatenate([positions, corners @ atoms.cell])
        bonds = np.concatenate([bonds, edges])
    return Drawing(numbers, positions @ turn.T, bonds)


def _whole_molecules(atoms):
    """Positions (N, 3) in which no molecule is cut by the walls of the cell, and the bonds (B, 2)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from vesin import ase_neighbor_list

    atoms = atoms if _boxed(atoms) else Atoms(atoms.numbers, atoms.positions)
    radii, n = STRETCH * covalent_radii[atoms.numbers], len(atoms)
    i, j, d, shift = ase_neighbor_list("ijdS", atoms, 2 * radii.max())
    i, j, shift = (x[d < radii[i] + radii[j]] for x in (i, j, shift))
    cells = np.zeros((n, 3))  # how many cells each atom is moved
    if _boxed(atoms):
        count, member = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)))
        fractional = atoms.cell.scaled_positions(atoms.positions)  # (N, 3)
        leader = np.unique(member, return_index=True)[1][member]  # the first atom of each atom's molecule
        cells = np.round(fractional[leader] - fractional)  # beside the leader; right for molecules under half a cell
        middle = np.stack([np.bincount(member, x, count) for x in (fractional + cells).T], axis=1)
        cells = (cells - np.floor(middle / np.bincount(member)[:, None])[member]) * atoms.pbc
    inside = (i < j) & (cells[j] == cells[i] + shift).all(1)  # a bond that crosses the whole box is not drawn
    return atoms.positions + cells @ atoms.cell, np.stack([i[inside], j[inside]], axis=1).astype(int)


def _followed(scene):
    """Put the first frame in the middle, then follow a drifting molecule; a box stays where it is."""
    shown = slice(-8, None) if scene[0].numbers[-1] == CORNER else slice(None)
    points = scene[0].positions[shown]
    middle, start = (points.max(0) + points.min(0)) / 2, points.mean(0)
    mean, reach = start, 2 * np.linalg.norm(points - start, axis=1).max() + 2
    moved = []
    for drawing in scene:
        near = np.linalg.norm(drawing.positions - mean, axis=1)[shown] < reach  # what flew off does not pull the view
        mean = drawing.positions[shown][near].mean(0) if near.any() else mean
        positions = (drawing.positions - middle + start - mean).clip(-20 * reach, 20 * reach)  # far out of sight
        moved.append(drawing._replace(positions=positions))
    return moved


def _radii(numbers):
    """Radii (N,) in Å of the balls; corners of the cell have none."""
    return np.where(numbers == CORNER, 0.0, BALL * np.nan_to_num(vdw_radii[numbers], nan=2.0))


# ---------------------------------------------------------------- painting


def _painted(drawing, half_width, size):
    """One drawing as a PIL image of size × size pixels, painted from the farthest thing to the nearest."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (SMOOTH * size, SMOOTH * size), "white")
    pen, scale, n = ImageDraw.Draw(canvas), SMOOTH * size / (2 * half_width), len(drawing.numbers)  # scale: pixels/Å
    points = drawing.positions * (scale, -scale, 1) + (SMOOTH * size / 2, SMOOTH * size / 2, 0)  # pixels, pixels, Å
    radii, colours = scale * _radii(drawing.numbers), jmol_colors[drawing.numbers]
    depth = np.append(points[:, 2], points[drawing.bonds, 2].mean(1))  # of the atoms, then of the bonds
    pale = 0.6 * np.clip(-depth / half_width - 0.2, 0, 1)  # what is far is pale
    for k in np.argsort(depth):
        if k >= n:
            ends = drawing.bonds[k - n]
            _stick(pen, points[ends], radii[ends], colours[ends], scale, pale[k])
        elif radii[k] > 0:
            ball = _ball(radii[k], colours[k], pale[k])
            corner = np.round(points[k, :2] - ball.width / 2).astype(int).tolist()
            canvas.paste(ball, corner, ball)
    return canvas.reduce(SMOOTH)


def _ball(radius, colour, pale):
    """A shaded disc with a dark outline, transparent outside it."""
    from PIL import Image

    grid = np.arange(2 * np.ceil(radius)) + 0.5 - np.ceil(radius)
    distance = np.hypot(grid[:, None], grid) / radius  # (w, w) from the middle
    light = np.sqrt(np.clip(1 - distance**2, 0, 1))[..., None]  # 1 where the surface faces the eye
    rgb = np.clip((0.45 + 0.55 * light) * colour + 0.25 * light**24, 0, 1)  # (w, w, 3)
    rgb = np.where(distance[..., None] > 1 - _outline(radius) / radius, INK, rgb)
    rgba = np.dstack([rgb + (1 - rgb) * pale, distance < 1])
    return Image.fromarray((255 * rgba).astype(np.uint8))


def _stick(pen, ends, radii, colours, scale, pale):
    """A bond from surface to surface of two balls, half in the colour of each; or an edge of the cell."""
    along = (ends[1] - ends[0]) * (1, 1, scale)
    along /= max(np.linalg.norm(along), 1e-9)
    ends = ends[:, :2] + 0.9 * along[:2] * radii[:, None] * [[1], [-1]]
    first, middle, last = (tuple(point) for point in (ends[0], ends.mean(0), ends[1]))
    width = 2 * scale * STICK

    def line(start, end, colour, width):
        colour = (colour + (1 - colour) * pale).clip(0, 1)
        pen.line([start, end], tuple((255 * colour).astype(int).tolist()), max(round(width), 1))

    if not radii.any():
        return line(first, last, np.full(3, 0.6), 2 * scale * EDGE)
    line(first, last, np.full(3, INK), width + 2 * _outline(width / 2))
    for start, end, colour in ((first, middle, colours[0]), (middle, last, colours[1])):
        line(start, end, 0.75 * colour, width)
        line(start, end, 0.95 * colour, width / 2)


def _outline(radius):
    """Width in pixels of the outline of a ball or bond."""
    return min(1.2 * SMOOTH, radius / 2)


def _panel(scene, step, half_width, size):
    """A frame with its title above, and below which frame it is; the last one if the trajectory has ended."""
    from PIL import Image, ImageDraw, ImageFont

    note, top = scene.notes[step], 20 * bool(scene.title)
    image = Image.new("RGB", (size, size + top + 20 * bool(note)), "white")
    image.paste(_painted(scene.drawings[min(step, len(scene.drawings) - 1)], half_width, size), (0, top))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    pen.text((size / 2, 10), scene.title, "black", font, anchor="mm")
    pen.text((size / 2, image.height - 10), note, "dimgray", font, anchor="mm")
    if note:  # where the picture ends, so that what left it is seen to have left it
        pen.rectangle([0, top, size - 1, top + size - 1], outline="lightgray")
    return image


def _row(scenes, step, half_width, size):
    """The panels of all trajectories at one step, side by side, as one PIL image."""
    from PIL import Image

    panels = [_panel(scene, step, half_width, size) for scene in scenes]
    row = Image.new("RGB", (size * len(panels), max(panel.height for panel in panels)), "white")
    for k, panel in enumerate(panels):
        row.paste(panel, (k * size, 0))
    return row


def _png(scenes, half_width, size):
    """A PNG of how it ends."""
    file = io.BytesIO()
    _row(scenes, -1, half_width, size).save(file, "PNG")
    return file.getvalue()


def _gif(scenes, half_width, size, max_frames=40):
    """A looping GIF, made again with smaller and fewer frames while it is too large."""
    n_atoms, shrink = sum(len(scene.drawings[0].numbers) for scene in scenes), 1.0
    max_frames = min(max_frames, max(12, GIF_ATOMS // n_atoms))
    while True:
        steps = _evenly([len(scene.drawings) for scene in scenes], max(2, int(max_frames * shrink)))
        data = _encoded([_row(scenes, step, half_width, int(size * shrink)) for step in steps])
        if len(data) < MAX_GIF or size * shrink < 60:
            return data
        shrink *= 0.95 * (MAX_GIF / len(data)) ** (1 / 3)  # bytes go as width × height × frames


def _encoded(images):
    """PIL images as a GIF of few colours that are not mixed by dots: a small file."""
    palette = images[0].quantize(48)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours.min(1) > 245] = 255  # the paper stays white
    palette.putpalette(colours.ravel().tolist())
    images = [image.quantize(palette=palette, dither=0) for image in images]
    waits = [80] * (len(images) - 1) + [1200]  # ms; a rest at the end
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=waits, loop=0)
    return file.getvalue()


# ---------------------------------------------------------------- live


def _live(scenes, half_width, size, interval):
    """An ipywidgets box: viewers side by side, and below them, for trajectories, one player and one slider for all."""
    from ipywidgets import HTML, HBox, IntSlider, Label, Play, VBox, jslink

    viewers = [_ngl_widget(scene.drawings, half_width, size) for scene in scenes]
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


def _ngl_widget(drawings, half_width, size):
    """An nglview widget that holds each frame as a model of its own, and shows the first.

    nglview's own trajectories move the atoms of the first frame and keep its bonds, so that a bond that breaks would
    be stretched across the picture; models have each their bonds.  The widget usually waits for Python to send it
    what to draw, and is blank while the cells below it run.  So all of it is put in the state that the browser has
    from the start, as for a page that is loaded again, and nothing is left to send.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of nglview's own making
        import nglview
    widget = nglview.NGLWidget(
        nglview.TextStructure("".join(map(_mol2, drawings)), "mol2"), default_representation=False
    )
    atoms, corners = _selections(0)
    balls = {"sele": atoms, "radiusType": "vdw", "radiusScale": BALL / 2, "aspectRatio": 2}
    edges = {"sele": corners, "radiusSize": EDGE, "color": "gray"}
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


def _mol2(drawing):
    """One model as text; of the formats NGL reads, this takes bonds as they are given and sets no limit on atoms."""
    lines = ["@<TRIPOS>MOLECULE", "model", f"{len(drawing.numbers)} {len(drawing.bonds)}", "@<TRIPOS>ATOM"]
    positions = drawing.positions * (-1, 1, -1)  # NGL's eye looks along +z, with +x to its left
    for k, (number, (x, y, z)) in enumerate(zip(drawing.numbers, positions, strict=True), 1):
        name, element = ("CELL", "X") if number == CORNER else [chemical_symbols[number]] * 2
        lines.append(f"{k} {name} {x:.3f} {y:.3f} {z:.3f} {element}")
    lines += ["@<TRIPOS>BOND"] + [f"{k} {a + 1} {b + 1} 1" for k, (a, b) in enumerate(drawing.bonds, 1)]
    return "\n".join(lines) + "\n"
