"""`tp.live`: what is sent to the page is whole, what cannot work is refused, and the site keeps it alive."""

import base64
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from conftest import lively_potential, small_water_box

import tpainn_lite as tp
from tpainn_lite.model.potential import WeightsError
from tpainn_lite.page import shown as shown_module
from tpainn_lite.page.shown import source
from tpainn_lite.page.weights import STEPS, weight_bytes
from tpainn_lite.page.widget import BINS, SCRIPTS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def shown(ethanol):
    return tp.live(ethanol, {"one": lively_potential(), "two": lively_potential(seed=1)}, temperature=200.0, seed=3)


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<f8")


def test_the_run_begins_as_run_md_begins(shown, ethanol):
    from tpainn_lite.simulate.md import moving

    start, _ = moving(ethanol, None, "nvt", 200.0, 3)
    structure = shown.scene["structure"]
    assert np.array_equal(numbers(structure["positions"]).reshape(-1, 3), start.positions)
    assert np.array_equal(numbers(structure["velocities"]).reshape(-1, 3), start.get_velocities())
    assert [structure["symbols"][k] for k in structure["species"]] == ethanol.get_chemical_symbols()


def test_weights_are_rounded_by_less_than_half_a_step_of_their_row():
    potential = lively_potential()
    sent = weight_bytes(potential, [1, 6, 8])
    rows = potential.painn.embedding.weight.detach().numpy()[[1, 6, 8]]
    record = np.dtype([("step", "<f4"), ("steps", "<i2", rows.shape[1])])
    read = np.frombuffer(sent[: 3 * record.itemsize], record)
    assert np.abs(read["step"][:, None] * read["steps"] - rows).max() <= np.abs(rows).max() / STEPS
    assert np.abs(read["steps"]).max(axis=1).tolist() == [STEPS] * 3


def test_a_row_of_zeros_stays_zero(potential):
    potential.painn.readout[0].bias.data.zero_()
    assert b"nan" not in weight_bytes(potential, [1])
    assert len(weight_bytes(potential, [1])) == len(weight_bytes(lively_potential(), [1]))


def test_weights_that_are_not_finite_are_refused(potential, ethanol):
    potential.painn.readout[0].bias.data[0] = np.nan
    with pytest.raises(WeightsError, match=r"readout.0.bias has a weight that is not a finite number"):
        tp.live(ethanol, potential)


def test_an_element_that_one_potential_does_not_know_is_said_in_the_page_and_no_one_else_suffers():
    hydrogen, water = lively_potential(elements=(1,)), lively_potential(elements=(1, 8))
    first, second = tp.live(ase_molecule("H2O"), {"no O": hydrogen, "with O": water}).scene["potentials"]
    assert first["unknown"] == ["O"] and not first["weights"]
    assert second["unknown"] == [] and second["weights"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"potentials": {}}, "at least one is expected"),
        ({"potentials": {"a": lively_potential(elements=(1,))}}, "a was not made for C, O; it knows H"),
        ({"ensemble": "npt"}, "is not one of"),
        ({"temperature": -1}, "temperature"),
        ({"timestep": 0}, "timestep"),
        ({"friction": -1}, "friction"),
        ({"seed": -1}, "seed"),
        ({"arrows": "yes"}, "arrows"),
        ({"atoms": Atoms("Ar2001", np.indices((13, 13, 12)).reshape(3, -1).T[:2001] * 4.0)}, "n_atoms"),
        ({"atoms": Atoms()}, "no atoms"),
        (
            {"potentials": {"a": {0: lively_potential()}, "b": {10: lively_potential()}}},
            r"'b' has .* \[10\] labels; \[0\]",
        ),
        ({"potentials": {"a": {}}}, "are expected"),
        ({"potentials": {"a": {-1: lively_potential()}}}, "labels"),
        ({"notes": {"b": "It flows."}}, "notes has 'b'"),
        ({"notes": {"potential": 5}}, "a sentence for one of"),
        ({"notes": "It flows."}, "expected"),
        ({"reference": {"water": ([1, 2], [1])}}, "as many of each"),
        ({"reference": {"water": ([1, 2], [0, 1])}}, "a box with 4 oxygens or more"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(change, words, ethanol):
    arguments = {"atoms": ethanol, "potentials": lively_potential(), **change}
    with pytest.raises(ValueError, match=words):
        tp.live(**arguments)


def test_only_potentials_are_taken(ethanol):
    with pytest.raises(TypeError, match="a Potential is expected"):
        tp.live(ethanol, {"a": "gas"})


def test_a_box_is_drawn_and_a_slab_gets_a_whole_cell():
    box = tp.live(small_water_box(), lively_potential()).scene["structure"]
    assert box["boxed"] and box["pbc"] == [1, 1, 1]
    slab = Atoms("CO", [[0, 0, 0], [0, 0, 1.2]], cell=[[3, 0, 0], [1, 3, 0], [0, 0, 0]], pbc=[1, 1, 0])
    structure = tp.live(slab, lively_potential()).scene["structure"]
    cell, inverse = (np.reshape(structure[name], (3, 3)) for name in ("cell", "inverse"))
    assert not structure["boxed"] and np.allclose(cell @ inverse, np.eye(3))


def test_potentials_by_their_number_of_labels_are_chosen_with_a_slider(ethanol):
    groups = {way: {n: lively_potential(seed=n) for n in (0, 10)} for way in ("pretrained", "from scratch")}
    groups["pretrained"][10].metadata["test_errors"] = {"force_mae": 123.4}
    scene = tp.live(ethanol, groups, notes={"from scratch": "It knows nothing."}).scene
    assert scene["names"] == ["pretrained", "from scratch"] and scene["labels"] == [0, 10]
    found = [(p["name"], p["error"], p["note"]) for p in scene["potentials"]]
    assert found[1] == ("pretrained, 10 labels", 123.4, None)
    assert found[2] == ("from scratch, 0 labels", None, "It knows nothing.")
    assert scene["potentials"][0]["colour"] == scene["potentials"][1]["colour"] != scene["potentials"][2]["colour"]


def test_the_shipped_slider_says_what_its_labels_bought():
    errors = [
        [p.metadata["test_errors"]["force_mae"] for p in group.values()] for group in tp.load_label_slider().values()
    ]
    assert all(row == sorted(row, reverse=True) for row in errors)
    assert all(pretrained < scratch for pretrained, scratch in zip(*errors, strict=True))


def test_errors_of_the_shipped_slider_are_those_of_the_study_within_its_scatter():
    study = [r for r in tp.load_results("learning_curve_qm9")["rows"] if r.get("subset") == "test" and "force_mae" in r]
    for group, method in zip(tp.load_label_slider().values(), ("tpainn_shipped", "scratch_atomref"), strict=True):
        for n, potential in list(group.items())[1:]:
            seeds = [r["force_mae"] for r in study if (r["method"], r["n_train"]) == (method, n)]
            assert potential.metadata["test_errors"]["force_mae"] == pytest.approx(np.mean(seeds), rel=0.1)


def test_g_of_r_is_that_of_oxygens_in_boxes_of_them(ethanol):
    box, r = tp.load_water("valid", "liquid")[0], np.linspace(2, 6, 9)
    found = tp.live(box, lively_potential(), reference={"water": (r, 1 + 0 * r)}).scene["rdf"]
    assert found["n_bins"] == BINS and found["r_max"] <= 0.5 * min(box.cell.lengths())
    assert found["curves"] == [{"name": "water", "r": r.tolist(), "g": [1.0] * 9}]
    assert tp.live(ethanol, lively_potential()).scene["rdf"] is None


# --- outputs ---


def test_the_output_has_a_widget_html_and_a_picture(shown):
    bundle = shown._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == "Molecular dynamics of C2H6O with one or two"


def test_without_anywidget_there_is_the_html(shown, monkeypatch, ethanol):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    shown_module._widget_class.cache_clear()
    bundle = tp.live(ethanol, lively_potential())._repr_mimebundle_()
    shown_module._widget_class.cache_clear()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert '<script type="module">' in bundle["text/html"]


def test_the_html_needs_nothing_else(shown):
    text = shown.html
    assert not re.search(r"""(?:src|href)=["'](?!data:)|\bimport\s*[({"']|url\((?!\))|@import|https?:""", text)
    (scene,) = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    assert json.loads(scene) == json.loads(json.dumps(shown.scene))


def test_names_cannot_end_the_script(ethanol):
    text = tp.live(ethanol, {'</script><b title="x">': lively_potential()}).html
    assert text.count("</script>") == 2 and "<b title" not in text


def test_html_is_the_same_each_time(ethanol):
    assert tp.live(ethanol, lively_potential()).html == tp.live(ethanol, lively_potential()).html


def test_the_site_keeps_it_alive_and_its_picture_is_a_file(shown):
    pytest.importorskip("latex2mathml")
    sys.path.insert(0, str(ROOT / "docs"))
    import nbformat
    import site_cells
    from bs4 import BeautifulSoup
    from build_page import Page
    from site_checks import wrong_resources

    output = nbformat.v4.new_output("execute_result", shown._repr_mimebundle_())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("tp.live()", outputs=[output])])
    Page(notebook)
    stored = {}
    store = lambda content, suffix: stored.setdefault(f"still{suffix}", content) and f"still{suffix}"  # noqa: E731
    text = site_cells.output_html(notebook.cells[0].outputs[0], "", store)
    page = BeautifulSoup(text, "html.parser")
    assert stored["still.png"].startswith(b"\x89PNG") and page.img["alt"]
    assert [script["type"] for script in page("script")] == ["application/json", "module"]
    assert all("still.png" in problem for problem in wrong_resources(page, Path("/nowhere")))


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_is_short_enough_to_be_read(script):
    lines = source(script).splitlines()
    assert len(lines) <= 350 and max(map(len, lines)) <= 120
