"""One network after 0, 10, 50, 200 and 1,000 DFT labels, pretrained and from scratch, for a slider in the page.

    python data/make/label_slider.py        # some ten minutes on one core; goes on where it stopped

The settings, the draws of labels and seed 0 are those of `benchmarks/learning_curve_qm9.py` (``tpainn_shipped``, which
starts from `load_pretrained("gas")`, and ``scratch_atomref``); tested are the molecules of `load_molecules("test")`.
Weights are shipped in 16 bits, and the errors in ``metadata`` are those of the rounded ones.  Without labels the
pretrained network is `gas` itself, and the one from scratch is random.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from cards import DATA, update
from learning_curve_qm9 import NETWORK, scratch_way, tuned_way

import tpainn_lite as tp
from tpainn_lite.model.pretrained import SLIDER_LABELS

FOLDER, SEED = DATA / "label_slider", 0
TASK = "molecule_forces"
WAYS = {"pretrained": tuned_way(TASK, "shipped"), "scratch": scratch_way(TASK, "atomref")}


def trained(way, pool, n):
    """The potential after n labels; with none, what it begins with."""
    if n:
        return WAYS[way](tp.draw(pool, n, SEED), SEED)
    if way == "pretrained":
        return tp.load_pretrained("gas")
    torch.manual_seed(SEED)
    about = {"stage": "random", "level": "none", "n_train": 0, "seed": SEED}
    return tp.Potential(tp.PaiNN(**NETWORK), dict.fromkeys((1, 6, 7, 8, 9), 0.0), metadata=about)


def rounded(potential):
    """The same with weights that 16 bits hold."""
    for parameter in potential.painn.parameters():
        parameter.data = parameter.data.half().float()
    return potential


def save(potential, path):
    """Write it with its weights in 16 bits; what is no weight keeps its precision."""
    for parameter in potential.painn.parameters():
        parameter.data = parameter.data.half()
    potential.save(path)


def main():
    torch.set_num_threads(1)
    pool, test = tp.load_molecules("train"), tp.load_molecules("test")
    for n in SLIDER_LABELS:
        for way in WAYS:
            path = FOLDER / f"{way}_{n}.safetensors"
            if not path.exists():
                potential = rounded(trained(way, pool, n))
                kinds = ("force_mae", "energy_mae") if n else ("force_mae",)  # no label says where energies begin
                found = {name: round(tp.errors(potential, test)[name], 2) for name in kinds}
                potential.metadata |= {"test_errors": found}
                print(f"{path.stem}: {found}", flush=True)
                save(potential, path)
    update()


if __name__ == "__main__":
    main()
