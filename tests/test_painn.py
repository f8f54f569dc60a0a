"""The network: the same numbers as SchNetPack's PaiNN, and the properties the paper promises."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from conftest import lively_potential
from mapping import painn_from_schnetpack

from tpainn_lite.model.graph import to_graph, unpack
from tpainn_lite.model.painn import Interaction, RadialBasis, cosine_cutoff
from tpainn_lite.model.potential import Potential

REFERENCE = Path(__file__).parent / "reference" / "schnetpack_painn.npz"
STRUCTURES = ("ethanol", "trifluoroacetonitrile", "one atom", "water box", "triclinic", "slab")


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE, allow_pickle=False) as file:
        return dict(file)


def theirs_and_ours(reference, name, dtype):
    """SchNetPack's stored numbers for a structure, and what our PaiNN says with the same weights."""
    weights = {k.removeprefix("weights/"): v for k, v in reference.items() if k.startswith("weights/")}
    theirs = {k.removeprefix(f"{name}/"): v for k, v in reference.items() if k.startswith(f"{name}/")}
    atoms = Atoms(theirs["numbers"], theirs["positions"], cell=theirs["cell"], pbc=theirs["pbc"])
    potential = Potential(painn_from_schnetpack(weights, dtype), dict.fromkeys(range(1, 10), 0.0)).eval()
    graph = to_graph(atoms, potential.cutoff, dtype)
    output = {key: value.detach().numpy() for key, value in potential(graph).items()}
    output["local_energies"] = potential.painn(graph.atomic_numbers, graph.r_ij, *unpack(graph)[:2]).detach().numpy()
    return theirs, output


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_painn_gives_the_numbers_of_schnetpack(reference, name, dtype, tolerance):
    theirs, ours = theirs_and_ours(reference, name, dtype)
    size = np.abs(ours["local_energies"]).sum()  # the energy is a sum of parts of both signs
    assert abs(ours["energy"][0] - theirs["energy"][0]) < tolerance * size
    assert np.abs(ours["forces"] - theirs["forces"]).max() <= tolerance * np.abs(theirs["forces"]).max()
    if "stress" in theirs:
        assert np.abs(ours["stress"] - theirs["stress"]).max() < tolerance * np.abs(theirs["stress"]).max()


def test_the_reference_is_a_hard_one(reference):
    assert all(np.abs(v).min() > 0 for k, v in reference.items() if k.endswith("bias"))
    theirs, _ = theirs_and_ours(reference, "triclinic", torch.float64)
    atoms = Atoms(theirs["numbers"], theirs["positions"], cell=theirs["cell"], pbc=True)
    idx_i, idx_j, *_ = unpack(to_graph(atoms, 5.0))
    assert (idx_i == idx_j).any(), "no atom sees its own image"
    assert all(np.abs(reference[f"{name}/energy"]).min() > 0.1 for name in STRUCTURES)


def test_radial_basis_is_the_formula_of_the_paper():
    d = torch.tensor([0.7, 2.0, 4.9], dtype=torch.float64)
    basis = RadialBasis(n_rbf=4, cutoff=5.0).double()(d)
    expected = [[math.sin(n * math.pi * x / 5.0) / x for n in range(1, 5)] for x in d.tolist()]
    np.testing.assert_allclose(basis, expected, rtol=1e-6, atol=1e-7)


def test_cutoff_function_and_its_slope_are_zero_at_the_cutoff():
    d = torch.tensor([0.0, 2.5, 5.0 - 1e-6, 5.0, 7.0], dtype=torch.float64, requires_grad=True)
    value = cosine_cutoff(d, 5.0)
    (slope,) = torch.autograd.grad(value.sum(), d)
    np.testing.assert_allclose(value.detach(), [1, 0.5, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(slope, [0, -math.pi / 10, 0, 0, 0], atol=1e-6)


def test_vectors_turn_with_the_molecule_and_scalars_do_not(ethanol):
    potential, rotation = lively_potential(), _rotation()
    s, v = _features(potential, ethanol)
    turned = ethanol.copy()
    turned.positions = ethanol.positions @ rotation.T
    s_turned, v_turned = _features(potential, turned)
    assert s.std() > 0.1 and v.std() > 0.01
    torch.testing.assert_close(s_turned, s, rtol=0, atol=1e-10)
    torch.testing.assert_close(v_turned, torch.einsum("xy,nyf->nxf", torch.tensor(rotation), v), rtol=0, atol=1e-10)


def test_first_interaction_needs_no_vectors_and_has_no_weights_for_them():
    first, later = Interaction(8, 5, first=True), Interaction(8, 5)
    assert first.W.weight.shape == (16, 6)
    assert later.W.weight.shape == (24, 6)


def test_every_weight_matters(ethanol):
    potential = lively_potential()
    graph = to_graph(ethanol, potential.cutoff, torch.float64)
    potential(graph, differentiable=True)["forces"].square().sum().backward()
    unused = [name for name, p in potential.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert unused == ["painn.readout.2.bias"]  # a constant energy pushes nothing


def _features(potential, atoms):
    graph = to_graph(atoms, potential.cutoff, torch.float64)
    s, v = potential.painn.features(graph.atomic_numbers, graph.r_ij, *unpack(graph)[:2])
    return s.detach(), v.detach()


def _rotation():
    q, r = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)
