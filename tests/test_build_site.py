"""The course site: what a small notebook says and shows is there, its links hold, and it needs no network."""

import json
import re
import runpy
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
pytest.importorskip("latex2mathml")
SITE = runpy.run_path(str(ROOT / "docs" / "build_site.py"))
import site_cells  # noqa: E402
import site_references  # noqa: E402
import site_stills  # noqa: E402
import site_text  # noqa: E402
from site_checks import check_site  # noqa: E402
from site_text import SiteError  # noqa: E402

PLOTLY = "application/vnd.plotly.v1+json"
FIGURE = {
    "data": [{"type": "scatter", "y": [1, 3, 2], "name": "T-PaiNN"}],
    "layout": {"xaxis": {"title": {"text": "labels"}}, "yaxis": {"title": {"text": "error / meV/Å"}}, "height": 300},
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
FIRST = """# The first

**One promise.**

[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/x/y) · [next](01_second.ipynb#more)

| at a glance | |
|---|---|
| **you will be able to** | read $E_0$ |
| **time** | a minute |"""
SECOND = """# The second

## More

<details><summary>Why?</summary>Because of `code` and $x^2$.</details>

## References

- QM9: R. et al., [doi](https://doi.org/10.1/1). PaiNN: Schütt, ICML."""


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def code(source, *bundles, tags=()):
    outputs = [nbformat.v4.new_output("display_data", data) for data in bundles]
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def text(source):
    return nbformat.v4.new_markdown_cell(source)


@pytest.fixture
def repository(tmp_path):
    """A folder like the repository, with two notebooks, a document and a picture."""
    root = tmp_path / "root"
    for name in ("notebooks", "docs"):
        (root / name).mkdir(parents=True)
    shown = code("autotune()", {PLOTLY: FIGURE}, {"image/png": PIXEL, "text/plain": "A red dot"})
    again = code("print(1)", {PLOTLY: FIGURE}, {"text/plain": "hidden_number"})
    books = {"00_first": notebook(text(FIRST), shown), "01_second": notebook(text(SECOND), again)}
    for stem, book in books.items():
        nbformat.write(book, root / "notebooks" / f"{stem}.ipynb")
    (root / "docs" / "glossary.md").write_text("# Glossary\n\nSee [more](../notebooks/01_second.ipynb#more).\n")
    (root / "docs" / "instructor.md").write_text("# Guide\n\n[words](glossary.md)\n\n<!-- timings -->\n")
    for name in ("symbols", "what_pretraining_buys"):
        (root / "docs" / f"{name}.md").write_text(f"# {name}\n")
    for name in ("tour.png", "hero.gif", "hero.png"):
        (root / "docs" / name).write_bytes(site_cells.base64.b64decode(PIXEL))
    return root


def built(root, out, **options):
    books = {p.stem: nbformat.read(p, 4) for p in sorted((root / "notebooks").glob("*.ipynb"))}
    png = (root / "docs" / "tour.png").read_bytes()
    SITE["build"](SITE["Site"](out, books, root, **options), lambda figures: [png] * len(figures))
    return out


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_plotly_is_in_the_site_once_and_every_figure_has_a_picture(repository, tmp_path):
    made = files(built(repository, tmp_path / "site"))
    large = [name for name, content in made.items() if len(content) > 1e6 and not name.startswith("api/")]
    assert large == ["plotly.min.js"]
    page = made["00_first.html"].decode()
    assert page.count('src="plotly.min.js"') == 1 and page.count('class="plot"') == 1
    assert 'alt="Plot. error / meV/Å against labels. Shown: T-PaiNN."' in page
    assert 'alt="A red dot"' in page
    assert 'src="plotly.min.js"' not in made["glossary.html"].decode()


def test_the_same_input_gives_the_same_site(repository, tmp_path):
    assert files(built(repository, tmp_path / "a")) == files(built(repository, tmp_path / "b"))


def test_links_between_notebooks_and_documents_lead_to_pages(repository, tmp_path):
    made = files(built(repository, tmp_path / "site"))
    first = made["00_first.html"].decode()
    assert 'href="01_second.html#more"' in first
    assert "<img" not in first.split("Binder")[0].split("<main")[1]  # the badge has become words
    assert 'href="01_second.html#more"' in made["glossary.html"].decode()
    assert 'rel="next" href="01_second.html"' in first


def test_a_broken_link_ends_the_build_and_is_named(repository, tmp_path):
    path = repository / "docs" / "glossary.md"
    path.write_text("# Glossary\n\n[gone](gone.md)\n")
    with pytest.raises(SiteError, match=r"docs/gone\.md"):
        built(repository, tmp_path / "site")
    path.write_text("# Glossary\n\n[gone](../notebooks/00_first.ipynb#nowhere) [odd](https://no address)\n")
    with pytest.raises(SiteError, match=r"00_first\.html has no anchor 'nowhere'"):
        built(repository, tmp_path / "site")


def test_whatever_asks_the_network_ends_the_build(repository, tmp_path):
    out = built(repository, tmp_path / "site")
    page = out / "glossary.html"
    page.write_text(page.read_text().replace("</main>", '<script src="https://cdn.x.org/a.js"></script></main>'))
    with pytest.raises(SiteError, match="cdn.x.org"):
        check_site(out, 60)
    page.write_text(page.read_text().replace("</main>", '<img src="site.css"><p id="glossary"></p></main>'))
    with pytest.raises(SiteError, match=r"without words[\s\S]*MB; at most 1") as caught:
        check_site(out, 1)
    assert "'glossary' is there twice" in str(caught.value)


def test_the_index_of_the_search_has_every_section_and_no_output(repository, tmp_path):
    script = (built(repository, tmp_path / "site") / "search.js").read_text()
    entries = json.loads(script.removeprefix("window.SEARCH = ").removesuffix(";\n"))
    places = {(page, anchor) for page, _, anchor, _, _ in entries}
    assert {("01_second.html", "more"), ("01_second.html", "references"), ("glossary.html", "glossary")} <= places
    everything = " ".join(entry[4] for entry in entries)
    assert "autotune" in everything and "hidden_number" not in everything


def test_the_first_page_has_a_card_for_each_notebook(repository, tmp_path):
    page = (built(repository, tmp_path / "site") / "index.html").read_text()
    assert page.count('class="card"') == 2
    assert "One promise." in page and "<math" in page and "a minute" in page


def test_a_site_for_students_has_nothing_for_teachers_and_no_link_to_it(repository, tmp_path):
    (repository / "docs" / "module.md").write_text("# A module\n\nThe answer is forty-two.\n")
    (repository / "docs" / "slides.md").write_text("# Slides\n")
    everything = files(built(repository, tmp_path / "all"))
    made = files(built(repository, tmp_path / "site", students=True))
    assert set(everything) - set(made) == {"instructor.html", "module.html", "slides.html"}
    written = {name: made[name].decode() for name in made if name.endswith((".html", ".js")) and "/" not in name}
    del written["plotly.min.js"]
    assert not [name for name, page in written.items() if re.search("instructor|module.html|forty-two", page)]
    assert "git clone" in everything["index.html"].decode() and "git clone" not in written["index.html"]


def test_the_instructor_guide_gets_the_run_times_of_the_receipts():
    receipt = nbformat.v4.new_code_cell("print(receipt)", metadata={"tags": ["receipt"]})
    receipt.outputs = [nbformat.v4.new_output("stream", text="time       12 s   (promised: 180 s)\n")]
    book = notebook(receipt)
    book.metadata["tpainn"] = {"minutes": 3, "megabytes": 1200}
    assert "| 00_first | 3 min, 1200 MB | 12 s |" in SITE["timings"]({"00_first": book})


def test_a_notebook_that_warned_or_failed_is_not_shown():
    warned = nbformat.v4.new_code_cell("1")
    warned.outputs = [nbformat.v4.new_output("stream", name="stderr", text="UserWarning: no\n")]
    with pytest.raises(SiteError, match="cell 1: UserWarning"):
        site_cells.refuse_warnings(notebook(warned))


def test_code_that_holds_an_answer_is_folded_beneath_what_it_shows():
    cell = code("teach.predict('How many?', ['one'], answer=0)", {"text/html": "<p>How many?</p>"})
    cell.metadata["jupyter"] = {"source_hidden": True}
    made = site_cells.cell_html(cell, site_text.SiteRenderer("docs", {}, lambda path: True, str), None)
    assert made.index("How many?</p>") < made.index("<summary>The code</summary>") < made.index("answer")


def test_a_reference_is_listed_once_with_all_who_cite_it():
    cited = {
        "00": ["MMFF94: Halgren 1996.", "T-PaiNN: [arXiv 1](https://x.y/1)."],
        "01": ["MMFF94: Halgren, *J. C. C.* **17**, 490 (1996).", "T-PaiNN: P. et al., [arXiv:1](https://x.y/1)."],
    }
    assert site_references.collected(cited) == [
        ("MMFF94: Halgren, *J. C. C.* **17**, 490 (1996).", ["00", "01"]),
        ("T-PaiNN: P. et al., [arXiv:1](https://x.y/1).", ["00", "01"]),
    ]
    assert len(site_references.references(notebook(text(SECOND)))) == 2


def test_formulas_need_no_script_and_an_unknown_command_is_an_error():
    made = site_text.mathml(r"\Big\langle \mathbf v_i \Big\rangle", "block")
    assert "\\" not in made and "𝐯" in made and made.count("⟨") == 1
    with pytest.raises(SiteError, match="nosuchcommand"):
        site_text.mathml(r"\nosuchcommand x", "inline")


def test_every_formula_of_the_course_can_be_shown():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "markdown":
                for block, inline in re.findall(r"\$\$(.*?)\$\$|\$([^$\n]+)\$", cell.source, flags=re.DOTALL):
                    assert site_text.mathml(block or inline, "block" if block else "inline").startswith("<math")


def test_headings_have_anchors_as_on_github_each_once():
    renderer = site_text.SiteRenderer("docs", {}, lambda path: True, str)
    page = site_text.markdown("## 1 · Two *words*\n\n## 1 · Two words\n", renderer)
    assert re.findall(r'id="([^"]*)"', page) == ["1--two-words", "1--two-words-1"]


def test_an_answer_that_is_folded_is_markdown_too():
    renderer = site_text.SiteRenderer("docs", {}, lambda path: True, str)
    page = site_text.markdown("<details><summary>Why?</summary>Because of `code`.</details>", renderer)
    assert "<code>code</code>" in page and page.count("<details>") == 1


def test_a_picture_that_was_drawn_is_not_drawn_again(tmp_path, monkeypatch):
    drawn = []

    def draw(figures):
        drawn.extend(figures)
        for path in figures:
            path.write_bytes(b"png")

    monkeypatch.setattr(site_stills, "draw", draw)
    for _ in range(2):
        assert site_stills.stills([FIGURE, FIGURE], tmp_path) == [b"png", b"png"]
    assert len(drawn) == 1
