"""The method: both stages do what they say, and leave alone what they should."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from conftest import SMALL

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.errors import errors
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import load_pretrained
from tpainn_lite.model.references import rereference, with_elements
from tpainn_lite.reading.shipped import load_molecules
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.train.data import TrainingData
from tpainn_lite.train.settings import Settings
from tpainn_lite.train.transfer import autotune, delta_learn, layer_rates, new_potential, pretrain, train_from_scratch

QUICK = {"steps": 10, "check_every": 10, "batch_size": 5, "progress": False}


def relabelled(frames, shift, stretch=1.0):
    """The same structures on another energy scale: shift {atomic number: eV} per atom, forces stretched."""
    result = []
    for atoms in frames:
        copy = atoms.copy()
        energy = stretch * atoms.get_potential_energy() + sum(shift[z] for z in atoms.numbers.tolist())
        copy.calc = SinglePointCalculator(copy, energy=energy, forces=stretch * atoms.get_forces())
        copy.info["level"] = "other"
        result.append(copy)
    return result


DFT_LIKE = {1: -13.6, 6: -1036.2, 7: -1485.3, 8: -2043.8, 9: -2713.1}


@pytest.fixture(scope="module")
def pretrained(labelled):
    return pretrain(labelled[:20], **SMALL, **QUICK)


def state(potential):
    return {name: tensor.clone() for name, tensor in potential.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)


def test_same_seed_same_start_other_seed_other_start(labelled):
    first, again, other = (state(new_potential(labelled, **SMALL, seed=seed)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_new_potentials_leave_the_random_numbers_of_others_alone(labelled):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    new_potential(labelled, **SMALL)
    assert torch.equal(torch.rand(3), expected)


def test_a_new_potential_takes_its_energies_and_scale_from_the_frames(labelled):
    frames = relabelled(labelled, DFT_LIKE)
    potential = new_potential(frames, **SMALL)
    assert potential.elements == ["H", "C", "N", "O", "F"]
    forces = np.concatenate([atoms.get_forces() for atoms in frames])
    assert potential.scale.item() == pytest.approx(np.sqrt(np.mean(forces**2)))
    assert errors(potential, frames)["energy_mae"] < 2000  # not the 10⁶ of the total energies


def test_pretraining_says_how_it_was_done(pretrained):
    labelled = {"labelled": ["C", "H", "O"]}
    assert pretrained.metadata == {"stage": "pretrain", "level": "MMFF94", "n_train": 20, "seed": 0} | labelled
    assert not pretrained.training


def test_autotune_leaves_its_input_untouched(pretrained, labelled):
    before, metadata = state(pretrained), deepcopy(pretrained.metadata)
    tuned = autotune(pretrained, relabelled(labelled[:5], DFT_LIKE), **QUICK)
    assert same(state(pretrained), before)
    assert pretrained.metadata == metadata
    assert not same(state(tuned), before)
    assert tuned.metadata["stage"] == "autotune"
    assert tuned.metadata["level"] == "other"


def test_frames_that_are_replayed_are_not_forgotten(pretrained, labelled):
    classical, methane = labelled[:10] + labelled[20:30], relabelled(labelled[10:20], DFT_LIKE, stretch=1.5)
    settings = {**QUICK, "steps": 80, "learning_rate": 5e-3, "seed": 0}
    forgetful = autotune(pretrained, methane, **settings)
    mindful = autotune(pretrained, methane, replay=classical, replay_size=10, **settings)
    before, lost, kept = (errors(p, classical)["force_mae"] for p in (pretrained, forgetful, mindful))
    assert lost > 1.2 * before
    assert kept - before < 0.5 * (lost - before)
    assert errors(mindful, methane)["force_mae"] < errors(pretrained, methane)["force_mae"]


def test_replayed_frames_without_labels_are_an_error_that_names_them(pretrained, labelled):
    with pytest.raises(DatasetError, match=r"replay: frame 1 \(.*\) has no energy"):
        autotune(pretrained, labelled[10:20], replay=[labelled[0], labelled[1].copy()], **QUICK)


def test_replayed_frames_may_come_one_by_one_and_be_as_many_as_one_says(pretrained, labelled):
    frames = labelled[10:20]
    once = autotune(pretrained, frames, replay=iter(labelled[:10]), replay_size=3, **QUICK)
    listed = autotune(pretrained, frames, replay=labelled[:10], replay_size=3, **QUICK)
    never = autotune(pretrained, frames, replay=labelled[:10], replay_size=0, **QUICK)
    plain = autotune(pretrained, frames, **QUICK)
    assert same(state(once), state(listed)) and same(state(never), state(plain))
    assert not same(state(once), state(plain))


def test_energies_of_replayed_frames_move_with_the_references(pretrained, labelled):
    tuned = deepcopy(pretrained)
    tuned.set_atomref(DFT_LIKE)
    known = labelled[:30]
    data = TrainingData(known, None, known, Settings(steps=1), pretrained.cutoff)
    data.subtract_references(tuned, of_replayed=pretrained)
    target = data.graphs.whole.target
    gap = target[len(known) :] - target[: len(known)]
    ours, theirs = (p.predict(known)[0] for p in (pretrained, tuned))
    np.testing.assert_allclose(gap, theirs - ours, rtol=1e-5)
    torch.testing.assert_close(data.graphs[len(known) + 3].forces, data.graphs[3].forces)
    assert data.graphs.whole.number.tolist() == [*range(len(known)), *[-1] * len(known)]


def test_autotune_keeps_scale_cutoff_and_elements(pretrained, labelled):
    tuned = autotune(pretrained, relabelled(labelled[:5], DFT_LIKE), **QUICK)
    assert torch.equal(tuned.scale, pretrained.scale)
    assert (tuned.cutoff, tuned.elements) == (pretrained.cutoff, pretrained.elements)


def test_autotune_starts_from_the_pretrained_weights_and_scratch_does_not(pretrained, labelled):
    frames = labelled[:5]
    gentle = {**QUICK, "steps": 1, "learning_rate": 1e-9}
    assert torch.allclose(_weights(autotune(pretrained, frames, **gentle)), _weights(pretrained), atol=1e-6)
    scratch = train_from_scratch(frames, **SMALL, **gentle, seed=1)
    assert torch.allclose(_weights(scratch), _weights(new_potential(frames, **SMALL, seed=1)), atol=1e-6)


def test_rereference_takes_out_any_shift_per_element_exactly(pretrained, labelled):
    """A change of the energy zero costs nothing: the potential then predicts as well as before."""
    frames, potential = labelled[:20], deepcopy(pretrained)
    rereference(potential, frames)
    before = errors(potential, frames)
    shifted = relabelled(frames, DFT_LIKE)
    rereference(potential, shifted)
    after = errors(potential, shifted)
    assert after["energy_mae"] == pytest.approx(before["energy_mae"], rel=1e-3)
    assert after["force_mae"] == before["force_mae"]


def test_errors_take_a_model_that_answers_with_lists(pretrained, labelled):
    class Lists:
        def predict(self, frames):
            energies, forces = pretrained.predict(frames)
            return energies.tolist(), [force.tolist() for force in forces]

    assert errors(Lists(), labelled[:3]) == pytest.approx(errors(pretrained, labelled[:3]))


def test_rereference_leaves_no_mean_error_and_keeps_elements_without_label(pretrained, labelled):
    potential = deepcopy(pretrained)
    carbon = potential.atomref[6].item()
    water = relabelled(labelled[:10], DFT_LIKE)
    with pytest.raises(ValueError, match="contain O, which the pretrained potential has never seen: "):
        rereference(deepcopy(_methane_only(labelled)), water)
    rereference(potential, water)
    energies, _ = potential.predict(water)
    left = energies - [a.get_potential_energy() for a in water]
    limit = 1.345 * np.median(np.abs(left)) / 0.6745  # outliers count as if they were there (Huber)
    assert np.mean(np.clip(left, -limit, limit)) == pytest.approx(0, abs=1e-4)
    assert potential.atomref[6].item() == carbon


def test_water_alone_moves_hydrogen_and_oxygen_along_its_composition_only(pretrained, labelled):
    """Two H for each O, always: their reference energies cannot be told apart, and nobody pretends to."""
    one, other = deepcopy(pretrained), deepcopy(pretrained)
    water = relabelled(labelled[:10], DFT_LIKE)
    noise = relabelled(labelled[:10], {1: -13.6 + 0.5, 8: -2043.8 - 1.0})  # the same energy for H2O
    rereference(one, water)
    rereference(other, noise)
    np.testing.assert_allclose(one.atomref.nan_to_num(), other.atomref.nan_to_num(), atol=1e-6)


def test_all_stages_want_labels(pretrained, ethanol):
    for stage in (pretrain, train_from_scratch, lambda frames: autotune(pretrained, frames)):
        with pytest.raises(DatasetError, match=r"frame 0 \(C2H6O\) has no energy; label it first"):
            stage([ethanol])
        with pytest.raises(DatasetError, match="the list of frames is empty"):
            stage([])


def test_an_unknown_setting_is_an_error(labelled):
    with pytest.raises(TypeError, match="learning_rte"):
        pretrain(labelled, learning_rte=1e-3)


def test_autotune_cannot_change_the_network(pretrained, labelled):
    with pytest.raises(TypeError, match="n_features"):
        autotune(pretrained, labelled[:5], n_features=32)


def test_atoms_without_forces_give_a_scale_of_one():
    lone = Atoms("O")
    lone.calc = SinglePointCalculator(lone, energy=-5.0, forces=np.zeros((1, 3)))
    assert new_potential([lone], **SMALL).scale.item() == 1.0


def test_pretraining_then_tuning_beats_scratch_when_the_teacher_is_close(labelled):
    """The one story, small: a teacher of the same shape, and four labels on another scale."""
    methane = labelled[10:20]
    dear = relabelled(methane, DFT_LIKE, stretch=1.1)
    settings = {"steps": 150, "check_every": 150, "batch_size": 10, "progress": False, "learning_rate": 5e-3}
    teacher_taught = pretrain(labelled, **SMALL, **{**settings, "steps": 300})
    tuned = autotune(teacher_taught, dear[:2], **{**settings, "learning_rate": 1e-3})
    scratch = train_from_scratch(dear[:2], **SMALL, **settings)
    assert errors(tuned, dear[2:])["force_mae"] < 0.7 * errors(scratch, dear[2:])["force_mae"]


def _weights(potential):
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


def _methane_only(labelled):
    return new_potential(labelled[10:20], **SMALL)


# --- which weights learn, and how fast ---


def test_frozen_parts_stay_and_the_table_says_so(pretrained, labelled, capsys):
    tuned = autotune(pretrained, labelled[:10], freeze=("embedding", "interactions"), **QUICK)
    before, after = dict(pretrained.painn.named_parameters()), dict(tuned.painn.named_parameters())
    for name in before:
        frozen = name.startswith(("embedding", "interactions"))
        assert torch.equal(before[name], after[name]) == frozen, name
    said = capsys.readouterr().out
    assert "embedding" in said and "× 0" in said and "readout" in said


def test_a_part_may_be_named_alone_and_a_wrong_name_is_an_error_before_anything_is_said(pretrained, labelled, capsys):
    tuned = autotune(pretrained, labelled[:10], freeze="interactions", **QUICK)
    assert torch.equal(tuned.painn.interactions[0].W.weight, pretrained.painn.interactions[0].W.weight)
    capsys.readouterr()
    with pytest.raises(ValueError, match="'layers' is no part of the network; there are"):
        autotune(pretrained, labelled[:10], freeze="layers", **QUICK)
    assert not capsys.readouterr().out


def test_layers_far_from_the_readout_learn_more_slowly(pretrained):
    rates = layer_rates(pretrained, 0.5)
    assert rates == {
        "embedding": 0.125, "interactions.0": 0.25, "mixings.0": 0.25, "interactions.1": 0.5, "mixings.1": 0.5,
        "readout": 1.0,
    }  # fmt: skip
    assert layer_rates(pretrained, 1.0) == {}
    with pytest.raises(ValueError, match="layer_decay is 0"):
        layer_rates(pretrained, 0)


# --- energies alone, and references ---


def without_forces(frames):
    bare = [atoms.copy() for atoms in frames]
    for copy, atoms in zip(bare, frames, strict=True):
        copy.calc = SinglePointCalculator(copy, energy=atoms.get_potential_energy())
    return bare


def test_energies_alone_can_tune_and_train(pretrained, labelled):
    bare = without_forces(labelled[:20])
    tuned = autotune(pretrained, bare, force_weight=0, **QUICK)
    scratch = train_from_scratch(bare, force_weight=0, **SMALL, **QUICK)
    assert np.isfinite(tuned.predict(bare)[0]).all()
    assert 0.01 < scratch.scale.item() < 100


def test_naive_references_are_as_naive_as_they_should_be(labelled):
    shifted = relabelled(labelled, DFT_LIKE)
    mean = new_potential(shifted, **SMALL, references="mean").atomref
    nothing = new_potential(shifted, **SMALL, references="none").atomref
    per_atom = sum(a.get_potential_energy() for a in shifted) / sum(map(len, shifted))
    assert mean[[1, 6, 8]].tolist() == pytest.approx([per_atom] * 3)
    assert nothing[[1, 6, 8]].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="references 'naive' is not one of"):
        new_potential(labelled, references="naive")


def test_where_the_composition_never_changes_one_energy_is_fitted_and_said(pretrained, labelled, capsys):
    water = [atoms for atoms in labelled if atoms.info["smiles"] == "O"]
    rereference(deepcopy(pretrained), water)
    assert "all frames have H and O in the same proportion: one energy per molecule" in capsys.readouterr().out


# --- charges ---


def ions(labelled, a=8.0, b=2.0):
    """Frames as if they were of ions, of the charges −1, 0 and 1 in turn, whose energies say so."""
    frames = relabelled(labelled[:30], DFT_LIKE)
    for k, atoms in enumerate(frames):
        charge = k % 3 - 1
        del atoms.info["smiles"]
        atoms.info["charge"] = charge
        atoms.calc.results["energy"] += a * charge + b * charge**2
    return frames


def test_what_a_charge_counts_is_fitted_saved_and_predicted(pretrained, labelled, tmp_path, capsys):
    frames = ions(labelled)
    tuned = autotune(pretrained, frames, **QUICK)
    assert "the charges are -1, 0, +1: an energy a·q + b·q² is fitted to them, too" in capsys.readouterr().out
    assert tuned.of_charge.tolist() == pytest.approx([8.0, 2.0], abs=0.3)
    plain = relabelled(labelled[:30], DFT_LIKE)
    neutral = autotune(pretrained, plain, **QUICK)
    assert not neutral.of_charge.any()
    assert errors(tuned, frames)["energy_mae"] < 1.5 * errors(neutral, plain)["energy_mae"]
    tuned.save(tmp_path / "ions.safetensors")
    again, cation = Potential.load(tmp_path / "ions.safetensors"), frames[2].copy()
    assert again.predict([cation])[0] == tuned.predict([cation])[0]
    cation.calc = PotentialCalculator(again)
    assert cation.get_potential_energy() == pytest.approx(tuned.predict([cation])[0].item(), abs=1e-6)
    charged = cation.get_potential_energy()
    cation.info["charge"] = 0
    cation.calc.reset()
    assert charged - cation.get_potential_energy() == pytest.approx(tuned.of_charge.sum().item(), abs=1e-6)


def test_a_new_network_learns_ions_too_and_one_charge_alone_is_no_charge(labelled):
    fresh = new_potential(ions(labelled), **SMALL)
    assert fresh.of_charge.tolist() == pytest.approx([8.0, 2.0], abs=0.5)
    anions = ions(labelled)[::3]
    assert not new_potential(anions, **SMALL).of_charge.any()


def test_a_charge_that_is_no_whole_number_is_an_error(pretrained, labelled):
    frames = ions(labelled)
    frames[1].info["charge"] = 0.3
    with pytest.raises(ValueError, match=r'info\["charge"\] = 0.3; a whole number is expected'):
        autotune(pretrained, frames, **QUICK)


# --- elements that nobody pretrained on ---


def test_a_new_element_begins_as_one_that_is_known(pretrained, labelled, capsys):
    frames = relabelled(labelled[:30], DFT_LIKE)
    for atoms in frames:
        atoms.numbers[atoms.numbers == 8] = 16
        del atoms.info["smiles"]
    with pytest.raises(ValueError, match=r"contain S, which .* never seen.*new_elements=\{'S': 'O'\}"):
        autotune(pretrained, frames, **QUICK)
    tuned = autotune(pretrained, frames, new_elements={"S": "O"}, **QUICK)
    assert "S (as O) in " in capsys.readouterr().out
    assert "S" in tuned.elements and "S" not in pretrained.elements
    grown = with_elements(pretrained, {"S": "O"})
    swapped = next(atoms for atoms in labelled if 8 in atoms.numbers)
    twin = swapped.copy()
    twin.numbers[twin.numbers == 8] = 16
    np.testing.assert_allclose(grown.predict([twin])[1][0], pretrained.predict([swapped])[1][0], atol=1e-6)


@pytest.mark.parametrize("new", [{"S": "Cl"}, {"H": "C"}, {"Xx": "C"}, {"S": 8}, ["S"]])
def test_a_new_element_that_makes_no_sense_is_an_error(pretrained, new):
    with pytest.raises((ValueError, TypeError), match="expected"):
        with_elements(pretrained, new)


# --- Δ-learning ---


def test_delta_learning_from_a_pretrained_start_begins_as_the_teacher(pretrained, labelled):
    teacher, frames = mmff94(), relabelled(labelled[:30], DFT_LIKE, stretch=1.2)
    untouched = delta_learn(frames, teacher, start=pretrained, learning_rate=1e-12, **QUICK)
    for forces, atoms in zip(untouched.predict(frames[:3])[1], frames, strict=False):
        np.testing.assert_allclose(forces, teacher.get_forces(atoms.copy()), atol=1e-4)
    learnt = delta_learn(frames, teacher, start=pretrained, **QUICK)
    assert learnt.difference.metadata["stage"] == "delta"
    assert errors(learnt, frames)["force_mae"] < errors(untouched, frames)["force_mae"]
    embedding = learnt.difference.painn.embedding.weight
    assert 0 < (embedding - pretrained.painn.embedding.weight).abs().max() < 0.2, "its features are the start's"


def test_delta_learning_is_the_force_field_plus_what_was_learnt(labelled):
    teacher, frames = mmff94(), relabelled(labelled, DFT_LIKE, stretch=1.2)
    model, others = delta_learn(frames[::2], teacher, **SMALL, **QUICK), frames[1::2]
    energies, forces = model.predict(others[:4])
    atoms = others[0].copy()
    atoms.calc = model.calculator()
    assert atoms.get_potential_energy() == pytest.approx(energies[0], abs=1e-3)
    np.testing.assert_allclose(atoms.get_forces(), forces[0], atol=1e-4)
    difference = model.difference.predict(others[:1])[1][0]
    np.testing.assert_allclose(forces[0] - difference, teacher.get_forces(others[0].copy()), atol=1e-6)
    assert errors(model, others)["force_mae"] < 1.5 * errors(teacher, others)["force_mae"]


def test_delta_learning_takes_energies_alone(labelled):
    whole = relabelled(labelled[::2], DFT_LIKE, stretch=1.01)
    frames = [atoms.copy() for atoms in whole]
    for copy, atoms in zip(frames, whole, strict=True):
        copy.calc = SinglePointCalculator(copy, energy=atoms.get_potential_energy())
    model = delta_learn(frames, mmff94(), force_weight=0.0, **SMALL, **QUICK)
    assert errors(model, frames)["energy_mae"] < 5  # meV/atom: the constant between both is learnt


def test_delta_learning_leaves_out_what_the_force_field_cannot_label_and_says_so(labelled, capsys):
    frames = [atoms.copy() for atoms in labelled[:12]]
    for copy, atoms in zip(frames, labelled, strict=False):
        copy.calc = atoms.calc
    frames[3].info["smiles"] = "[H][H]"
    model = delta_learn(frames, mmff94(), **SMALL, **QUICK)
    assert "1 of 12 frames skipped" in capsys.readouterr().err
    with pytest.raises(ValueError, match="could label only 1 of 2 frames"):
        model.predict(frames[2:4])


def test_more_frames_get_more_steps_within_bounds(monkeypatch, pretrained, labelled):
    taken = []
    monkeypatch.setattr("tpainn_lite.train.transfer.train_on", lambda data, *_: taken.append(data.settings.steps))
    for n, tuned, scratch in ((5, 200, 1000), (100, 400, 1000), (200, 800, 2000), (2000, 3000, 5000)):
        frames = [labelled[k % 20] for k in range(n)]
        autotune(pretrained, frames)
        train_from_scratch(frames)
        autotune(pretrained, frames, steps=7)
        assert taken[-3:] == [tuned, scratch, 7]


def test_gradients_are_refused_before_anything_is_trained():
    frames = [atoms.copy() for atoms in load_molecules("train")[::50]]
    for atoms, labelled in zip(frames, load_molecules("train")[::50], strict=True):
        energy, forces = labelled.get_potential_energy(), labelled.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=-forces)
    with pytest.raises(ValueError, match="gradients, it seems, are given"):
        autotune(load_pretrained("gas"), frames, steps=2, progress=False)
