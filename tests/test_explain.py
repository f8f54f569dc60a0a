"""Explanations in the page: their data are those of the library, and what cannot be shown is refused in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest

from tpainn_lite.page import explain
from tpainn_lite.page.shown import FOLDER, Shown
from tpainn_lite.reading.shipped import load_results

HOW = {"n_molecules": 64, "picoseconds": 20.0, "r": [2.5, 2.8, 3.5], "g": [0.0, 3.1, 0.9]}
ERRORS = {"force_mae": 9.0, "deform_mae": 7.0, "between_mae": 4.0, "diffusion": 2.3, "diffusion_error": 0.2}
EVERY = {"ruler": explain.ruler, "vectors": explain.vectors, "labelmap": explain.label_map, "knobs": explain.two_knobs}
MOST_LINES = 250  # of one explanation's script


@pytest.fixture(params=EVERY)
def shown(request):
    return EVERY[request.param]()


def task(scene, name):
    return next(t for t in scene["data"]["tasks"] if t["name"] == name)


def test_curves_are_means_and_deviations_of_the_measured_rows():
    study = load_results("learning_curve_qm9")["rows"]
    curves = task(explain.ruler().scene, "force / meV/Å, new molecules")["curves"]
    rows = [r for r in study if r["task"] == "molecule_forces" and r["subset"] == "test" and r["method"] == "delta"]
    found = [r["force_mae"] for r in rows if r["n_train"] == 50]
    point = next(p for p in curves["delta"] if p["n"] == 50)
    assert point["mean"] == pytest.approx(np.mean(found))
    assert point["deviation"] == pytest.approx(np.std(found, ddof=1))
    assert point["seeds"] == len(found) > 1


def test_what_needs_no_training_is_a_level_and_no_curve():
    found = task(explain.ruler().scene, "force / meV/Å, new molecules")
    assert found["levels"]["MMFF94 itself"] == pytest.approx(402.85, abs=0.01)
    assert not {"force_field", "gfn_ff", "two_force_fields", "gfn2_xtb", "composition"} & found["curves"].keys()


def test_two_baselines_give_the_two_factors_of_the_text():
    curves = task(explain.ruler().scene, "energy / meV, QM9")["curves"]
    with_100 = {name: next(p["mean"] for p in curve if p["n"] == 100) for name, curve in curves.items()}
    ours = with_100["tpainn_shipped"]
    assert with_100["scratch_mean"] / ours == pytest.approx(71, abs=1)
    assert with_100["scratch_atomref"] / ours == pytest.approx(1.1, abs=0.1)


def own_rows(**more):
    return [
        {"method": m, "n_train": n, "seed": s, "force_mae": (k + 1) * (100 + s) / n, **more}
        for k, m in enumerate(("mine", "plain")) for n in (10, 100) for s in (0, 1)
    ]  # fmt: skip


def test_rows_of_ones_own_are_measured_too():
    scene = explain.ruler(own_rows(), method="plain", baseline="mine").scene
    assert scene["data"]["start"]["method"] == "plain"
    assert [p["mean"] for p in scene["data"]["tasks"][0]["curves"]["mine"]] == [10.05, 1.005]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: explain.ruler([]), "rows is .*dicts with method"),
        (lambda: explain.ruler([{"method": "a"}]), "n_train, seed and errors"),
        (lambda: explain.ruler(own_rows()[:4]), "1 methods have errors|0 methods have errors"),
        (lambda: explain.ruler(own_rows(force_mae=float("nan"))), "force_mae"),
        (lambda: explain.ruler(method="mine"), "method is 'mine'; one of"),
        (lambda: explain.vectors(angle=20), "angle is 20; a number from 90 to 180"),
        (lambda: explain.vectors(cutoff="1"), "cutoff"),
        (lambda: explain.label_map("all"), "start"),
        (lambda: explain.ruler(5), "rows is 5; dicts"),
        (lambda: explain.two_knobs({}), "results is .*two_knobs.py writes"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_map_is_a_whole_grid_that_a_mirror_leaves_as_it_is():
    data = explain.label_map().scene["data"]
    for key in ("classical", "reference"):
        energies = np.reshape(data[key], (data["n"], data["n"]))
        assert energies.min() == 0
        assert np.array_equal(np.roll(energies[::-1, ::-1], 1, axis=(0, 1)), energies)
    rows = load_results("torsion_map")["rows"]
    middle = data["n"] * data["n"] // 2 + data["n"] // 2
    assert (data["reference"][middle], 0, 0) in {(r["reference"], r["phi"], r["psi"]) for r in rows}


def models(n=3):
    return [{"bonds": b, "between": c, **ERRORS, **HOW} for b in range(n) for c in range(n)]


def test_models_of_two_knobs_come_as_a_grid_that_must_be_whole():
    grid = explain.two_knobs({"rows": models()[::-1]}).scene["data"]
    assert [[(m["bonds"], m["between"]) for m in row] for row in grid["models"]][2] == [(2, 0), (2, 1), (2, 2)]
    with pytest.raises(ValueError, match=r"of 9 models 1 are missing, \(2, 2\) first"):
        explain.two_knobs({"rows": models()[:-1]})


def test_html_holds_scene_and_script_and_asks_for_nothing(shown):
    text = shown.html
    start = text.index('type="application/json">') + len('type="application/json">')
    assert json.loads(text[start : text.index("</script>", start)]) == shown.scene
    assert "import(" not in text
    assert not {"http://", "https://"} & set(text.replace("http://www.w3.org/2000/svg", "").split('"'))
    assert ("<img" in text) == (shown.png is not None)


def test_a_notebook_gets_a_widget_and_a_viewer_a_picture_and_words(shown):
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == shown.alt
    assert shown.png[:4] == b"\x89PNG"
    assert {"text/html", "image/png"} <= bundle.keys()


def test_the_picture_is_that_of_the_beginning_or_there_is_none():
    assert explain.vectors().png and explain.vectors(angle=120).png is None
    assert explain.ruler(own_rows()).png is None
    assert isinstance(explain.ruler(own_rows()), Shown)


@pytest.mark.parametrize(
    "path", [FOLDER / f"{name}.js" for name in ("explain", "knobs", *EVERY)], ids=lambda path: path.name
)
def test_scripts_are_short_and_load_nothing(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert "import " not in text and "fetch" not in text
