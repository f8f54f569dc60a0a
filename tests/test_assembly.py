"""Molecules are put together whole, as far apart as asked, and in the order a force field wants them."""

import numpy as np
import pytest
from ase import units

from tpainn_lite.structures.build import dimer_frames, molecule, water_box, water_clusters
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.water import is_water, water


def test_a_box_of_water_has_the_density_asked_for_and_whole_molecules():
    box = water_box(32, density=0.9, seed=1)
    assert box.get_masses().sum() / units.kg / (box.get_volume() * 1e-30) == pytest.approx(900, rel=1e-6)
    molecules = box.positions.reshape(-1, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(molecules[:, 1:] - molecules[:, :1], axis=-1), 0.97, atol=0.02)
    assert box.get_all_distances(mic=True)[np.triu_indices(96, 1)].min() > 0.9
    np.testing.assert_array_equal(box.positions, water_box(32, density=0.9, seed=1).positions)


@pytest.mark.parametrize(
    ("n", "density"),
    [(0, 1.0), (8, 0.0), (8, float("nan")), (10**9, 1.0), (2.5, 1.0), (None, 1.0), (8, "1"), (8, 20.0), (8, 1e-11)],
)
def test_a_box_that_makes_no_sense_is_an_error(n, density):
    with pytest.raises(ValueError, match=r"(n_molecules|density) is .* is expected|molecules of water are .* apart"):
        water_box(n, density)


def test_a_cluster_is_a_molecule_of_the_box_and_its_nearest_neighbours():
    boxes = [water_box(27, 1.0, seed) for seed in (0, 1)]
    frames = water_clusters(boxes, 4, 6, seed=2)
    for atoms in frames:
        assert is_water(atoms) and not atoms.pbc.any()
        oxygen, box = atoms.positions[::3], boxes[atoms.info["box"]]
        distances = np.linalg.norm(oxygen[1:] - oxygen[0], axis=1)
        every = box[::3].get_all_distances(mic=True)
        nearest = np.sort(every, axis=1)[:, 1:4]
        assert np.abs(nearest - distances).max(axis=1).min() < 1e-9, "these are the three nearest of one molecule"
        bonds = np.linalg.norm(atoms.positions[1::3] - oxygen, axis=1)
        np.testing.assert_allclose(bonds, bonds[0], atol=1e-9)


def test_a_cluster_of_all_molecules_keeps_the_energies_within_them():
    box = water_box(2, 0.1)
    (pair,) = water_clusters([box], 2, 1)
    assert water().get_potential_energy(pair) == pytest.approx(water().get_potential_energy(box), abs=0.1)


@pytest.mark.parametrize("size", [0, 9])
def test_a_cluster_larger_than_its_box_or_empty_is_an_error(size):
    with pytest.raises(ValueError, match="size is .*; a whole number of at least 1"):
        water_clusters([water_box(8)], size, 1)


@pytest.mark.parametrize(
    "boxes", [[], None, [5], [molecule("O")], [molecule("CCO")], [water_box(2)[[1, 0, 2, 3, 4, 5]]]], ids=str
)
def test_clusters_of_what_is_no_box_of_water_are_an_error(boxes):
    with pytest.raises((ValueError, TypeError), match="expected"):
        water_clusters(boxes, 1, 1)


@pytest.mark.parametrize(
    "contact",
    [(4.0, 1.6), (-1.0, 2.0), (0.0, 2.0), (1e-9, 1e-9), (float("nan"), 2.0), (1.6, float("inf")), 2.0, None, "ab"],
)
def test_a_contact_that_cannot_be_is_an_error_and_not_searched_forever(contact):
    with pytest.raises(ValueError, match=r"contact.* is expected"):
        dimer_frames(molecule("CCO"), molecule("CCO"), 2, contact=contact)


def test_pairs_of_what_is_no_molecule_and_no_number_of_pairs_are_errors():
    for first in (None, "CCO", molecule("O")[[]]):
        with pytest.raises((ValueError, TypeError), match="the first molecule"):
            dimer_frames(first, molecule("O"), 1)
    for n in (0, 1.5, 10**9):
        with pytest.raises(ValueError, match="n_frames is .* is expected"):
            dimer_frames(molecule("O"), molecule("O"), n)


@pytest.mark.parametrize(("one", "other"), [("CO", "O"), ("c1ccccc1", "C#N"), ("N", "CC(=O)O")])
def test_two_molecules_touch_as_asked_and_a_force_field_can_label_the_pair(one, other):
    first, second = molecule(one), molecule(other)
    for atoms in dimer_frames(first, second, 5, contact=(1.8, 2.5), seed=1):
        teacher = mmff94()
        assert np.isfinite(teacher.get_forces(atoms)).all()
        heavy = [(m.numbers > 1).sum() for m in (first, second)]
        mine = np.r_[0 : heavy[0], sum(heavy) : sum(heavy) + len(first) - heavy[0]]
        theirs = np.setdiff1d(np.arange(len(atoms)), mine)
        np.testing.assert_allclose(
            atoms[mine].get_all_distances(), first.get_all_distances(), atol=1e-9, err_msg="the first is whole"
        )
        assert 1.8 <= atoms.get_all_distances()[np.ix_(mine, theirs)].min() <= 2.5


def test_far_apart_a_pair_has_the_energy_of_its_two_molecules():
    methanol, methane = molecule("CO"), molecule("C")
    (far,) = dimer_frames(methanol, methane, 1, contact=(60, 60))
    alone = sum(mmff94().get_potential_energy(m) for m in (methanol, methane))
    assert mmff94().get_potential_energy(far) == pytest.approx(alone, abs=1e-3)


def test_the_same_seed_gives_the_same_pairs():
    a, b, c = (dimer_frames(molecule("CO"), molecule("O"), 3, seed=seed)[2].positions for seed in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1
