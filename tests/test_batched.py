"""Many structures in one step of torch-sim: the same numbers as one by one, and the right temperature."""

import numpy as np
import pytest
import torch
from ase.build import molecule as ase_molecule
from ase.stress import voigt_6_to_full_3x3_stress
from conftest import lively_potential, shaken, small_water_box

from tpainn_lite.calculator import PotentialCalculator

torch_sim = pytest.importorskip("torch_sim", reason="needs torch-sim: pip install 'tpainn_lite[batched]'")

from tpainn_lite.batched import TorchSimPotential, run_many  # noqa: E402


def molecules():
    return [shaken(ase_molecule(name), seed=k) for k, name in enumerate(("CH3CH2OH", "H2O", "CH4", "NH3"))]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["reference", "compiled"])
@pytest.mark.parametrize("structures", [molecules(), [small_water_box(), small_water_box() * (2, 1, 1)]], ids=str)
def test_all_at_once_gives_what_the_calculator_gives_one_by_one(structures, dtype):
    potential = lively_potential(dtype)
    model = TorchSimPotential(potential)
    boxed = [atoms.copy() for atoms in structures]
    for atoms in boxed:
        if not atoms.pbc.any():
            atoms.cell = np.eye(3) * 20
    output = model(torch_sim.initialize_state(boxed, model.device, model.dtype))
    forces = output["forces"].split([len(atoms) for atoms in structures])
    close = {"atol": 1e-9 if dtype == torch.float64 else 2e-4}
    for k, atoms in enumerate(structures):
        atoms.calc = PotentialCalculator(potential, fast=False)
        assert output["energy"][k].item() == pytest.approx(atoms.get_potential_energy(), abs=10 * close["atol"])
        np.testing.assert_allclose(forces[k].numpy(), atoms.get_forces(), **close)
        stress = voigt_6_to_full_3x3_stress(atoms.get_stress()) if atoms.pbc.any() else np.zeros((3, 3))
        np.testing.assert_allclose(output["stress"][k].numpy(), stress, **close)


def test_neighbours_are_found_again_when_atoms_have_moved():
    model = TorchSimPotential(lively_potential(), skin=0.3)
    box = small_water_box()
    model(torch_sim.initialize_state([box], model.device, model.dtype))
    box.positions += np.random.default_rng(3).normal(scale=0.3, size=box.positions.shape)
    forces = model(torch_sim.initialize_state([box], model.device, model.dtype))["forces"]
    box.calc = PotentialCalculator(model.potential)
    np.testing.assert_allclose(forces.numpy(), box.get_forces(), atol=1e-9)


def test_frames_come_back_as_atoms_with_energies_forces_and_velocities():
    start, seen = molecules(), []
    start[0].info["smiles"] = "CCO"
    potential = lively_potential()
    runs = run_many(start, potential, n_steps=20, every=5, timestep=0.1, watch=seen.append)
    assert [len(run) for run in runs] == [4, 4, 4, 4] and len(seen) == 4
    last = runs[0][-1]
    assert last is seen[-1][0] and last.info["smiles"] == "CCO" and not last.pbc.any()
    assert np.abs(last.positions - start[0].positions).max() > 1e-3
    assert last.get_temperature() > 10
    fresh = last.copy()
    fresh.calc = PotentialCalculator(potential)
    assert last.get_potential_energy() == pytest.approx(fresh.get_potential_energy())
    np.testing.assert_allclose(last.get_forces(), fresh.get_forces(), atol=1e-9)


def test_the_same_seed_runs_the_same_way_and_leaves_other_random_numbers_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second, other = (run_many(molecules(), lively_potential(), n_steps=5, every=5, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first[0][0].positions, second[0][0].positions)
    assert not np.array_equal(first[0][0].positions, other[0][0].positions)


def test_the_temperature_is_the_one_asked_for():
    flat = lively_potential()
    flat.scale.fill_(0.0)  # no forces: what moves the atoms is the thermostat alone
    runs = run_many([ase_molecule("CH4")] * 40, flat, n_steps=300, every=10, friction=50.0, temperature=500)
    kinetic = np.mean([2 * atoms.get_kinetic_energy() / (3 * len(atoms)) for run in runs for atoms in run])  # eV
    assert kinetic / 8.617333e-5 == pytest.approx(500, rel=0.05)


def test_torch_sim_itself_runs_with_the_model():
    model = TorchSimPotential(lively_potential())
    final = torch_sim.integrate(
        [small_water_box()] * 2, model, integrator=torch_sim.nve, n_steps=3, temperature=100, timestep=0.0001
    )
    assert torch.isfinite(final.positions).all() and final.n_systems == 2


def test_molecules_and_boxes_together_are_refused():
    with pytest.raises(ValueError, match=r"pbc: \(False, False, False\), \(True, True, True\); expected are molecules"):
        run_many([*molecules(), small_water_box()], lively_potential())
    with pytest.raises(ValueError, match="pbc: no structures"):
        run_many([], lively_potential())


def test_a_bad_structure_is_named_by_its_number():
    bad = molecules()
    bad[2].positions[1] = np.nan
    with pytest.raises(ValueError, match="structure 2: "):
        run_many(bad, lively_potential())


def test_a_run_that_explodes_says_so():
    with pytest.raises(ValueError, match=r"structure \d has exploded; use a shorter timestep"):
        run_many(molecules(), lively_potential(), n_steps=5, timestep=1e307)
