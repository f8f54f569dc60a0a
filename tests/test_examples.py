"""Every public name says what it takes and gives, with type hints and an example that runs."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import tpainn_lite

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "tpainn_lite").rglob("*.py"))
    if not path.stem.startswith("__")
]
PUBLIC = {name: getattr(tpainn_lite, name) for name in tpainn_lite.__all__}
NAMES = {name: thing for name, thing in PUBLIC.items() if not inspect.ismodule(thing)}
for room, module in ((name, thing) for name, thing in PUBLIC.items() if inspect.ismodule(thing)):
    members = {name: thing for name, thing in vars(module).items() if inspect.isfunction(thing)}
    NAMES |= {
        f"{room}.{name}": thing
        for name, thing in members.items()
        if thing.__module__.startswith(module.__name__) and not name.startswith("_")
    }


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example(name):
    assert ">>> " in inspect.getdoc(NAMES[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_type_hints(name):
    thing = NAMES[name]
    if inspect.isclass(thing) and "__init__" not in vars(thing):
        return  # made by what it inherits
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)
    untyped = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name != "self"]
    assert not untyped and (inspect.isclass(thing) or signature.return_annotation is not signature.empty)
