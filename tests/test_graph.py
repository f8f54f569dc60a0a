"""From atoms to pairs: which pairs, which way round, which errors."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

from tpainn_lite.model.graph import collate, neighbour_pairs, to_graph, to_graphs, unpack

OBLIQUE = [[3.1, 0.0, 0.0], [1.2, 3.3, 0.0], [-0.9, 1.4, 2.9]]


def oblique(pbc):
    return Atoms("NHO", scaled_positions=[[0, 0, 0], [0.3, 0.3, 0.3], [0.6, 0.5, 0.5]], cell=OBLIQUE, pbc=pbc)


def test_water_has_six_pairs():
    assert to_graph(ase_molecule("H2O"), 5.0).edge_index.shape == (2, 6)


def test_an_argon_atom_in_a_small_box_has_eighteen_neighbours_all_of_them_itself():
    graph = to_graph(Atoms("Ar", cell=[4.0] * 3, pbc=True), 5.7)
    assert graph.edge_index.tolist() == [[0] * 18, [0] * 18]
    lengths = graph.r_ij.norm(dim=-1).sort().values
    torch.testing.assert_close(lengths, torch.tensor([4.0] * 6 + [32**0.5] * 12))


@pytest.mark.parametrize("pbc", [False, (True, True, False), (False, True, False), True])
def test_pairs_are_those_of_ase_in_every_kind_of_cell(pbc):
    idx_i, idx_j, r_ij = neighbour_pairs(oblique(pbc), 5.0)
    expected = neighbor_list("ijD", oblique(pbc), 5.0)
    assert _rows(idx_i, idx_j, r_ij) == _rows(*expected)


def test_pair_vectors_point_from_the_centre_to_the_neighbour(ethanol):
    graph = to_graph(ethanol, 5.0, torch.float64)
    idx_i, idx_j, *_ = unpack(graph)
    np.testing.assert_allclose(graph.r_ij, ethanol.positions[idx_j] - ethanol.positions[idx_i], atol=1e-12)


def test_centres_ascend_and_each_pair_is_there_twice():
    idx_i, idx_j, r_ij = neighbour_pairs(oblique(True), 5.0)
    assert (np.diff(idx_i) >= 0).all()
    assert _rows(idx_i, idx_j, r_ij) == _rows(idx_j, idx_i, -r_ij)


def test_atoms_outside_the_cell_are_found_through_it():
    inside, outside = oblique(True), oblique(True)
    outside.positions[1] += 3 * inside.cell[0] - inside.cell[2]
    assert _rows(*neighbour_pairs(inside, 5.0)) == _rows(*neighbour_pairs(outside, 5.0))


def test_one_atom_has_no_pairs():
    graph = to_graph(Atoms("O"), 5.0)
    assert graph.edge_index.shape == (2, 0)
    assert graph.r_ij.shape == (0, 3)
    assert graph.num_nodes == 1


def test_only_boxes_have_a_volume():
    assert to_graph(oblique(True), 5.0).volume.item() == pytest.approx(oblique(True).get_volume())
    assert to_graph(oblique((True, True, False)), 5.0).volume.item() == 0
    assert to_graph(ase_molecule("H2O"), 5.0).volume.item() == 0


def test_batching_shifts_the_indices_and_remembers_who_is_who(ethanol):
    water = ase_molecule("H2O")
    graphs = to_graphs([water, ethanol, Atoms("O")], 5.0)
    idx_i, idx_j, batch, n = unpack(collate(graphs))
    assert n == 3
    assert batch.tolist() == [0] * 3 + [1] * 9 + [2]
    assert (batch[idx_i] == batch[idx_j]).all()
    assert idx_i[6:].min() == 3


def test_labels_travel_and_large_energies_lose_no_digits():
    atoms = oblique(True)
    voigt = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    atoms.calc = SinglePointCalculator(atoms, energy=-11016.123456789, forces=np.ones((3, 3)), stress=voigt)
    graph = to_graph(atoms, 5.0)
    assert graph.energy.item() == -11016.123456789
    assert graph.forces.shape == (3, 3)
    assert graph.stress[0].tolist() == [[1, 6, 5], [6, 2, 4], [5, 4, 3]]


def test_full_stress_is_taken_as_it_is():
    atoms = oblique(True)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((3, 3)))
    atoms.calc.results["stress"] = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(to_graph(atoms, 5.0).stress[0], np.arange(9.0).reshape(3, 3))


def test_no_atoms_is_an_error():
    with pytest.raises(ValueError, match="no atoms; at least one is expected"):
        to_graph(Atoms(), 5.0)


def test_something_else_than_atoms_is_an_error():
    with pytest.raises(TypeError, match=r"is a str; an ase\.Atoms is expected"):
        to_graph("CCO", 5.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_position_that_is_no_number_is_an_error_that_names_the_atom(ethanol, bad):
    ethanol.positions[4, 1] = bad
    with pytest.raises(ValueError, match="position of atom 4 is not a finite number; check where it came from"):
        to_graph(ethanol, 5.0)


def test_overlapping_atoms_are_an_error_that_names_them():
    atoms = Atoms("HOH", [[0, 0, 0], [0, 0, 1], [0, 0.1, 0]])
    with pytest.raises(
        ValueError, match=r"atoms 0 and 2 are 0\.100 Å apart; at least 0\.5 Å is expected .*wrong units"
    ):
        to_graph(atoms, 5.0)


def test_atoms_that_overlap_only_through_the_boundary_are_an_error():
    atoms = Atoms("HH", [[0.1, 2, 2], [3.9, 2, 2]], cell=[4] * 3, pbc=True)
    with pytest.raises(ValueError, match=r"0\.200 Å apart"):
        to_graph(atoms, 5.0)


def test_a_list_names_the_frame_that_is_wrong(ethanol):
    with pytest.raises(ValueError, match=r"frame 1: .* no atoms"):
        to_graphs([ethanol, Atoms()], 5.0)


@pytest.mark.parametrize("cutoff", [0, -1.0, float("nan"), float("inf"), "5", None, True])
def test_a_cutoff_that_is_no_positive_number_is_an_error(ethanol, cutoff):
    for ask in (to_graph, neighbour_pairs):
        with pytest.raises(ValueError, match=f"cutoff is {cutoff!r}; a finite number above 0"):
            ask(ethanol, cutoff)


def test_a_cutoff_far_beyond_a_molecule_gives_all_of_its_pairs_at_once(ethanol):
    assert [len(neighbour_pairs(ethanol, cutoff)[0]) for cutoff in (20.0, 5e3, 1e9)] == [72, 72, 72]


def test_a_cutoff_that_would_give_more_pairs_than_fit_into_memory_is_an_error(water_box):
    with pytest.raises(ValueError, match=r"its 6 atoms have more than 1e\+07 pairs up to 1000 Å; a smaller cutoff"):
        to_graph(water_box, 1e3)


def _rows(idx_i, idx_j, r_ij):
    """The pairs as a sorted list, so that their order does not matter."""
    return sorted((int(i), int(j), *np.round(r, 9).tolist()) for i, j, r in zip(idx_i, idx_j, r_ij, strict=True))
