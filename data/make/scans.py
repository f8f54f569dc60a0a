"""DFT along four simple motions, B3LYP/6-31G(2df,p): what the terms of a force field are drawn against.

``bond``: one O-H bond of water from 0.75 to 2.2 Å; ``angle``: water's H-O-H from 75 to 150 degrees; ``torsion``: the
C-C-C-C torsion of butane, once round, all else as MMFF94 relaxes it; ``dimer``: two water molecules, hydrogen bonded,
pulled apart.  ``info["coordinate"]`` is the length (Å) or angle (degrees).

    python data/make/scans.py        # some ten minutes on one core; safe to interrupt
"""

import os
import warnings
from pathlib import Path

import cards
import numpy as np
from ase import Atoms

from tpainn_lite.reading.frames import write_frames
from tpainn_lite.structures.build import torsion_frames
from tpainn_lite.teachers.dft import PySCFCalculator
from tpainn_lite.teachers.label import label

DATA = Path(__file__).resolve().parents[1]
SET, JOURNAL = "scans_b3lyp", DATA.parent / "build" / "scans_b3lyp.jsonl"
LENGTH, ANGLE = 0.962, 104.0  # Å, degrees: about where this level has its minimum


def bent(length, other=LENGTH, angle=ANGLE):
    """A water molecule in the x-y plane."""
    half = np.radians(angle) / 2
    arms = np.array([[np.cos(half), np.sin(half), 0], [np.cos(half), -np.sin(half), 0]])
    return np.array([[0, 0, 0], length * arms[0], other * arms[1]])


def bond():
    """One O-H bond stretched, the other and the angle as they are."""
    for length in np.r_[0.75:1.2:0.05, 1.2:2.25:0.1]:
        yield Atoms("OHH", bent(length), info={"coordinate": round(float(length), 4)})


def angle():
    """Both bonds as they are."""
    for degrees in np.arange(75, 151, 5.0):
        yield Atoms("OHH", bent(LENGTH, angle=degrees), info={"coordinate": float(degrees)})


def dimer():
    """The donor's O-H points at the acceptor's oxygen, whose hydrogens look away from it; nothing relaxes."""
    donor, half = bent(LENGTH), np.radians(ANGLE) / 2
    along, up = donor[1] / LENGTH, np.array([0, 0, 1.0])
    away = np.cos(np.radians(55)) * along + np.sin(np.radians(55)) * up  # the acceptor's axis
    side = np.cross(up, along)
    bonds = [np.cos(half) * away + sign * np.sin(half) * side for sign in (1, -1)]
    arms = LENGTH * np.array([0 * up, *bonds])
    for distance in np.r_[2.5:3.5:0.1, 3.5:6.25:0.25]:
        positions = np.concatenate([donor, arms + distance * along])
        yield Atoms("OHHOHH", positions, info={"coordinate": round(float(distance), 4)})


def torsion():
    """Butane, every 15 degrees."""
    return torsion_frames("CCCC", (0, 1, 2, 3), np.arange(-180, 181, 15.0))


def main():
    frames = {scan.__name__: list(scan()) for scan in (bond, angle, torsion, dimer)}
    for name, scan in frames.items():
        for k, frame in enumerate(scan):
            frame.info.update(id=f"{name}/{k}", config_type=name, source="tpainn_lite data/make/scans.py")
    done = label([frame for scan in frames.values() for frame in scan], PySCFCalculator("qm9"), JOURNAL)
    for name in frames:
        mine = [frame for frame in done if frame.info["config_type"] == name]
        write_frames(DATA / SET / f"{name}.extxyz.xz", mine)
        print(f"{name}: {len(mine)} points")
    cards.update()


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Since PySCF-2.3")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
