"""Copies go, and what is kept differs most."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from conftest import shaken

from tpainn_lite.structures.select import distinct, diverse


def test_copies_are_dropped_however_they_are_turned_mirrored_or_numbered():
    ethanol = ase_molecule("CH3CH2OH")
    turned, mirrored, other, hydrogen = ethanol.copy(), ethanol.copy(), shaken(ethanol), Atoms("H")
    turned.rotate(50, (1, 2, 3))
    turned.translate((1, 2, 3))
    mirrored.positions[:, 0] *= -1
    renumbered = ethanol[::-1]
    frames = [ethanol, turned, other, mirrored, hydrogen, renumbered, other.copy(), Atoms("H")]
    assert distinct(frames) == [ethanol, other, hydrogen]
    assert distinct([]) == []


def test_of_a_chain_of_nearly_equal_frames_the_first_and_those_unlike_it_stay():
    frames = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (0.700, 0.715, 0.730, 0.745)]
    assert [atoms.get_distance(0, 1) for atoms in distinct(frames, 0.02)] == pytest.approx([0.700, 0.730])


def test_the_frames_chosen_first_are_the_ones_that_differ_most():
    chain = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (1.00, 1.01, 1.02, 1.3, 1.31, 1.6)]
    chosen = diverse(chain, 3, seed=1)
    groups = {round(atoms.get_distance(0, 1), 1) for atoms in chosen}
    assert groups == {1.0, 1.3, 1.6}


def test_a_choice_of_few_is_the_beginning_of_a_choice_of_more():
    frames = [shaken(ase_molecule("CH3CH2OH"), seed) for seed in range(12)]
    assert diverse(frames, 4) == diverse(frames, 9)[:4]
    assert len({id(atoms) for atoms in diverse(frames, 12)}) == 12


def test_a_turned_or_renumbered_copy_is_chosen_last():
    ethanol = ase_molecule("CH3CH2OH")
    turned, others = ethanol[::-1], [shaken(ethanol, seed) for seed in range(4)]
    turned.rotate(50, (1, 2, 3))
    chosen = diverse([ethanol, turned, *others], 6, seed=3)
    assert {id(chosen[-1])} <= {id(ethanol), id(turned)}


def test_different_molecules_are_told_apart():
    frames = [ase_molecule(name) for name in ("H2O", "CH4", "NH3")] + [shaken(ase_molecule("H2O"), 1, by=0.01)]
    formulas = {atoms.get_chemical_formula() for atoms in diverse(frames, 3)}
    assert formulas == {"H2O", "CH4", "H3N"}


@pytest.mark.parametrize("n", [0, 5])
def test_more_frames_than_there_are_is_an_error(n):
    with pytest.raises(ValueError, match="1 to 4, the size of the list|n is 0; a whole number"):
        diverse([Atoms("H")] * 4, n)


@pytest.mark.parametrize(
    "frames", [None, "word", 5, [5], [Atoms()], [Atoms("H", [[np.nan, 0, 0]])], [Atoms("H6000")]], ids=str
)
def test_what_has_no_distances_is_an_error(frames):
    for ask in (lambda: diverse(frames, 1), lambda: distinct(frames)):
        with pytest.raises((ValueError, TypeError), match=r"expected|possible|not a finite number"):
            ask()


@pytest.mark.parametrize("tolerance", [-1, float("nan"), "0.02", None])
def test_a_tolerance_that_is_none_is_an_error(tolerance):
    with pytest.raises(ValueError, match="tolerance is .*; a finite number of at least 0 is expected"):
        distinct([ase_molecule("H2O")], tolerance)


def test_of_no_frames_none_are_distinct_and_no_number_can_be_chosen():
    assert distinct([]) == []
    for n in (1.5, None, "2", -1):
        with pytest.raises(ValueError, match="n is .*; a whole number"):
            diverse([ase_molecule("H2O")], n)
