"""On Colab only what is missing is installed, and never torch or numpy."""

import importlib.util
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SCRIPT = Path(__file__).parents[1] / "binder" / "colab.py"


@pytest.fixture
def colab():
    spec = importlib.util.spec_from_file_location("colab", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_where_everything_is_there_nothing_is_installed(colab, monkeypatch, capsys):
    monkeypatch.setattr(colab, "wanted", lambda: [Requirement("ase>=3.20"), Requirement("rdkit")])
    monkeypatch.setattr(colab.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    colab.main()
    assert "nothing" in capsys.readouterr().out


def test_what_is_missing_or_too_old_is_installed_and_torch_is_held_where_it_is(colab, monkeypatch):
    called = []
    monkeypatch.setattr(
        colab, "wanted", lambda: [Requirement("ase>=999"), Requirement("rdkit"), Requirement("nowhere")]
    )
    monkeypatch.setattr(colab.subprocess, "run", lambda command, **_: called.append(command))
    colab.main()
    ((_, _, _, install, _, *asked),) = called
    assert install == "install" and asked[:2] == ["ase>=999", "nowhere"]
    assert {name.split("==")[0] for name in asked[2:]} >= {"torch", "numpy"} and all("==" in name for name in asked[2:])


def test_torch_and_numpy_are_never_asked_for_and_the_viewers_exact_version_is(colab):
    names = {requirement.name: requirement for requirement in colab.wanted()}
    assert not names.keys() & {"torch", "numpy", "scipy"} and {"nglview", "rdkit", "ase"} <= names.keys()
    assert str(names["nglview"].specifier) == "==4.0"
