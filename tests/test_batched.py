"""Many structures in one step of torch-sim: the same numbers as one by one, and the right temperature."""

import numpy as np
import pytest
import torch
from ase.build import molecule as ase_molecule
from ase.stress import voigt_6_to_full_3x3_stress
from conftest import lively_potential, shaken, small_water_box

from tpainn_lite.model.calculator import PotentialCalculator

torch_sim = pytest.importorskip("torch_sim", reason="needs torch-sim: pip install 'tpainn_lite[batched]'")

from tpainn_lite.simulate import batches  # noqa: E402
from tpainn_lite.simulate.many import TorchSimPotential, autobatcher, run_many  # noqa: E402


def molecules():
    return [shaken(ase_molecule(name), seed=k) for k, name in enumerate(("CH3CH2OH", "H2O", "CH4", "NH3"))]


def boxes():
    return [small_water_box(), small_water_box() * (2, 1, 1)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["reference", "compiled"])
@pytest.mark.parametrize("structures", [molecules(), boxes()], ids=["molecules", "boxes"])
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


def test_structures_may_change_under_one_model():
    """torch-sim's batching exchanges structures: other cells, other sizes, another order."""
    model = TorchSimPotential(lively_potential())
    wide = small_water_box()
    wide.set_cell(wide.cell * 1.03, scale_atoms=True)
    for batch in (boxes(), [wide, *boxes()], boxes()[::-1], boxes()[:1]):
        forces = model(torch_sim.initialize_state(batch, model.device, model.dtype))["forces"]
        for atoms, mine in zip(batch, forces.split([len(atoms) for atoms in batch]), strict=True):
            atoms.calc = PotentialCalculator(model.potential)
            np.testing.assert_allclose(mine.numpy(), atoms.get_forces(), atol=1e-9)


def test_weights_that_change_are_noticed(float32_potential):
    model = TorchSimPotential(float32_potential)
    state = torch_sim.initialize_state(boxes(), model.device, model.dtype)
    before = model(state)["energy"]
    with torch.no_grad():
        for weight in float32_potential.painn.parameters():
            weight.mul_(1.1)
    box = boxes()[0]
    box.calc = PotentialCalculator(float32_potential, fast=False)
    after = model(state)["energy"]
    assert after[0].item() == pytest.approx(box.get_potential_energy(), abs=1e-3) != pytest.approx(before[0].item())


def test_frames_come_back_as_atoms_with_energies_forces_and_velocities():
    start, seen = molecules(), []
    start[0].info["smiles"] = "CCO"
    potential = lively_potential()
    settings = {"n_steps": 20, "every": 5, "timestep": 0.1, "stop_when_broken": False}
    runs = run_many(start, potential, **settings, watch=lambda runs: seen.append(len(runs[0].frames)))
    assert [len(run.frames) for run in runs] == [5, 5, 5, 5] and seen == [2, 3, 4, 5]
    last = runs[0].frames[-1]
    assert last.info["smiles"] == "CCO" and last.info["time"] == 2.0 and not last.pbc.any()
    assert np.abs(last.positions - start[0].positions).max() > 1e-3
    fresh = last.copy()
    fresh.calc = PotentialCalculator(potential)
    assert last.get_potential_energy() == pytest.approx(fresh.get_potential_energy())
    np.testing.assert_allclose(last.get_forces(), fresh.get_forces(), atol=1e-9)


@pytest.fixture
def atoms_may_pass_through_each_other(monkeypatch):
    monkeypatch.setattr("tpainn_lite.simulate.md._collapsed", lambda _: None)


@pytest.mark.usefixtures("atoms_may_pass_through_each_other")
def test_positions_of_boxes_are_never_wrapped():
    free = lively_potential()
    free.scale.fill_(0.0)  # no forces: molecules drift through the box as they are
    (run,) = run_many(
        [small_water_box()], free, n_steps=400, every=1, temperature=900, friction=0.0, stop_when_broken=False
    )
    moved = np.diff([atoms.positions for atoms in run.frames], axis=0)  # (frames, N, 3) Å
    assert np.abs(moved).max() < 0.1
    assert np.abs(run.frames[-1].positions - run.frames[0].positions).max() > 2.5


def test_without_friction_it_is_velocity_verlet():
    from ase import units
    from ase.md.verlet import VelocityVerlet

    potential = lively_potential()
    (run,) = run_many(molecules()[:1], potential, n_steps=20, every=10, timestep=0.2, friction=0.0, temperature=300)
    atoms = run.frames[0].copy()
    atoms.calc = PotentialCalculator(potential)
    VelocityVerlet(atoms, 0.2 * units.fs).run(20)
    np.testing.assert_allclose(run.frames[-1].positions, atoms.positions, atol=1e-8)


def test_the_same_seed_runs_the_same_way_and_leaves_other_random_numbers_alone():
    torch.manual_seed(7)
    before, settings = torch.get_rng_state(), {"n_steps": 5, "every": 5}
    first, second, other = (run_many(molecules(), lively_potential(), **settings, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first[0].frames[1].positions, second[0].frames[1].positions)
    assert not np.array_equal(first[0].frames[1].positions, other[0].frames[1].positions)


@pytest.mark.usefixtures("atoms_may_pass_through_each_other")
def test_the_temperature_is_the_one_asked_for_from_the_first_step_on():
    flat = lively_potential()
    flat.scale.fill_(0.0)  # no forces: what moves the atoms is the thermostat alone
    settings = {"n_steps": 60, "every": 1, "friction": 50.0, "temperature": 500, "stop_when_broken": False}
    runs = run_many([ase_molecule("CH4")] * 150, flat, **settings)
    kinetic = np.array([[2 * a.get_kinetic_energy() / (3 * len(a)) for a in run.frames] for run in runs])  # eV
    kelvin = kinetic.mean(axis=0) / 8.617333e-5
    assert kelvin.mean() == pytest.approx(500, rel=0.05)
    assert kelvin[:3].mean() == pytest.approx(500, rel=0.08)


def test_torch_sim_itself_runs_with_the_model():
    model = TorchSimPotential(lively_potential())
    final = torch_sim.integrate(
        boxes(),
        model,
        integrator=getattr(torch_sim, "Integrator", torch_sim).nve,
        n_steps=3,
        temperature=100,
        timestep=0.0001,
    )
    assert torch.isfinite(final.positions).all() and final.n_systems == 2


def test_molecules_and_boxes_together_are_refused():
    with pytest.raises(ValueError, match=r"pbc: \(False, False, False\), \(True, True, True\); expected are molecules"):
        run_many([*molecules(), small_water_box()], lively_potential())
    with pytest.raises(ValueError, match="pbc: no structures"):
        run_many([], lively_potential())


def test_a_bad_structure_is_named_by_its_number_and_bad_settings_are_refused():
    bad = molecules()
    bad[2].positions[1] = np.nan
    with pytest.raises(ValueError, match="structure 2: "):
        run_many(bad, lively_potential())
    with pytest.raises(ValueError, match="pbc: no structures"):
        run_many([], lively_potential())


BAD = {
    "n_steps": 15, "every": 0, "temperature": np.nan, "timestep": -1, "friction": "10", "seed": -1, "watch": 3,
    "structures": molecules()[0], "potential": "gas", "largest": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_setting_that_makes_no_sense_is_named(name):
    given = {"structures": molecules(), "potential": lively_potential(), **BAD, "n_steps": 20, "every": 10}
    given |= {"temperature": 300, "timestep": 0.5, "friction": 10, "seed": 0, "watch": None, "largest": None}
    given |= {"structures": molecules(), "potential": lively_potential(), name: BAD[name]}
    with pytest.raises((ValueError, TypeError), match=rf"{name} is .*"):
        run_many(**given)


@pytest.mark.parametrize("structures", [molecules(), boxes()], ids=["molecules", "boxes"])
def test_what_breaks_is_stopped_with_the_reason_and_its_frames_so_far(structures):
    runs = run_many(structures, lively_potential(), n_steps=40, every=10, timestep=20.0)
    assert all(run.stopped.startswith("at ") and 1 <= len(run.frames) < 5 for run in runs)
    assert all(np.isfinite(atoms.positions).all() for run in runs for atoms in run.frames)
    assert max(kelvin for run in runs for kelvin in run.temperature) < 10 * 300 + 3000, "no frame has exploded"


def test_one_that_breaks_does_not_stop_the_others(monkeypatch):
    still = lively_potential()
    still.scale.fill_(0.0)
    torn = molecules()
    torn[1].positions[1] += [0.5, 0, 0]  # a bond as long as a bond may be
    asked, forward = [], TorchSimPotential.forward
    monkeypatch.setattr(TorchSimPotential, "forward", lambda *a: asked.append(set(a[0].left_out)) or forward(*a))
    runs = run_many(torn, still, n_steps=300, every=10, temperature=2000, friction=0.0)
    assert any(0 < len(left_out) < len(runs) for left_out in asked), "what has broken gets no forces any more"
    first, last = min(runs, key=lambda run: len(run.frames)), max(runs, key=lambda run: len(run.frames))
    assert first.stopped.startswith("at 5 fs: ")
    assert last.time[-1] > first.time[-1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["reference", "compiled"])
def test_two_atoms_in_one_place_are_an_explosion_and_end_nothing(dtype):
    model = TorchSimPotential(lively_potential(dtype), strict=False)
    boxed = boxes()
    state = torch_sim.initialize_state(boxed, model.device, model.dtype)
    state.positions[1] = state.positions[0]
    energies = model(state)["energy"]
    assert torch.isfinite(energies).tolist() == [False, True]
    model.left_out.add(0)
    output = model(state)
    assert output["energy"].isfinite().all() and not output["forces"][: len(boxed[0])].any()
    torch.testing.assert_close(output["energy"][1], energies[1])


def test_a_run_ends_where_the_last_has_broken(monkeypatch):
    asked, forward = [], TorchSimPotential.forward
    monkeypatch.setattr(TorchSimPotential, "forward", lambda *a: asked.append(set(a[0].left_out)) or forward(*a))
    runs = run_many(molecules(), lively_potential(), n_steps=4000, every=10, timestep=20.0)
    assert all(run.stopped for run in runs) and len(asked) < 100


@pytest.mark.parametrize("away", [1e5, 1e300, np.inf])
def test_an_atom_that_has_flown_away_is_an_explosion_and_ends_no_process(away):
    model = TorchSimPotential(lively_potential(), strict=False)
    state = torch_sim.initialize_state(molecules(), model.device, model.dtype)
    state.pbc = False
    before = model(state)["forces"]
    state.positions[0, 0] = away
    after = model(state)["forces"]
    assert not after[:9].any(), "it is left without forces"
    torch.testing.assert_close(after[9:], before[9:])
    with pytest.raises(ValueError, match="structure 0 has exploded"):
        TorchSimPotential(lively_potential())(state)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False)])
def test_a_slab_is_periodic_where_it_is_and_has_no_stress(pbc):
    slab, potential = small_water_box(), lively_potential()
    model = TorchSimPotential(potential)
    state = torch_sim.initialize_state([slab, slab], model.device, model.dtype)
    state.pbc = torch.tensor(pbc)
    output = model(state)
    slab.pbc = pbc
    slab.calc = PotentialCalculator(potential)
    assert output["energy"][1].item() == pytest.approx(slab.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(output["forces"][: len(slab)].numpy(), slab.get_forces(), atol=1e-9)
    assert not output["stress"].any()


def test_asking_changes_no_mode():
    potential = lively_potential().train()
    run_many(molecules()[:1], potential, n_steps=2, every=2, timestep=0.1, stop_when_broken=False)
    assert potential.training


def test_a_strict_model_says_that_a_structure_has_exploded():
    model = TorchSimPotential(lively_potential())
    state = torch_sim.initialize_state(boxes(), model.device, model.dtype)
    state.positions[-1] = torch.nan
    with pytest.raises(ValueError, match="structure 1 has exploded; use a shorter timestep"):
        model(state)


# --- more than the memory holds ---


def counted(monkeypatch):
    """The sizes of the batches that go through a model, with the structures in each."""
    seen, forward = [], TorchSimPotential.forward

    def noted(model, state, **more):
        parts = torch.bincount(state.system_idx).tolist()
        if not seen or seen[-1] != parts:
            seen.append(parts)
        return forward(model, state, **more)

    monkeypatch.setattr(TorchSimPotential, "forward", noted)
    return seen


def test_a_batch_on_a_cpu_is_bounded_whatever_the_number_of_structures(monkeypatch):
    seen = counted(monkeypatch)
    potential = lively_potential()
    sizes = [batches.size_of(atoms, potential.cutoff) for atoms in molecules()]
    assert sizes[1:] == [9, 25, 16] and sizes[0] > 50
    monkeypatch.setattr(batches, "SIZE_ON_CPU", sizes[0] + 9)
    short = {"n_steps": 2, "every": 2, "timestep": 0.1, "stop_when_broken": False}
    runs = run_many(molecules() * 3, potential, **short)
    assert seen == [[9, 3], [5, 4]] * 3
    assert [len(run.frames) for run in runs] == [2] * 12
    assert [str(run.frames[1].symbols) for run in runs] == [str(atoms.symbols) for atoms in molecules() * 3]


@pytest.mark.parametrize("structures", [molecules(), boxes()], ids=["molecules", "boxes"])
def test_in_batches_every_structure_moves_as_it_does_with_all_others(structures):
    settings = {"n_steps": 10, "every": 5, "timestep": 0.1, "friction": 0.0, "stop_when_broken": False}
    together, apart = (run_many(structures, lively_potential(), **settings, largest=n) for n in (None, 1))
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.frames[0].get_momenta(), other.frames[0].get_momenta())
        np.testing.assert_allclose(one.frames[2].positions, other.frames[2].positions, atol=1e-10)


def test_random_forces_differ_from_batch_to_batch_and_repeat_with_the_seed():
    settings = {"n_steps": 4, "every": 2, "friction": 100.0, "stop_when_broken": False, "largest": 1}
    flat = lively_potential()
    flat.scale.fill_(0.0)
    water = [ase_molecule("H2O")] * 3
    first, again = (run_many(water, flat, **settings) for _ in range(2))
    kicks = [run.frames[2].get_momenta() - run.frames[0].get_momenta() for run in first]
    assert np.abs(kicks[0] - kicks[1]).max() > 0.01 and np.abs(kicks[1] - kicks[2]).max() > 0.01
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.frames[2].positions, other.frames[2].positions)


def test_those_that_watch_see_runs_that_have_not_begun():
    seen, settings = [], {"n_steps": 2, "every": 1, "timestep": 0.1, "stop_when_broken": False, "largest": 1}
    run_many(
        molecules()[:2], lively_potential(), **settings, watch=lambda runs: seen.append([len(r.frames) for r in runs])
    )
    assert seen == [[2, 0], [3, 0], [3, 2], [3, 3]]


@pytest.mark.parametrize("structures", [molecules() * 2, boxes() * 2], ids=["molecules", "boxes"])
def test_torch_sims_own_functions_take_batches_that_fit(monkeypatch, structures):
    seen = counted(monkeypatch)
    model = TorchSimPotential(lively_potential())
    largest = max(batches.size_of(atoms, model.potential.cutoff) for atoms in structures)
    monkeypatch.setattr(batches, "SIZE_ON_CPU", largest)
    still = {"n_steps": 1, "temperature": 1e-9, "timestep": 1e-9}
    nve, given = getattr(torch_sim, "Integrator", torch_sim).nve, [cased(atoms) for atoms in structures]
    final = torch_sim.integrate(given, model, **still, integrator=nve, autobatcher=autobatcher(model, structures))
    assert len(seen) > 1, "they were not all together"
    sizes = {len(atoms): batches.size_of(atoms, model.potential.cutoff) for atoms in structures}
    assert max(sum(sizes[n] for n in parts) for parts in seen) <= 1.001 * largest
    alone = [model(torch_sim.initialize_state([atoms], model.device, model.dtype))["energy"].item() for atoms in given]
    np.testing.assert_allclose(final.energy.numpy(), alone, atol=1e-6)


def cased(atoms):
    """With a cell, which torch-sim asks of molecules too."""
    atoms = atoms.copy()
    if not atoms.pbc.any():
        atoms.cell = np.eye(3) * 20
    return atoms


def test_a_batcher_in_flight_holds_what_fits(monkeypatch):
    model, structures = TorchSimPotential(lively_potential()), molecules() * 2
    monkeypatch.setattr(batches, "SIZE_ON_CPU", 100)
    batcher = autobatcher(model, structures, in_flight=True)
    assert isinstance(batcher, torch_sim.InFlightAutoBatcher)
    state = torch_sim.initialize_state([cased(atoms) for atoms in structures], model.device, model.dtype)
    batcher.load_states(state)
    first = batcher.next_batch(None, None)[0]
    assert 0 < first.n_systems < len(structures)


def test_what_a_gpu_holds_is_measured_on_two_small_batches(monkeypatch):
    asked = []

    def peak(device, run, structures):
        asked.append(len(structures))
        return 1e6 + 2e4 * sum(batches.size_of(atoms, 5.0) for atoms in structures)

    monkeypatch.setattr(batches, "_peak", peak)
    monkeypatch.setattr(batches, "_free", lambda device: 80e9)
    frames = molecules()
    sizes = [batches.size_of(atoms, 5.0) for atoms in frames]
    found = batches.largest_batch(frames, sizes, torch.device("cuda"), lambda some: None)
    assert found == pytest.approx(0.7 * 80e9 / 2e4, rel=1e-3)
    assert asked == [1 + 5000 // 9, 4 * (1 + 5000 // 9)], "of H2O, whose atoms have the fewest pairs"


def test_a_memory_that_is_full_is_a_sentence(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TorchSimPotential, "forward", full)
    with pytest.raises(RuntimeError, match="the memory of cpu is full: less than 100 is expected as largest"):
        run_many(molecules(), lively_potential(), n_steps=2, every=2, largest=100)
