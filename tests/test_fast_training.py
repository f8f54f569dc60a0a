"""The compiled training step gives the energies, forces, stress and slopes of `painn.py`, for any loss of them."""

from functools import partial

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as ase_molecule
from conftest import SMALL, lively_potential, shaken, small_water_box

from tpainn_lite.model.compiled_training import TrainingStep, fast_outputs, moving_pairs
from tpainn_lite.model.flat import FlatGraphs
from tpainn_lite.model.graph import graphs_of, together
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.pairs import FlatPairs
from tpainn_lite.model.potential import Potential
from tpainn_lite.train.training import fit
from tpainn_lite.train.transfer import new_potential

BATCHES = {
    "molecules": [shaken(ase_molecule(name)) for name in ("CH3CH2OH", "CH3CN", "HCOOH")],
    "boxes": [small_water_box(), Atoms("C", cell=[2.9, 3.1, 3.3], pbc=True)],
    "a box and a molecule": [small_water_box(), shaken(ase_molecule("H2O"))],
    "atoms alone": [Atoms("O"), Atoms("OH", [[0, 0, 0], [9, 0, 0]])],
}
LOSSES = {  # of energies (B,), forces (N, 3) and stress (B, 3, 3)
    "energies": lambda energy, forces, stress: energy.square().sum(),
    "forces": lambda energy, forces, stress: torch.linalg.vector_norm(forces + 0.3, dim=-1).mean(),
    "stress": lambda energy, forces, stress: torch.linalg.matrix_norm(stress - 0.01).sum(),
    "all": lambda energy, forces, stress: energy.abs().sum() + forces.square().sum() + 10 * stress.abs().sum(),
}


def slopes(outputs, potential, graph, loss):
    potential.zero_grad()
    output = outputs(graph)
    loss(*(output[name] for name in ("interaction_energy", "forces", "stress"))).backward()
    slope = [torch.zeros_like(p) if p.grad is None else p.grad for p in potential.painn.parameters()]
    return output, torch.cat([s.flatten() for s in slope]).double()


def both_ways(potential, frames, loss):
    """(outputs, slopes by the weights) of the reference in float64, and of the compiled step."""
    exact = Potential(PaiNN(**SMALL), {}, 1.0).double()
    exact.load_state_dict(potential.state_dict())
    graph = together(graphs_of(frames, 5.0, torch.float64))
    reference = slopes(partial(exact, differentiable=True), exact, graph, loss)
    return reference, compiled_slopes(potential, graphs_of(frames, 5.0), loss)


def compiled_slopes(potential, graphs, loss):
    step, flat = TrainingStep(potential), FlatPairs(FlatGraphs(graphs), potential.cutoff)
    return slopes(partial(fast_outputs, step), potential, flat.batch(range(len(graphs))), loss)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", BATCHES)
def test_outputs_and_slopes_are_those_of_the_reference(name, loss):
    reference, fast = both_ways(lively_potential(torch.float32), BATCHES[name], LOSSES[loss])
    for key in ("interaction_energy", "forces", "stress"):
        size = max(reference[0][key].abs().max().item(), 1e-3)
        torch.testing.assert_close(fast[0][key].double(), reference[0][key], rtol=0, atol=1e-4 * size)
    size = max(reference[1].abs().max().item(), 1e-6)
    torch.testing.assert_close(fast[1], reference[1], rtol=0, atol=2e-4 * size)


def test_rates_are_those_of_a_small_step(ethanol):
    potential, step = lively_potential(), 1e-4
    graph = graphs_of([ethanol], 5.0, torch.float64)[0]
    idx_j, idx_i = graph.edge_index
    by_atom = torch.from_numpy(np.random.default_rng(0).normal(size=(len(ethanol), 3)))
    motion = by_atom[idx_j] - by_atom[idx_i]  # (E, 3)
    with torch.no_grad():
        ahead, behind = (
            potential.painn(graph.atomic_numbers, graph.r_ij + sign * step * motion, idx_i, idx_j) for sign in (1, -1)
        )
    slope = potential.scale * (ahead - behind) / (2 * step)
    batch, compiled = FlatPairs(FlatGraphs([graph]), 5.0).batch([0]), TrainingStep(potential)
    compiled.of_batch(batch)
    still = np.zeros((1, 3, 3), np.float32)
    moving = moving_pairs(batch.pairs, -by_atom.numpy().astype(np.float32), still, batch.batch.numpy())
    rates = torch.from_numpy(compiled.rates(batch.pairs, moving))
    torch.testing.assert_close(rates.double(), slope, rtol=0, atol=2e-4 * slope.abs().max().item())


@pytest.mark.parametrize("n_interactions", [1, 2])
def test_any_number_of_rounds_is_the_same(n_interactions, ethanol):
    torch.manual_seed(0)
    potential = Potential(PaiNN(16, n_interactions, 8, 4.0), dict.fromkeys((1, 6, 8), -1.0), 2.0)
    graphs = graphs_of([ethanol], 4.0)
    _, exact = slopes(partial(potential, differentiable=True), potential, together(graphs), LOSSES["all"])
    _, fast = compiled_slopes(potential, graphs, LOSSES["all"])
    torch.testing.assert_close(fast, exact, rtol=0, atol=2e-4 * exact.abs().max().item())


@pytest.mark.parametrize("n_features", [5, 24])
def test_any_width_is_the_same(n_features, ethanol):
    torch.manual_seed(0)
    potential = Potential(PaiNN(n_features, 2, 7, 4.0), dict.fromkeys((1, 6, 8), -1.0), 2.0)
    graphs = graphs_of([ethanol], 4.0)
    _, exact = slopes(partial(potential, differentiable=True), potential, together(graphs), LOSSES["all"])
    _, fast = compiled_slopes(potential, graphs, LOSSES["all"])
    torch.testing.assert_close(fast, exact, rtol=0, atol=2e-4 * exact.abs().max().item())


def test_a_training_run_takes_the_same_course(methane_frames):
    histories = []
    for fast in (False, True, True):
        potential = new_potential(methane_frames, **SMALL)
        histories.append(
            fit(potential, methane_frames, methane_frames, steps=40, check_every=20, progress=False, fast=fast)
        )
    slow, first, again = ([row["train_loss"] for row in history] for history in histories)
    assert first == again  # the same bits each time
    assert first == pytest.approx(slow, rel=1e-3)
    assert histories[0][-1]["force_mae"] == pytest.approx(histories[1][-1]["force_mae"], rel=1e-2)


def test_frozen_parts_get_no_slope_and_stay_as_they_are(methane_frames):
    potential = new_potential(methane_frames, **SMALL)
    before = potential.painn.interactions[0].W.weight.clone()
    embedding = potential.painn.embedding.weight.clone()
    fit(potential, methane_frames, steps=5, rates={"interactions": 0}, progress=False, fast=True)
    assert torch.equal(before, potential.painn.interactions[0].W.weight)
    assert not torch.equal(embedding, potential.painn.embedding.weight)
