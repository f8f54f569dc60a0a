"""The potential as physics: what may change the energy, what may not, and that forces and stress are its slopes."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.singlepoint import SinglePointCalculator
from conftest import lively_potential, shaken, small_water_box

from tpainn_lite.model import evaluator as evaluator_module
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.graph import collate, to_graph, to_graphs
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential, WeightsError
from tpainn_lite.model.references import fit_atomref
from tpainn_lite.structures.arguments import DatasetError


def slab():
    atoms = small_water_box()
    atoms.set_cell([[4.2, 0.0, 0.0], [0.9, 4.0, 0.0], [0.0, 0.0, 20.0]])
    atoms.pbc = (True, True, False)
    return atoms


SYSTEMS = {"molecule": lambda: shaken(ase_molecule("CH3CH2OH")), "small oblique box": small_water_box, "slab": slab}


@pytest.fixture(params=SYSTEMS.values(), ids=SYSTEMS)
def system(request):
    return request.param()


def stress_of(potential, atoms):
    return potential(to_graph(atoms, potential.cutoff, potential.dtype))["stress"][0].detach().numpy()


def turned(atoms, matrix):
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array @ matrix.T)
    atoms.positions = atoms.positions @ matrix.T
    return atoms


def rotation(seed=3):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


# --- what may not change the energy ---


@pytest.mark.parametrize("matrix", [rotation(), -rotation(), np.diag([1, 1, -1])], ids=["turn", "invert", "mirror"])
def test_energy_does_not_change_when_the_structure_turns_and_forces_turn_along(potential, system, matrix):
    (before, after), (forces, turned_forces) = potential.predict([system, turned(system, matrix)])
    assert after == pytest.approx(before, abs=1e-9)
    np.testing.assert_allclose(turned_forces, forces @ matrix.T, atol=1e-9)


def test_stress_turns_along(potential, water_box):
    matrix = rotation()
    expected = matrix @ stress_of(potential, water_box) @ matrix.T
    np.testing.assert_allclose(stress_of(potential, turned(water_box, matrix)), expected, atol=1e-10)


def test_energy_does_not_change_when_the_structure_moves(potential, system):
    moved = system.copy()
    moved.positions += [10.0, -20.0, 0.5]
    (before, after), (forces, moved_forces) = potential.predict([system, moved])
    assert after == pytest.approx(before, abs=1e-9)
    np.testing.assert_allclose(moved_forces, forces, atol=1e-9)


def test_energy_does_not_change_when_atoms_are_listed_in_another_order(potential, system):
    order = np.random.default_rng(0).permutation(len(system))
    (before, after), (forces, reordered) = potential.predict([system, system[order]])
    assert after == pytest.approx(before, abs=1e-9)
    np.testing.assert_allclose(reordered, forces[order], atol=1e-9)


def test_energy_does_not_change_when_atoms_are_wrapped_into_the_cell(potential, water_box):
    wrapped = water_box.copy()
    wrapped.positions += 2.3
    wrapped.wrap()
    energies, _ = potential.predict([water_box, wrapped])
    assert energies[1] == pytest.approx(energies[0], abs=1e-9)


def test_twice_the_box_has_twice_the_energy_and_the_same_stress(potential, water_box):
    double = water_box * (1, 2, 1)
    energies, forces = potential.predict([water_box, double])
    assert energies[1] == pytest.approx(2 * energies[0], abs=1e-8)
    np.testing.assert_allclose(forces[1], np.tile(forces[0], (2, 1)), atol=1e-9)
    np.testing.assert_allclose(stress_of(potential, double), stress_of(potential, water_box), atol=1e-10)


def test_atoms_that_are_alike_feel_alike(potential):
    _, (forces,) = potential.predict([ase_molecule("CH4")])
    np.testing.assert_allclose(forces[0], 0, atol=1e-6)  # the carbon sits in the middle
    np.testing.assert_allclose(np.linalg.norm(forces[1:], axis=1), np.linalg.norm(forces[1]), rtol=1e-6)


def test_forces_sum_to_zero_and_do_not_turn_the_molecule(potential, system):
    _, (forces,) = potential.predict([system])
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-10)
    if not system.pbc.any():
        np.testing.assert_allclose(np.cross(system.positions, forces).sum(axis=0), 0, atol=1e-9)


# --- atoms alone, atoms far away, the cutoff ---


def test_one_atom_has_its_reference_energy_plus_a_constant_and_no_force(potential):
    (here, there), forces = potential.predict([Atoms("O"), Atoms("O", [[3, 1, 4]])])
    assert here == there != -80.0
    np.testing.assert_array_equal(forces[0], [[0, 0, 0]])
    assert not potential.training


def test_far_apart_atoms_do_not_know_of_each_other(potential):
    pair = Atoms("OH", [[0, 0, 0], [0, 0, 5.01]])
    (together, oxygen, hydrogen), forces = potential.predict([pair, Atoms("O"), Atoms("H")])
    assert together == pytest.approx(oxygen + hydrogen, abs=1e-10)
    np.testing.assert_array_equal(forces[0], np.zeros((2, 3)))


def test_energy_and_force_are_smooth_when_an_atom_crosses_the_cutoff(potential):
    def at(z):
        energies, forces = potential.predict([Atoms("OCH", [[0, 0, 0], [0, 1.2, 0], [0, 0, z]])])
        return energies[0], forces[0]

    step = 1e-5
    (inside, force_inside), (outside, force_outside) = at(5.0 - step), at(5.0 + step)
    assert abs(at(4.0)[1][2, 2] - force_outside[2, 2]) > 1e-3  # there is something to fade
    assert abs(inside - outside) < 1e-8
    np.testing.assert_allclose(force_inside, force_outside, atol=1e-4)


# --- forces and stress are slopes of the energy ---


def test_forces_are_minus_the_slope_of_the_energy(potential, system):
    _, (forces,) = potential.predict([system])
    step, numerical = 1e-4, np.zeros_like(forces)
    for index in np.ndindex(forces.shape):
        both = [system.copy(), system.copy()]
        both[0].positions[index] += step
        both[1].positions[index] -= step
        plus, minus = potential.predict(both)[0]
        numerical[index] = -(plus - minus) / (2 * step)
    assert np.abs(forces).max() > 0.1
    np.testing.assert_allclose(forces, numerical, atol=1e-6)


def test_stress_is_the_slope_of_the_energy_under_strain(potential, water_box):
    step, numerical = 1e-5, np.zeros((3, 3))
    for a, b in np.ndindex(3, 3):
        both = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step / 2
            strain[b, a] += sign * step / 2
            both.append(turned(water_box, strain))
        plus, minus = potential.predict(both)[0]
        numerical[a, b] = (plus - minus) / (2 * step) / water_box.get_volume()
    assert np.abs(numerical).max() > 1e-2
    np.testing.assert_allclose(stress_of(potential, water_box), numerical, atol=1e-7)


def test_stress_is_symmetric_and_zero_for_a_molecule(potential, water_box, ethanol):
    stress = stress_of(potential, water_box)
    np.testing.assert_allclose(stress, stress.T, atol=1e-12)
    np.testing.assert_array_equal(stress_of(potential, ethanol), np.zeros((3, 3)))


# --- batches and precision ---


def test_a_batch_gives_what_one_by_one_gives(potential, ethanol, water_box):
    frames = [ethanol, Atoms("O"), water_box, slab(), ase_molecule("CF4")]
    energies, forces = potential.predict(frames)
    for k, atoms in enumerate(frames):
        (energy,), (force,) = potential.predict([atoms])
        assert energy == pytest.approx(energies[k], abs=1e-10)
        np.testing.assert_allclose(force, forces[k], atol=1e-10)
    graphs = [to_graph(atoms, potential.cutoff, torch.float64) for atoms in frames]
    stress = potential(collate(graphs))["stress"].detach()
    np.testing.assert_allclose(stress[2], stress_of(potential, water_box), atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_the_batch_size_changes_nothing(potential, ethanol, batch_size):
    frames = [shaken(ethanol, seed) for seed in range(5)]
    energies, forces = potential.predict(frames, batch_size=batch_size)
    assert energies.shape == (5,)
    np.testing.assert_allclose(energies, potential.predict(frames)[0], atol=1e-10)
    assert [f.shape for f in forces] == [(9, 3)] * 5


def test_float32_agrees_with_float64_and_large_reference_energies_cost_no_digits(ethanol):
    single, double = lively_potential(torch.float32), lively_potential(torch.float64)
    for potential in (single, double):
        potential.set_atomref({1: -13.6123456789, 6: -1036.123456789, 8: -2043.123456789})
    frames = [ethanol, shaken(ethanol, 1, by=0.01)]
    np.testing.assert_allclose(single.predict(frames)[0], double.predict(frames)[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(single.predict(frames)[1][0], double.predict(frames)[1][0], atol=1e-4)


def test_predict_does_not_touch_the_structures_or_the_mode(potential, ethanol):
    before = ethanol.copy()
    potential.train()
    potential.predict([ethanol])
    assert potential.training
    assert ethanol == before
    assert ethanol.calc is None


def test_nobody_who_asks_changes_the_mode_or_needs_one(potential, ethanol):
    forces = potential.eval().predict([ethanol])[1][0]
    ethanol.calc = PotentialCalculator(potential.train())
    np.testing.assert_allclose(ethanol.get_forces(), forces, atol=1e-10)
    assert potential.training
    graph = to_graph(ethanol, potential.cutoff, potential.dtype)
    assert (
        not potential(graph)["forces"].requires_grad and potential(graph, differentiable=True)["forces"].requires_grad
    )


def test_energies_alone_are_the_same_energies(monkeypatch, labelled):
    for limit in (10**9, 2000):  # exact, and compiled
        monkeypatch.setattr(evaluator_module, "WORTH_COMPILING", limit)
        potential = lively_potential(torch.float32)
        energies, forces = potential.predict(labelled[:6], forces=False)
        assert forces is None
        np.testing.assert_array_equal(energies, potential.predict(labelled[:6])[0])


def test_reference_energies_and_scale_stay_exact_whatever_the_precision_of_the_network():
    potential = Potential(lively_potential().painn, {1: -13.60569301, 8: -2041.123456789}, scale=0.1234567890123)
    for changed in (potential.float(), potential.half(), potential.to(torch.float32), potential.cpu()):
        assert changed.atomref.dtype == changed.scale.dtype == torch.float64
        assert changed.atomref[8].item() == -2041.123456789 and changed.scale.item() == 0.1234567890123
    assert potential.dtype == torch.float32


# --- what it does not know, it says ---


def test_what_cannot_be_a_potential_or_be_asked_is_refused(potential, ethanol):
    for scale in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="scale is .*; a finite number above 0"):
            Potential(potential.painn, {1: 0.0}, scale)
    with pytest.raises(ValueError, match="the reference energy of H is nan"):
        Potential(potential.painn, {1: float("nan")})
    with pytest.raises(ValueError, match="the list of frames is empty"):
        potential.predict([])
    with pytest.raises(ValueError, match="batch_size is 0"):
        potential.predict([ethanol], batch_size=0)
    for wrong in ({"n_features": 1}, {"n_interactions": 0}, {"n_rbf": 0}, {"cutoff": -1.0}):
        with pytest.raises(ValueError, match="is expected"):
            PaiNN(**wrong)


def test_an_atom_that_has_flown_away_is_an_error_and_not_the_end_of_the_process(potential, ethanol):
    ethanol.calc = PotentialCalculator(potential)
    ethanol.get_forces()
    ethanol.positions[0, 0] = 1e6
    with pytest.raises(ValueError, match="Å wide"):
        ethanol.get_forces()


def test_an_unknown_element_is_an_error_that_names_it_and_the_known_ones(potential):
    with pytest.raises(ValueError, match="not made for S, Si; it knows H, C, N, O, F"):
        potential.predict([Atoms("SiSH", [[0, 0, 0], [0, 0, 2], [0, 0, 4]])])


@pytest.mark.parametrize("symbol", ["X", "Og"])
def test_a_dummy_or_superheavy_atom_is_an_unknown_element(potential, symbol):
    with pytest.raises(ValueError, match=f"not made for {symbol};"):
        potential.predict([Atoms(["O", symbol], [[0, 0, 0], [0, 0, 2]])])


def test_elements_lists_what_it_was_made_for(potential):
    assert potential.elements == ["H", "C", "N", "O", "F"]


def test_reference_energies_of_no_element_are_an_error(potential):
    with pytest.raises(ValueError, match=r"atomic numbers \[0, 101\] in atomref; 1 to 100 are expected"):
        potential.set_atomref({0: 1.0, 101: 1.0, 6: 2.0})


# --- files ---


def test_a_saved_potential_comes_back_the_same(potential, float32_potential, ethanol, tmp_path):
    for original in (potential, float32_potential):
        original.metadata = {"level": "toy", "seed": 3, "note": "Å"}
        original.save(tmp_path / "a.safetensors")
        loaded = Potential.load(tmp_path / "a.safetensors")
        assert loaded.metadata == original.metadata
        assert loaded.dtype == original.dtype
        assert (loaded.cutoff, loaded.elements) == (original.cutoff, original.elements)
        np.testing.assert_array_equal(loaded.predict([ethanol])[0], original.predict([ethanol])[0])
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]  # no temporary files


def test_a_missing_weights_file_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file .*nothing.safetensors; make one with potential.save"):
        Potential.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, -1])
def test_a_truncated_weights_file_is_an_error(potential, tmp_path, keep):
    path = tmp_path / "a.safetensors"
    potential.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match=r"a.safetensors is damaged, truncated or no safe.*get it again"):
        Potential.load(path)


def test_a_file_that_is_something_else_is_an_error(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_text("not weights at all, only a sentence that is long enough to look like a header")
    with pytest.raises(WeightsError, match="damaged, truncated or no safetensors file"):
        Potential.load(path)


def test_weights_of_another_program_are_an_error(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"weights of another program; a file written by Potential.save is expected"):
        Potential.load(tmp_path / "a.safetensors")


def rewritten(path, tensors=None, **changes):
    """Change the header or the tensors of a weights file."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["tpainn_lite"]) | changes
        content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors(content) if tensors else content, path, {"tpainn_lite": json.dumps(header)})


def test_a_file_from_a_newer_format_is_an_error_that_says_upgrade(potential, tmp_path):
    path = tmp_path / "a.safetensors"
    potential.save(path)
    rewritten(path, format=99, version="9.9")
    with pytest.raises(WeightsError, match=r"by tpainn_lite 9.9 in format 99; this version reads up to 2: upgrade"):
        Potential.load(path)


def test_weights_that_do_not_fit_the_network_are_an_error(potential, tmp_path):
    path = tmp_path / "a.safetensors"
    potential.save(path)
    network = {"n_features": 8, "n_interactions": 2, "n_rbf": 8, "cutoff": 5.0}
    rewritten(path, painn=network)
    with pytest.raises(WeightsError, match="do not fit the network the file describes"):
        Potential.load(path)


def test_a_file_without_some_of_the_weights_is_an_error(potential, tmp_path):
    path = tmp_path / "a.safetensors"
    for missing in ("painn.embedding.weight", "painn.readout.0.bias", "scale"):
        potential.save(path)
        rewritten(path, tensors=lambda content, missing=missing: {k: v for k, v in content.items() if k != missing})
        with pytest.raises(WeightsError, match="do not fit the network the file describes"):
            Potential.load(path)


@pytest.mark.parametrize("name", ["painn.readout.0.bias", "scale", "painn.embedding.weight"])
def test_weights_that_are_no_numbers_are_an_error(potential, tmp_path, name):
    path = tmp_path / "a.safetensors"
    potential.save(path)
    rewritten(path, tensors=lambda content: content | {name: torch.full_like(content[name], float("nan"))})
    with pytest.raises(WeightsError, match="is not a finite number"):
        Potential.load(path)


def test_a_header_that_promises_another_size_is_an_error_before_memory_is_taken(potential, tmp_path):
    path, network = tmp_path / "a.safetensors", {"n_features": 16, "n_interactions": 2, "n_rbf": 8, "cutoff": 5.0}
    for change in ({"n_features": 10**9}, {"n_rbf": 10**9}, {"n_interactions": 10**6}, {"cutoff": "far"}, {"more": 1}):
        potential.save(path)
        rewritten(path, painn={**network, **change})
        with pytest.raises(WeightsError, match="do not fit the network the file describes"):
            Potential.load(path)
    for change in ({"format": "one"}, {"metadata": []}, {"painn": None}):
        potential.save(path)
        rewritten(path, **change)
        with pytest.raises(WeightsError, match="is damaged"):
            Potential.load(path)
    with pytest.raises(WeightsError, match="is no file"):
        Potential.load(tmp_path)


# --- reference energies ---


def frame(formula, energy):
    atoms = Atoms(formula)
    atoms.positions[:, 0] = np.arange(len(atoms))
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def test_fit_atomref_recovers_exact_reference_energies():
    true = {1: -13.5, 6: -1030.25, 8: -2040.125}
    frames = [frame(f, 0.0) for f in ("CH4", "H2O", "CO2", "C2H6O")]
    for atoms in frames:
        atoms.calc.results["energy"] = sum(true[z] for z in atoms.numbers)
    assert fit_atomref(frames) == pytest.approx(true, rel=1e-12)


def test_fit_atomref_fits_what_the_prediction_leaves_over():
    frames = [frame("H2", 3.0), frame("H4", 7.0)]
    assert fit_atomref(frames, predicted=np.array([1.0, 3.0])) == pytest.approx({1: 1.0})


def test_pure_water_gets_one_constant_only():
    frames = [frame("H2O", -10.0), frame("OH2", -10.0), frame("H4O2", -20.0)]
    atomref = fit_atomref(frames)
    assert 2 * atomref[1] + atomref[8] == pytest.approx(-10.0)
    assert atomref[1] == pytest.approx(2 * atomref[8])  # the shortest solution is along the composition (2, 1)


def test_nearly_pure_water_does_not_fit_noise():
    rng = np.random.default_rng(0)
    frames = [frame("H2O", -2079.0 + rng.normal(scale=0.1)) for _ in range(20)]
    assert max(abs(e) for e in fit_atomref(frames).values()) < 2079.0


def test_fit_atomref_needs_energies():
    with pytest.raises(DatasetError, match="has no energy; label it first"):
        fit_atomref([Atoms("H")])
    with pytest.raises(DatasetError, match="the list of frames is empty"):
        fit_atomref([])


def test_predicting_many_frames_gives_what_one_at_a_time_gives(monkeypatch, labelled):
    potential, frames = lively_potential(torch.float32), labelled[:12]
    energies, forces = potential.predict(frames)
    monkeypatch.setattr(evaluator_module, "WORTH_COMPILING", 2000)
    fast_energies, fast_forces = potential.predict(frames, batch_size=5)
    np.testing.assert_allclose(fast_energies, energies, atol=1e-4)
    for fast, slow in zip(fast_forces, forces, strict=True):
        np.testing.assert_allclose(fast, slow, atol=3e-5 * max(np.abs(f).max() for f in forces))


def test_predictions_are_cut_by_pairs_so_that_boxes_do_not_fill_the_memory(monkeypatch, labelled):
    potential, frames = lively_potential(), labelled[:12]
    energies, forces = potential.predict(frames)
    sizes, together = [], evaluator_module.together
    pairs = [graph.num_edges for graph in to_graphs(frames, potential.cutoff)]
    monkeypatch.setattr(evaluator_module, "BATCH_PAIRS", 2 * max(pairs))
    counted = lambda chunk, **how: sizes.append(len(chunk)) or together(chunk, **how)  # noqa: E731
    monkeypatch.setattr(evaluator_module, "together", counted)
    again, forces_again = potential.predict(frames)
    assert sum(sizes) == 12 and 2 <= max(sizes) < 12
    np.testing.assert_allclose(again, energies, atol=1e-9)
    np.testing.assert_allclose(np.concatenate(forces_again), np.concatenate(forces), atol=1e-9)
    monkeypatch.setattr(evaluator_module, "BATCH_PAIRS", 1)  # less than any structure has: one at a time
    np.testing.assert_allclose(potential.predict(frames)[0], energies, atol=1e-9)


def test_one_frame_that_is_hundreds_of_ev_off_does_not_spoil_the_references(labelled):
    frames = labelled[::3]
    clean = fit_atomref(frames)
    predicted = np.zeros(len(frames))
    predicted[4] = -500.0
    spoilt = fit_atomref(frames, predicted)
    assert max(abs(spoilt[z] - clean[z]) for z in clean) < 0.3
