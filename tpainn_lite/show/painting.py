"""Pictures of scenes, painted with Pillow: no browser, no graphics card.

`png` and `gif` draw balls and sticks from the farthest to the nearest, what is far paler (ASE's own pictures have
neither bonds nor depth).  Web pages, PDFs, GitHub and a broken viewer extension show these.
"""

import io
from collections.abc import Sequence

import numpy as np
from ase.data.colors import jmol_colors
from PIL import Image, ImageDraw, ImageFont

from tpainn_lite.show.scenes import Drawing, Scene, ball_radii, evenly

STICK, EDGE = 0.13, 0.03  # radii of bonds and of the edges of the cell, Å
INK, SMOOTH = 0.14, 3  # grey of outlines; pictures are painted three times as large, then shrunk
MAX_GIF = 400_000  # bytes
MAX_FRAMES = 40  # of a GIF
GIF_ATOMS = 5_000  # atoms times frames: what is quickly painted


def painted(drawing: Drawing, half_width: float, size: int) -> Image.Image:
    """One drawing as size × size pixels, painted from the farthest thing to the nearest."""
    canvas = Image.new("RGB", (SMOOTH * size, SMOOTH * size), "white")
    pen, scale, n = ImageDraw.Draw(canvas), SMOOTH * size / (2 * half_width), len(drawing.numbers)  # scale: pixels/Å
    points = drawing.positions * (scale, -scale, 1) + (SMOOTH * size / 2, SMOOTH * size / 2, 0)  # pixels, pixels, Å
    radii, colours = scale * ball_radii(drawing.numbers), jmol_colors[drawing.numbers]
    depth = np.append(points[:, 2], points[drawing.bonds, 2].mean(1))  # of the atoms, then of the bonds
    pale = 0.6 * np.clip(-depth / half_width - 0.2, 0, 1)
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
    note, top = scene.notes[step], 20 * bool(scene.title)
    image = Image.new("RGB", (size, size + top + 20 * bool(note)), "white")
    image.paste(painted(scene.drawings[min(step, len(scene.drawings) - 1)], half_width, size), (0, top))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    pen.text((size / 2, 10), scene.title, "black", font, anchor="mm")
    pen.text((size / 2, image.height - 10), note, "dimgray", font, anchor="mm")
    if note:  # where the picture ends, so that what left it is seen to have left it
        pen.rectangle([0, top, size - 1, top + size - 1], outline="lightgray")
    return image


def _row(scenes, step, half_width, size):
    """All trajectories at one step, next to each other."""
    panels = [_panel(scene, step, half_width, size) for scene in scenes]
    row = Image.new("RGB", (size * len(panels), max(panel.height for panel in panels)), "white")
    for k, panel in enumerate(panels):
        row.paste(panel, (k * size, 0))
    return row


def png(scenes: Sequence[Scene], half_width: float, size: int) -> bytes:
    """A PNG file of the last frames."""
    file = io.BytesIO()
    _row(scenes, -1, half_width, size).save(file, "PNG")
    return file.getvalue()


def gif(scenes: Sequence[Scene], half_width: float, size: int) -> bytes:
    """A looping GIF file, made again with smaller and fewer frames while it is too large."""
    n_atoms, shrink = sum(len(scene.drawings[0].numbers) for scene in scenes), 1.0
    n_frames = min(MAX_FRAMES, max(12, GIF_ATOMS // n_atoms))
    while True:
        steps = evenly([len(scene.drawings) for scene in scenes], max(2, int(n_frames * shrink)))
        data = _encoded([_row(scenes, step, half_width, int(size * shrink)) for step in steps])
        if len(data) < MAX_GIF or size * shrink < 60:
            return data
        shrink *= 0.95 * (MAX_GIF / len(data)) ** (1 / 3)  # bytes go as width × height × frames


def _encoded(images):
    """A GIF of few colours that are not mixed by dots: a small file."""
    palette = images[0].quantize(48)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours.min(1) > 245] = 255  # the paper stays white
    palette.putpalette(colours.ravel().tolist())
    images = [image.quantize(palette=palette, dither=0) for image in images]
    waits = [80] * (len(images) - 1) + [1200]  # ms; a rest at the end
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=waits, loop=0)
    return file.getvalue()
