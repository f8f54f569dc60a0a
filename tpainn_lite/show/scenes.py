"""Scenes: what `tpainn_lite.show.viewer` and `tpainn_lite.show.painting` draw, turned, bonded and framed.

Molecules are turned so that their two longest axes lie in the page.  A bond is drawn where two atoms are nearer than
1.25 times the sum of their covalent radii *in that frame*, so a bond that breaks is seen to break.  An atom that flies
off leaves the picture; the view does not shrink to follow it.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import vdw_radii
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tpainn_lite.structures.geometry import is_boxed, whole_molecules

BALL = 0.24  # radius of an atom's ball, in van der Waals radii
CORNER = -1  # the "atomic number" of a corner of the cell
MAX_FRAMES = 200  # of a trajectory; longer ones are thinned
LIVE_ATOMS = 20_000  # atoms times frames: what is quickly sent to a browser


class Drawing(NamedTuple):
    """One frame, turned to face the viewer (x right, y up, z to the eye); the cell's 8 corners come last."""

    numbers: NDArray  # (N,)
    positions: NDArray  # (N, 3) Å
    bonds: NDArray  # (B, 2) indices; between two corners: an edge of the cell


class Scene(NamedTuple):
    """One trajectory, ready to be shown."""

    title: str
    drawings: list[Drawing]  # fewer than there are steps if it ends before the others
    notes: list[str]  # what is written below it at each step


def make_scenes(trajectories: Sequence[Sequence[Atoms]], titles: Sequence[str]) -> tuple[list[Scene], float]:
    """A `Scene` for each trajectory, and half the width in Å that all of them are shown in."""
    lengths, n_atoms = [len(frames) for frames in trajectories], sum(len(frames[0]) for frames in trajectories)
    steps = evenly(lengths, min(MAX_FRAMES, max(12, LIVE_ATOMS // n_atoms)))
    same = all(np.array_equal(frames[0].numbers, trajectories[0][0].numbers) for frames in trajectories)
    scenes, first, largest = [], 1.0, 1.0
    for frames, title in zip(trajectories, titles, strict=True):
        turn = facing(trajectories[0][0] if same else frames[0])  # the same molecule, seen from the same side
        drawings = _followed([_drawing(frames[k], turn) for k in steps if k < len(frames)])
        radii = ball_radii(drawings[0].numbers)[:, None]  # (N, 1)
        reach = [1.05 * (np.abs(drawing.positions[:, :2]) + radii).max() for drawing in drawings]
        first, largest = max(first, reach[0]), max(largest, *reach)
        scenes.append(Scene(title, drawings, [_note(k, len(frames)) for k in steps]))
    return scenes, min(largest, 1.6 * first)


def evenly(lengths: Sequence[int], most: int) -> NDArray[np.int_]:
    """About ``most`` evenly spaced steps (S,) of the longest trajectory, with the last frame of each."""
    even = np.linspace(0, max(lengths) - 1, min(max(lengths), most)).round().astype(int)
    return np.unique(np.append(even, np.array(lengths) - 1))


def _note(step, length):
    if length == 1:
        return ""
    return f"frame {step + 1} of {length}" if step < length else f"ended at frame {length}"


def facing(atoms: Atoms) -> NDArray:
    """Rotation (3, 3) that lays the two longest axes of a molecule in the page; a box is only tilted."""
    boxed, axes = is_boxed(atoms), np.eye(3)
    if not boxed and len(atoms) > 1:
        axes = np.linalg.svd(atoms.positions - atoms.positions.mean(0))[2]  # rows, longest first
        axes *= np.sign(axes[np.arange(3), np.abs(axes).argmax(1)])[:, None]
        axes[2] = np.cross(axes[0], axes[1])  # a rotation, not a mirror
    tilt = Rotation.from_euler("yx", (22, 15) if boxed else (12, 12), degrees=True)  # so that no atom hides another
    return tilt.as_matrix() @ axes


def _drawing(atoms, turn):
    """One frame, turned; not centred yet."""
    positions, bonds = whole_molecules(atoms)
    numbers, n = atoms.numbers, len(atoms)
    if is_boxed(atoms):
        corners = np.array(list(itertools.product((0, 1), repeat=3)))  # (8, 3)
        edges = [(n + a, n + (a | bit)) for a in range(8) for bit in (1, 2, 4) if not a & bit]
        numbers = np.append(numbers, [CORNER] * 8)
        positions = np.concatenate([positions, corners @ atoms.cell])
        bonds = np.concatenate([bonds, edges])
    return Drawing(numbers, positions @ turn.T, bonds)


def _followed(drawings):
    """Put the first frame in the middle, then follow a drifting molecule; a box stays where it is."""
    shown = slice(-8, None) if drawings[0].numbers[-1] == CORNER else slice(None)
    points = drawings[0].positions[shown]
    middle, start = (points.max(0) + points.min(0)) / 2, points.mean(0)
    mean, reach = start, 2 * np.linalg.norm(points - start, axis=1).max() + 2
    moved = []
    for drawing in drawings:
        near = np.linalg.norm(drawing.positions - mean, axis=1)[shown] < reach  # what flew off does not pull the view
        mean = drawing.positions[shown][near].mean(0) if near.any() else mean
        positions = (drawing.positions - middle + start - mean).clip(-20 * reach, 20 * reach)  # far out of sight
        moved.append(drawing._replace(positions=positions))
    return moved


def ball_radii(numbers: NDArray) -> NDArray:
    """Radii (N,) in Å of the balls; corners of the cell have none."""
    return np.where(numbers == CORNER, 0.0, BALL * np.nan_to_num(vdw_radii[numbers], nan=2.0))
