"""A potential of one's own: every step leaves a file, and labels may come from elsewhere."""

import json
import shutil

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import load_pretrained, usual_start
from tpainn_lite.project import run as project
from tpainn_lite.project.run import LabelsWanted, choose, matched, run_project
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.checks import label_of
from tpainn_lite.structures.files import locked
from tpainn_lite.structures.identity import IdentityError, fingerprint
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.sample import shaken_molecules
from tpainn_lite.train.transfer import new_potential

SMALL = {"n_labels": 6, "n_test": 4, "n_general": 10, "n_steps": 10, "progress": False}


@pytest.fixture
def short_training(monkeypatch):
    """A few steps instead of hundreds; counts how many potentials are autotuned."""
    counted, autotune = [], project.autotune

    def few_steps(*arguments, **settings):
        counted.append(settings["seed"])
        return autotune(*arguments, **settings, steps=20)

    monkeypatch.setattr(project, "autotune", few_steps)
    return counted


def structures():
    return shaken_molecules(["CCO"], 20, 600, seed=0)


def test_a_project_ends_with_errors_before_and_after_and_a_trajectory(short_training, tmp_path):
    report = run_project(structures(), tmp_path, mmff94(), **SMALL)
    assert report["labels"] == 6 and report["tested on"] == 4
    assert report["after"]["energy_mae"] < report["before"]["energy_mae"]
    assert report["md"]["fs"] > 0 and (tmp_path / "md.traj").exists()
    assert json.loads((tmp_path / "report.json").read_text()) == report
    parts = [atoms.info["part"] for atoms in read_frames(tmp_path / "to_label.extxyz", need=())]
    assert parts == ["train"] * 6 + ["test"] * 4
    assert len(short_training) == 6
    again = run_project(structures(), tmp_path, mmff94(), **SMALL)
    assert len(short_training) == 6 and again == report  # nothing was done again


def test_without_a_calculator_the_frames_to_label_are_left_and_labels_from_elsewhere_taken(short_training, tmp_path):
    with pytest.raises(LabelsWanted, match=r"10 frames to label are in .*to_label\.extxyz"):
        run_project(structures(), tmp_path, **SMALL)
    elsewhere = label(read_frames(tmp_path / "to_label.extxyz", need=()), mmff94(), progress=False)
    for atoms in elsewhere:
        del atoms.info["id"], atoms.info["part"]
    write_frames(tmp_path / "mine.extxyz", elsewhere[::-1])
    report = run_project(structures(), tmp_path, labels=tmp_path / "mine.extxyz", **SMALL)
    assert report["labels"] == 6
    assert len(short_training) == 6


def test_labels_of_other_frames_are_an_error_that_names_what_is_missing():
    chosen = list(structures())[:3]
    for number, atoms in enumerate(chosen):
        atoms.info["id"] = f"train/{number}"
    with pytest.raises(DatasetError, match="not these of to_label.extxyz: train/1, train/2"):
        matched(chosen, label(chosen[:1], mmff94(), progress=False), "mine.extxyz")


def test_shipped_labels_are_kept_beside_those_of_their_own_level_alone():
    (frame,) = project.draw(project.load_molecules("train"), 1)
    assert len(project._of_the_same_level(load_pretrained("gas"), [frame], 5, seed=0)) == 5
    assert project._of_the_same_level(load_pretrained("gas"), label([frame], mmff94(), progress=False), 5, seed=0) == []


def test_what_is_tested_on_is_not_trained_on():
    frames = choose(list(structures()), 8, 5)
    places = {np.round(atoms.positions, 6).tobytes() for atoms in frames}
    assert len(places) == 13
    with pytest.raises(ValueError, match="of 20 structures"):
        project.sound(structures(), "gas_xtb", 23)


def test_an_unknown_element_is_an_error_that_says_what_to_do(tmp_path):
    selenol = molecule("CS")
    selenol.numbers[selenol.numbers == 16] = 34
    with pytest.raises(ValueError, match="gas_wide_xtb' know .*, not Se: pretrain on classical labels"):
        run_project([selenol], tmp_path, mmff94(), **SMALL)


@pytest.mark.parametrize(
    ("smiles", "start"),
    [("CCO", "gas_xtb"), ("CCS", "gas_wide_xtb"), ("C[NH3+]", "gas_wide_xtb"), ("CCCCCCCCCC", "gas_wide_xtb")],
)
def test_the_weights_to_start_from_fit_the_structures(smiles, start):
    assert usual_start([molecule("C"), molecule(smiles)]) == start


def test_the_command_does_the_same(short_training, tmp_path):
    (tmp_path / "my.smi").write_text("CCO\n")
    options = ["--with", "mmff94", "--n-labels", "6", "--n-test", "4", "--frames", "20", "--steps", "10", "--jobs", "1"]
    result = CliRunner().invoke(app, ["run", str(tmp_path / "my.smi"), *options])
    assert result.exit_code == 0, result.output
    assert "after your labels" in result.output and (tmp_path / "my" / "report.json").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a project that has come to its end."""
    folder, autotune = tmp_path_factory.mktemp("project") / "p", project.autotune
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "autotune", lambda *a, **settings: autotune(*a, **settings, steps=5))
        run_project(structures(), folder, mmff94(), **SMALL)
    return folder


@pytest.fixture
def another(finished, tmp_path, short_training):
    """A copy of it; nothing may be trained, nor any file changed, by a call that is refused."""
    folder = tmp_path / "p"
    shutil.copytree(finished, folder)
    return folder


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


CHANGED = {
    "other molecules": (lambda: shaken_molecules(["CCN"], 20, 600, seed=0), {}, r"structure.* C2H6O\).*C2H7N\)"),
    "more structures": (lambda: [*structures(), molecule("CCO")], {}, "holds 20 structures; given are 21"),
    "moved atoms": (lambda: [a for a in structures() if a.rattle(0.01) is None], {}, "holds 20 structures .number 0"),
    "n_labels": (structures, {"n_labels": 7}, "was made with n labels: 6; asked for is n labels: 7"),
    "n_test": (structures, {"n_test": 3}, "n test: 4.* n test: 3"),
    "n_general": (structures, {"n_general": 11}, "n general: 10.* n general: 11"),
    "seed": (structures, {"seed": 1}, "seed: 0.* seed: 1"),
    "start": (structures, {"start": "gas"}, "start: gas_xtb .* start: gas "),
    "n_steps": (structures, {"n_steps": 20}, r"md\.traj, .*n steps: 10; asked for is n steps: 20.*remove md\.traj"),
    "temperature": (structures, {"temperature": 310}, "temperature: 300; asked for is temperature: 310"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_folder_of_another_project_is_refused_before_anything_is_trained(another, short_training, what):
    make, changed, said = CHANGED[what]
    before = files_of(another)
    with pytest.raises(IdentityError, match=said):
        run_project(make(), another, mmff94(), **SMALL | changed)
    assert files_of(another) == before and not short_training


def test_another_labeller_or_one_with_other_constants_is_noticed(another, short_training):
    with pytest.raises(IdentityError, match=r"labels\.jsonl in .*labeller: MMFF94.*asked for is labeller: Lennard"):
        run_project(structures(), another, LennardJones(), **SMALL)
    assert not short_training


def test_committees_of_other_labels_are_never_taken_up(another, short_training):
    chosen = read_frames(another / "to_label.extxyz", need=())
    for atoms in (others := label(chosen, mmff94(), progress=False)):
        atoms.calc.results["energy"] += 1.0
    write_frames(another / "mine.extxyz", others)
    with pytest.raises(IdentityError, match=r"own-\*\.safetensors in .* was made with labels: 6 frames"):
        run_project(structures(), another, labels=another / "mine.extxyz", **SMALL)
    assert not short_training
    for path in [*another.glob("own-*"), *another.glob("md.*")]:
        path.unlink()
    assert run_project(structures(), another, labels=another / "mine.extxyz", **SMALL)["labels"] == 6
    assert short_training == [0, 1, 2]


def test_a_step_is_repeated_with_other_settings_when_its_files_are_removed(another, short_training):
    kept = (another / "labels.jsonl").read_bytes()
    for path in another.glob("md.*"):
        path.unlink()
    report = run_project(structures(), another, mmff94(), **SMALL | {"n_steps": 20})
    assert report["md"]["fs"] == 10.0 and not short_training and (another / "labels.jsonl").read_bytes() == kept


@pytest.mark.parametrize("name", ["structures.extxyz", "report.json", "own-0.safetensors"])
def test_a_folder_without_a_record_is_left_alone(tmp_path, short_training, name):
    (tmp_path / name).write_text("somebody's")
    with pytest.raises(IdentityError, match=f"holds {name} and no record"):
        run_project(structures(), tmp_path, mmff94(), **SMALL)
    assert files_of(tmp_path) == {name: b"somebody's"}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"name": "web"}', '{"record": "tpainn_lite project", "steps": {"own": 5}}']
)
def test_a_record_that_is_none_is_said_to_be_none(tmp_path, text):
    (tmp_path / "project.json").write_text(text)
    with pytest.raises(ValueError, match="is no record of a project, or damaged"):
        run_project(structures(), tmp_path, mmff94(), **SMALL)


def test_every_option_is_looked_at_before_anything_is_made(tmp_path, short_training):
    wrong = {
        "n_labels": (0, -1, 2.5, "many"), "n_test": (0, -1), "n_general": (-1, None), "n_steps": (0, -10, 15),
        "temperature": (0, -1, float("nan"), "hot"), "seed": (-1, 0.5), "n_jobs": (0, 1.5), "start": ("soup", 5),
        "labels": (tmp_path / "none.extxyz",),
    }  # fmt: skip
    for name, values in wrong.items():
        for value in values:
            with pytest.raises((ValueError, OSError), match=r"expected|is not one of|would be"):
                run_project(structures(), tmp_path / "p", mmff94(), **SMALL | {name: value})
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        run_project(structures(), tmp_path / "file", mmff94(), **SMALL)
    broken = molecule("CCO")
    broken.positions[1] = broken.positions[0]
    with pytest.raises(ValueError, match="structure 20: atoms"):
        run_project([*structures(), broken], tmp_path / "p", mmff94(), **SMALL)
    assert not (tmp_path / "p").exists() and not short_training


def test_two_at_once_do_not_share_a_folder(tmp_path):
    with locked(tmp_path / "project.json"), pytest.raises(OSError, match="by another process"):
        run_project(structures(), tmp_path, mmff94(), **SMALL)


def test_labels_that_a_teacher_cannot_make_are_missed_in_a_sentence():
    with pytest.raises(ValueError, match="none of the frames to test on has a label"):
        project._part([], "test")


# --- labels made elsewhere ---


def chosen_and_labelled(n=4):
    chosen = list(structures())[:n]
    for number, atoms in enumerate(chosen):
        atoms.info["id"] = f"train/{number}"
    return chosen, label(chosen, mmff94(), progress=False)


@pytest.mark.parametrize("decimals", [3, 4, 5, 6])
@pytest.mark.parametrize("offset", [0.0, 0.0005, 0.00049999])
def test_labels_find_their_frames_whatever_decimals_they_come_with(decimals, offset):
    chosen, labelled = chosen_and_labelled()
    for atoms in chosen:
        atoms.positions = np.round(atoms.positions, 3) + offset  # just where a rounded key would fall apart
    for atoms in labelled:
        del atoms.info["id"]
        atoms.positions = np.round(np.round(atoms.positions, 3) + offset, decimals)
    found = matched(chosen, labelled[::-1], "mine.extxyz")
    assert [label_of(a, "energy") for a in found] == [label_of(a, "energy") for a in labelled]
    assert [a.info["id"] for a in found] == [a.info["id"] for a in chosen]
    np.testing.assert_array_equal(found[0].positions, labelled[0].positions)


def test_atoms_that_another_program_put_back_into_the_box_are_the_same():
    chosen, labelled = chosen_and_labelled()
    for k, atoms in enumerate([*chosen, *labelled]):
        atoms.set_cell([9, 10, 11])
        atoms.pbc = True
        atoms.positions += [8.9, 0, 0]
        if k >= len(chosen):
            results = atoms.calc.results
            atoms.wrap()
            atoms.calc.results = results
            atoms.info.pop("id")
    assert len(matched(chosen, labelled, "mine.extxyz")) == 4
    labelled[0].set_cell([9, 10, 12])
    with pytest.raises(DatasetError, match="train/0; .* and box are expected"):
        matched(chosen, labelled, "mine.extxyz")


def test_a_frame_is_known_by_its_id_too_as_long_as_its_atoms_have_not_moved():
    chosen, labelled = chosen_and_labelled()
    for atoms in labelled:
        atoms.positions = np.round(atoms.positions, 2)
    assert len(matched(chosen, labelled, "mine.extxyz")) == 4
    labelled[2].positions += 0.3
    with pytest.raises(DatasetError, match="the atoms of train/2 have moved by 0.5"):
        matched(chosen, labelled, "mine.extxyz")


def test_a_frame_that_is_there_twice_is_an_error_if_its_labels_differ():
    chosen, labelled = chosen_and_labelled()
    again = label(chosen[:1], mmff94(), progress=False)[0]
    for atoms in (labelled[0], again):
        atoms.info.pop("id")
    assert len(matched(chosen, [*labelled, again], "mine.extxyz")) == 4
    again.calc.results["energy"] += 1.0
    with pytest.raises(DatasetError, match="2 frames that could be train/0, and their labels differ"):
        matched(chosen, [*labelled, again], "mine.extxyz")


def test_two_chosen_frames_that_are_the_same_get_an_info_each():
    chosen, labelled = chosen_and_labelled(1)
    twin = chosen[0].copy()
    twin.info["id"] = "test/0"
    assert [a.info["id"] for a in matched([chosen[0], twin], labelled, "mine.extxyz")] == ["train/0", "test/0"]


def test_labels_outlive_another_choice_of_frames(another, short_training, capsys):
    with pytest.raises(IdentityError, match=r"remove to_label\.extxyz, own-\*\.safetensors, md\.traj, md\.state\.npz$"):
        run_project(structures(), another, mmff94(), **SMALL | {"n_labels": 7})
    for path in [another / "to_label.extxyz", *another.glob("own-*"), *another.glob("md.*")]:
        path.unlink()
    lines = (another / "labels.jsonl").read_text()
    assert run_project(structures(), another, mmff94(), **SMALL | {"n_labels": 7})["labels"] == 7
    assert (another / "labels.jsonl").read_text().startswith(lines) and short_training == [0, 1, 2]


def test_a_molecule_may_come_back_in_a_box_that_wraps_it(tmp_path):
    chosen = [atoms.copy() for atoms in list(structures())[:2]]
    for number, atoms in enumerate(chosen):
        atoms.info["id"] = f"train/{number}"
    boxed = label(chosen, mmff94(), progress=False)
    for atoms in boxed:
        atoms.info = {}
        atoms.set_cell([15] * 3)
        atoms.pbc = True
        atoms.wrap()
    found = matched(chosen, boxed, "labels")
    np.testing.assert_allclose([a.positions for a in found], [a.positions for a in chosen], atol=1e-6)
    assert not any(atoms.pbc.any() for atoms in found)


def test_labels_from_elsewhere_in_other_units_are_refused_before_any_verdict(tmp_path, monkeypatch):
    def never(*arguments, **settings):
        raise AssertionError("nothing may be trained on them")

    frames = label(list(structures())[:8], mmff94(), progress=False)
    for atoms in frames:
        atoms.calc.results["forces"] = -atoms.calc.results["forces"]
    write_frames(tmp_path / "labels.extxyz", frames)
    write_frames(tmp_path / "a.extxyz", list(structures()))
    monkeypatch.setattr(project, "autotune", never)
    words = ["run", tmp_path / "a.extxyz", "--folder", tmp_path / "p", "--labels", tmp_path / "labels.extxyz"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 1 and "--units forces=-eV/Å converts them" in done.stderr
    assert "your labels" not in done.output and not (tmp_path / "p").exists()


def test_structures_in_bohr_are_refused_or_converted_before_a_project_begins(tmp_path, monkeypatch):
    frames = list(structures())
    for atoms in frames:
        atoms.positions /= 0.529177
    write_frames(tmp_path / "a.extxyz", frames)
    given = []

    def choose(chosen, *_, **__):
        given.extend(chosen)
        raise LabelsWanted("enough")

    monkeypatch.setattr(project, "run_project", choose)
    words = ["run", str(tmp_path / "a.extxyz"), "--folder", str(tmp_path / "p"), "--elsewhere"]
    assert "--units positions=Bohr converts them" in CliRunner().invoke(app, words).stderr and not given
    assert CliRunner().invoke(app, [*words, "--units", "positions=Bohr"]).exit_code == 2
    np.testing.assert_allclose(given[0].positions, next(iter(structures())).positions, atol=1e-5)


def test_a_project_may_start_from_weights_of_ones_own(short_training, tmp_path):
    own = new_potential(label(list(structures())[:5], mmff94(), progress=False), n_features=8, n_interactions=1)
    own.save(tmp_path / "own.safetensors")
    reports = [
        run_project(structures(), tmp_path / name, mmff94(), **SMALL, start=start)
        for name, start in (("object", own), ("file", tmp_path / "own.safetensors"))
    ]
    assert reports[0] == reports[1]
    assert Potential.load(tmp_path / "file" / "own-0.safetensors").painn.n_features == 8
    with pytest.raises(IdentityError, match="start"):
        run_project(structures(), tmp_path / "file", mmff94(), **SMALL, start="gas")


def test_without_shipped_labels_the_committee_is_the_start(short_training, tmp_path):
    run_project(structures(), tmp_path, mmff94(), **{**SMALL, "n_general": 0})
    general = [Potential.load(tmp_path / f"general-{k}.safetensors") for k in range(3)]
    assert len({fingerprint(potential) for potential in general}) == 1 and len(short_training) == 3
    assert len(read_frames(tmp_path / "to_label.extxyz", need=())) == 10
    own = {fingerprint(Potential.load(tmp_path / f"own-{k}.safetensors")) for k in range(3)}
    assert len(own) == 3
