"""What `data/make/pretrained.py`, which made the shipped weights, shares with the benchmarks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "make"))

from held_out import HELD_OUT
from pretrained import LOCAL, NETWORK, RECIPES, calm, gas_frames, round_folder, rounds, two_force_fields

__all__ = [
    "HELD_OUT", "LOCAL", "NETWORK", "RECIPES", "calm", "gas_frames", "round_folder", "rounds", "two_force_fields",
]  # fmt: skip
