"""What a sound structure and a sound label are."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import check_labels, check_structure
from tpainn_lite.structures.geometry import check_search, search_pairs


def test_sound_structures_pass(ethanol, water_box):
    slab = water_box.copy()
    slab.pbc = (True, True, False)
    for atoms in (ethanol, water_box, slab, Atoms("O"), ase_molecule("H2")):
        check_structure(atoms)


def test_the_name_of_the_structure_is_in_the_message():
    with pytest.raises(ValueError, match="frame 7 has no atoms"):
        check_structure(Atoms(), "frame 7")


# --- odd shapes: asked in another process, because each of them once ended it or never came back ---

ODD = """
import numpy as np
from ase import Atoms
from ase.build import molecule
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import search_pairs

def ethanol(far=0, cell=None, pbc=False):
    atoms = molecule("CH3CH2OH", cell=cell, pbc=pbc)
    atoms.positions[0] += far
    return atoms

shapes = {
    "far": ethanol((1e5, 0, 0)),
    "farther": ethanol((0, -1e9, 0)),
    "side": ethanol(cell=[10, 0, 0], pbc=(1, 1, 0)),
    "line": ethanol(cell=[[10, 0, 0], [10, 0, 0], [0, 0, 9]], pbc=(1, 1, 0)),
    "flat": ethanol(cell=[[10, 0, 0], [10, 1e-5, 0], [0, 0, 10]], pbc=True),
    "narrow": ethanol(cell=[10, 10, 1e-6], pbc=True),
    "nan": ethanol(cell=[10, np.nan, 10], pbc=True),
    "remote": ethanol(1e15),
    "one place": Atoms("H20000"),
    "crowded": Atoms("H9000", np.random.default_rng(0).uniform(0, 5, (9000, 3)), cell=[5] * 3, pbc=True),
}
for name, atoms in shapes.items():
    try:
        check_structure(atoms, name)
    except ValueError as error:
        print(error)
    else:
        print(name, "passed")
"""


@pytest.fixture(scope="module")
def answers():
    done = subprocess.run([sys.executable, "-c", ODD], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "message",
    [
        "far is 1e+05 Å wide; less than 10000 Å is expected",
        "farther is 1e+09 Å wide",
        "side: pbc is [True, True, False], but the cell has a side of 0 Å",
        "line: the sides of its cell lie in one line or plane",
        "flat: the sides of its cell lie in one line or plane",
        "narrow: pbc is [True, True, True], but the cell has a side of 1e-06 Å",
        "nan: its cell holds a number that is not finite",
        "remote is 1e+15 Å wide",
        "one place: atoms 0 and 1 are 0.000 Å apart",
        "crowded: atoms",
    ],
)
def test_an_odd_shape_is_refused_in_a_sentence_and_ends_no_process(answers, message):
    assert message in answers
    assert "passed" not in answers


@pytest.mark.parametrize("far", [1e3, 9e3, 1e6])
def test_molecules_that_have_left_their_box_in_a_long_run_are_sound(water_box, far):
    water_box.positions[:3] += round(far / water_box.cell[0, 0]) * water_box.cell.array[0]
    check_structure(water_box)


def test_a_large_flat_sheet_and_an_atom_high_above_a_slab_are_sound():
    sheet = Atoms("C2", [[0, 0, 5], [100, 100, 5]], cell=[400, 400, 10], pbc=(True, True, False))
    check_structure(sheet)
    sheet.positions[1, 2] += 3000
    check_structure(sheet)
    check_structure(ase_molecule("CH3CH2OH", cell=[9e3] * 3, pbc=(True, True, False)))


def test_what_vesin_itself_could_not_search_is_refused_where_it_is_asked_directly(ethanol, water_box):
    for atoms in (ethanol, water_box):
        check_search(atoms, 5.5)
    sheet = Atoms("C2", [[0, 0, 5], [100, 100, 5]], cell=[4000, 4000, 10], pbc=(True, True, False))
    with pytest.raises(ValueError, match=r"too wide, flat, narrow or crowded for a search of pairs up to 5.5 Å"):
        check_search(sheet, 5.5)


@pytest.mark.parametrize("seed", range(12))
def test_pairs_are_those_that_ase_finds_in_boxes_slabs_wires_and_molecules(seed):
    from ase.neighborlist import neighbor_list

    rng = np.random.default_rng(seed)
    cell, pbc = np.diag(rng.uniform(4, 12, 3)) + rng.uniform(-1, 1, (3, 3)), rng.random(3) < 0.5
    atoms = Atoms("H30", rng.uniform(-15, 15, (30, 3)) * rng.choice([1, 0, 9], 3), cell=cell, pbc=pbc)
    for cutoff in (0.1, 0.75, 5.0, 12.0):
        i, d = search_pairs("id", atoms, cutoff)
        np.testing.assert_allclose(np.sort(d), np.sort(neighbor_list("d", atoms, cutoff)))
        assert (np.diff(i) >= 0).all()


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


def test_boxes_among_molecules_are_accepted(labelled):
    boxed = labelled[1].copy()
    boxed.calc = labelled[1].calc
    boxed.set_cell([9, 9, 9])
    boxed.pbc = True
    check_labels([labelled[0], boxed])


def test_a_label_under_another_name_is_pointed_at(labelled):
    stranger = labelled[0].copy()
    stranger.info["dft_energy"] = -1.0
    stranger.arrays["DFT_forces"] = np.zeros((len(stranger), 3))
    with pytest.raises(DatasetError, match=r"frame 1 .* has no energy; it has dft_energy: write it as energy"):
        check_labels([labelled[0], stranger])
    with pytest.raises(DatasetError, match=r"has no forces; it has DFT_forces: write it as forces"):
        check_labels([stranger], need=("forces",))
