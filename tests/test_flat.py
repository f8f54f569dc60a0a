"""Flat arrays of many graphs: a batch that is cut out of them is the one that graphs would be joined to."""

import numpy as np
import pytest
import torch

from tpainn_lite.model.flat import TOGETHER, FlatGraphs
from tpainn_lite.model.graph import graphs_of, together
from tpainn_lite.model.pairs import FlatPairs, Pairs

CUTOFF = 4.0


@pytest.fixture(scope="module")
def graphs(labelled):
    return graphs_of(labelled, CUTOFF)


@pytest.fixture(scope="module")
def flat(labelled):
    return FlatGraphs(iter(graphs_of(labelled, CUTOFF)))


@pytest.mark.parametrize("chosen", [[3], [40, 2, 59, 2], range(60), np.array([7, 0])], ids=str)
def test_a_batch_is_what_graphs_are_joined_to(graphs, flat, chosen):
    wanted, batch = together([graphs[k] for k in chosen]), flat.batch(chosen)
    assert vars(wanted).keys() == vars(batch).keys()
    for name, array in vars(wanted).items():
        assert array.dtype == batch[name].dtype
        assert torch.equal(array, batch[name]), name


def test_the_images_of_a_box_stay_its_own(water_box):
    shifted = water_box.copy()
    shifted.set_cell(water_box.cell.array * 1.1, scale_atoms=True)
    boxes = graphs_of([water_box, shifted], CUTOFF)
    wanted, batch = together(boxes[::-1]), FlatGraphs(boxes).batch([1, 0])
    assert torch.equal(wanted.edge_index, batch.edge_index) and torch.equal(wanted.r_ij, batch.r_ij)


@pytest.mark.parametrize("chosen", [[3], [40, 2, 59, 2]], ids=str)
def test_pairs_of_a_batch_are_those_that_are_found_in_it(graphs, flat, chosen):
    joined = together([graphs[k] for k in chosen])
    idx_j, idx_i = joined.edge_index.numpy()
    wanted = Pairs.of(joined.num_nodes, idx_i, idx_j, joined.r_ij.numpy(), CUTOFF)
    batch = FlatPairs(flat, CUTOFF).batch(chosen)
    assert batch.num_graphs == len(chosen) and torch.equal(batch.forces, joined.forces)
    for name, array in zip(Pairs._fields, wanted, strict=True):
        np.testing.assert_array_equal(getattr(batch.pairs, name), array, err_msg=name)


def test_more_graphs_than_are_joined_at_a_time(graphs):
    many = [graphs[k % len(graphs)] for k in range(2 * TOGETHER + 1)]
    flat = FlatGraphs(many)
    assert len(flat) == len(many)
    for k in (0, TOGETHER - 1, TOGETHER, 2 * TOGETHER):
        assert torch.equal(flat[k].edge_index, many[k].edge_index) and torch.equal(flat[k].forces, many[k].forces)


def test_what_is_given_to_the_whole_is_cut_with_it(labelled):
    flat = FlatGraphs(graphs_of(labelled, CUTOFF))
    flat.whole.target = torch.arange(60.0)
    assert flat.batch([5, 3]).target.tolist() == [5, 3]


def test_an_atom_alone_has_no_pairs_and_is_kept(labelled):
    lone = labelled[0][[0]]
    lone.calc = None
    flat = FlatGraphs(graphs_of([lone, lone], CUTOFF))
    assert flat.batch([1, 0]).num_edges == 0 and flat.batch([1, 0]).batch.tolist() == [0, 1]
    assert FlatPairs(flat, CUTOFF).batch([1]).pairs.first.tolist() == [0, 0]
