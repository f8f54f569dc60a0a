"""The weights that are shipped: PaiNN pretrained on classical labels, to be autotuned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from tpainn_lite.model.potential import Potential
from tpainn_lite.reading.shipped import shipped_file, tell_once
from tpainn_lite.structures.arguments import check_choice, check_list
from tpainn_lite.structures.charges import total_charge

SMALL, MOST_HEAVY = {"H", "C", "N", "O", "F"}, 9  # what "gas" and "gas_xtb" have seen
SLIDER_LABELS = (0, 10, 50, 200, 1000)  # `data/make/label_slider.py`
PRETRAINED = (  # `data/make/pretrained.py` made them
    "gas", "gas_mean", "gas_xtb", "gas_wide", "gas_wide_xtb", "water", "water_xtb", "water_iamoeba",
)  # fmt: skip


def load_pretrained(recipe: str) -> Potential:
    """A potential with shipped weights; a new one at each call.

    Parameters
    ----------
    recipe
        "gas": molecules of H, C, N, O, F with up to nine heavy atoms, under MMFF94; "gas_mean": these weights, trained
        further under the mean of MMFF94 and GFN-FF, for forces the best start that no quantum mechanics has taught;
        "gas_xtb": "gas", trained further under GFN2-xTB; "gas_wide" and "gas_wide_xtb": MMFF94, then GFN2-xTB, for
        drug-like molecules, peptides and ions of H, C, N, O, F, Si, P, S, Cl, Br, I; "water": liquid q-TIP4P/F;
        "water_xtb": these, trained further under GFN2-xTB; "water_iamoeba": under iAMOEBA, which is classical too and
        the best of the three waters to autotune.

    Raises
    ------
    ValueError
        There are no weights of that name.

    >>> load_pretrained("gas").elements
    ['H', 'C', 'N', 'O', 'F']
    """
    check_choice(PRETRAINED, recipe=recipe)
    tell_once("checkpoints")
    return Potential.load(shipped_file(f"checkpoints/{recipe}.safetensors"))


def load_label_slider() -> dict[str, dict[int, Potential]]:
    """One network after 0, 10, 50, 200 and 1,000 DFT labels of molecules, pretrained ("gas") and from scratch.

    What a slider in the page chooses from: see `live`.  ``metadata["test_errors"]`` has the errors on the molecules of
    `load_molecules("test")`, in meV/Å and meV/atom; without labels, energies have no reference.

    Returns
    -------
    dict
        {"pretrained": {number of labels: potential}, "from scratch": {...}}; new ones at each call.

    >>> errors = {way: p[50].metadata["test_errors"]["force_mae"] for way, p in load_label_slider().items()}
    >>> errors["from scratch"] > 2 * errors["pretrained"]
    True
    """
    tell_once("label_slider")
    return {
        way: {n: Potential.load(shipped_file(f"label_slider/{file}_{n}.safetensors")) for n in SLIDER_LABELS}
        for way, file in (("pretrained", "pretrained"), ("from scratch", "scratch"))
    }


Start = str | Path | Potential


def usual_start(structures: Sequence[Atoms]) -> str:
    """The shipped weights that fit these structures best: "gas_xtb" for neutral molecules of H, C, N, O, F with up to
    nine heavy atoms, "gas_wide_xtb" for larger ones, ions and other elements.

    >>> from tpainn_lite import molecule
    >>> usual_start([molecule("CCO")]), usual_start([molecule("CCS")])
    ('gas_xtb', 'gas_wide_xtb')
    """
    check_list(structures, "structures")
    given = (atoms for atoms in structures if isinstance(atoms, Atoms))
    return "gas_xtb" if all(map(_is_small, given)) else "gas_wide_xtb"


def _is_small(atoms):
    """Whether "gas" and "gas_xtb" have seen such molecules; the sizes of those in a box are not looked at."""
    few = atoms.pbc.any() or np.sum(atoms.numbers > 1) <= MOST_HEAVY
    return set(atoms.symbols) <= SMALL and few and not total_charge(atoms)


def weights_to_start_from(start: Start) -> Potential:
    """The potential of this shipped name or in this file, or the one that is given.

    >>> weights_to_start_from("gas").elements
    ['H', 'C', 'N', 'O', 'F']
    """
    if isinstance(start, Potential):
        return start
    if isinstance(start, Path) or (isinstance(start, str) and start.endswith(".safetensors")):
        return Potential.load(start)
    return load_pretrained(start)
