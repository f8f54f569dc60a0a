"""What a sound structure and a sound label are."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.checks import DatasetError, check_labels, check_structure


def test_sound_structures_pass(ethanol, water_box):
    slab = water_box.copy()
    slab.pbc = (True, True, False)
    for atoms in (ethanol, water_box, slab, Atoms("O"), ase_molecule("H2")):
        check_structure(atoms)


def test_the_name_of_the_structure_is_in_the_message():
    with pytest.raises(ValueError, match="frame 7 has no atoms"):
        check_structure(Atoms(), "frame 7")


def test_an_empty_list_is_an_error():
    with pytest.raises(DatasetError, match=r"empty; at least one labelled ase\.Atoms is expected"):
        check_labels([])


def test_a_frame_without_labels_is_an_error_that_says_what_to_do(labelled, ethanol):
    with pytest.raises(DatasetError, match=r"frame 1 \(C2H6O\) has no energy; label it first: label\(frames, calc"):
        check_labels([labelled[0], ethanol])


def test_an_energy_without_forces_is_an_error_where_forces_are_needed(ethanol):
    ethanol.calc = SinglePointCalculator(ethanol, energy=1.0)
    check_labels([ethanol], need=("energy",))
    with pytest.raises(DatasetError, match="has no forces"):
        check_labels([ethanol])


def test_a_calculator_that_has_not_run_is_no_label():
    water = ase_molecule("H2O")
    water.calc = EMT()
    with pytest.raises(DatasetError, match="has no energy"):
        check_labels([water])


@pytest.mark.parametrize("key", ["energy", "forces"])
def test_a_label_that_is_no_number_is_an_error(ethanol, key):
    labels = {"energy": 1.0, "forces": np.zeros((9, 3))}
    labels[key] = labels[key] * np.nan
    ethanol.calc = SinglePointCalculator(ethanol, **labels)
    with pytest.raises(DatasetError, match=rf"frame 0 \(C2H6O\): its {key} is not finite"):
        check_labels([ethanol])


def test_boxes_among_molecules_are_an_error_that_names_both(labelled):
    boxed = labelled[1].copy()
    boxed.calc = labelled[1].calc
    boxed.set_cell([9, 9, 9])
    boxed.pbc = True
    with pytest.raises(DatasetError, match=r"frame 0 .* has pbc \[False.* but frame 1 .*True.*all periodic or none"):
        check_labels([labelled[0], boxed])


def test_a_label_under_another_name_is_pointed_at(labelled):
    stranger = labelled[0].copy()
    stranger.info["dft_energy"] = -1.0
    stranger.arrays["DFT_forces"] = np.zeros((len(stranger), 3))
    with pytest.raises(DatasetError, match=r"frame 1 .* has no energy; it has dft_energy: write it as energy"):
        check_labels([labelled[0], stranger])
    with pytest.raises(DatasetError, match=r"has no forces; it has DFT_forces: write it as forces"):
        check_labels([stranger], need=("forces",))
