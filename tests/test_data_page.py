"""The page about the data shows every shipped set, and needs no network."""

import importlib.util
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "data_page.py"


def test_the_page_has_figures_of_every_set_and_carries_plotly_once(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("data_page", PAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["data_page.py", str(tmp_path / "data.html")])
    module.main()
    text = (tmp_path / "data.html").read_text(encoding="utf-8")
    assert all(f"<h2>{name}</h2>" in text for name in ("molecules_b3lyp", "water_dft"))
    assert text.count('class="plotly-graph-div"') == 4 + 5
    assert "cdn.plot.ly" not in text.split("<body>")[1][:2000] and 4e6 < len(text) < 8e6
