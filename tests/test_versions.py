"""One set of versions: pyproject.toml, constraints.txt, environment.yml and their neighbours tell the same story."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
IMPORT_NAMES = {  # where they differ
    "PIL": "pillow", "metatensor": "metatensor-torch", "metatomic": "metatomic-torch",
    "torch_sim": "torch-sim-atomistic",
}  # fmt: skip
CONDA_NAMES = {"torch": "pytorch-cpu", "torch-geometric": "pytorch-geometric"}  # canonical spelling

COURSE = ("notebooks", "dft")  # extras that the course needs: conda and Binder bring them
EXTRAS = ("batched", "dev", "dft", "docs", "engines", "gfnff", "notebooks", "test", "xtb")


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*extras):
    project = pyproject()
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def pinned_rows():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins():
    """The tested version of each package, for the Python that runs here."""
    rows = [Requirement(row) for row in pinned_rows()]
    return {canonicalize_name(r.name): str(r.specifier)[2:] for r in rows if r.marker is None or r.marker.evaluate()}


def conda_file():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def environment():
    """Every package of environment.yml, conda's and pip's, by its canonical name."""
    entries = conda_file()["dependencies"]
    lines = [x for x in entries if isinstance(x, str)] + [y for x in entries if isinstance(x, dict) for y in x["pip"]]
    found = {}
    for line in lines:
        name, rest = re.match(r"([A-Za-z0-9_.-]+)(.*)", line).groups()
        found[canonicalize_name(name)] = rest
    return found


def imported_packages():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tpainn_lite").rglob("*.py")]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_whatever_the_library_imports_is_a_declared_dependency():
    foreign = set(imported_packages()) - sys.stdlib_module_names - {"tpainn_lite"}
    names = {canonicalize_name(IMPORT_NAMES.get(name, name)) for name in foreign}
    assert names <= set(requirements("notebooks", "dft", "xtb", "gfnff", "batched", "cluster", "engines", "lammps"))


@pytest.mark.parametrize("name", requirements(*COURSE))
def test_conda_gets_the_same_package_and_bound_as_pip(name):
    wanted = requirements(*COURSE)[name]
    rest = environment()[canonicalize_name(CONDA_NAMES.get(name, name))]
    bound, _, marker = rest.partition(";")
    assert SpecifierSet(bound.strip()) == wanted.specifier
    assert marker.strip().replace('"', "'") == str(wanted.marker or "").replace('"', "'")


def test_conda_gets_nothing_that_pip_does_not():
    known = {canonicalize_name(CONDA_NAMES.get(name, name)) for name in requirements(*COURSE)}
    assert set(environment()) - known == {"python", "pip"}


def test_conda_takes_its_packages_from_one_channel_and_a_supported_python():
    assert conda_file()["name"] == "tpainn_lite"
    assert conda_file()["channels"][0] == "conda-forge"
    python = environment()["python"].lstrip("=")
    assert python in SpecifierSet(pyproject()["requires-python"])


@pytest.mark.parametrize("name", requirements(*EXTRAS))
def test_the_tested_version_is_one_the_package_allows(name):
    assert pins()[name] in requirements(*EXTRAS)[name].specifier


def test_constraints_are_exact_sorted_and_fit_every_platform():
    rows = pinned_rows()
    assert all(
        re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*(; python_version .*)?", row) for row in rows
    )  # no +cpu, no path
    assert rows == sorted(rows, key=str.upper)  # the order of `sort -f`
    assert "tpainn-lite" not in pins()


def test_nglview_is_4_0_everywhere():
    assert str(requirements("notebooks")["nglview"].specifier) == "==4.0"
    assert pins()["nglview"] == "4.0"
    assert environment()["nglview"] == "==4.0"  # conda reads a single = as 4.0.*, which lets the broken 4.0.1 in


def test_binder_reads_the_same_environment_and_installs_the_package():
    link = ROOT / "binder" / "environment.yml"
    assert link.is_symlink() and os.readlink(link) == "../environment.yml"
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert "\nset -e\n" in script.read_text(encoding="utf-8")
    assert "--no-deps -e ." in script.read_text(encoding="utf-8")


def test_the_version_is_the_same_wherever_it_is_written():
    version = pyproject()["version"]
    assert f'__version__ = "{version}"' in (ROOT / "tpainn_lite" / "__init__.py").read_text(encoding="utf-8")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_example_in_the_readme_uses_names_that_exist():
    import tpainn_lite

    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    imports = [node for node in ast.parse(example).body if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names}
    assert names and names <= set(tpainn_lite.__all__)


def committed_texts():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield name, content.decode("utf-8", errors="replace")


def test_no_committed_file_names_a_package_registry():
    # spelled apart, so that this file does not name one either
    hosts = ["pypi." + "org", "pythonhosted" + ".org", "download.py" + "torch.org", "repo.ana" + "conda.com"]
    hosts += ["conda.ana" + "conda.org", "registry.npm" + "js.org", "index" + "-url"]
    assert not [(name, host) for name, text in committed_texts() for host in hosts if host in text]


def test_no_committed_file_holds_a_path_of_somebodys_machine():
    place = re.compile(r"(?<![\w.)\]}-])(/(home|root|Users|work)/\w+|[A-Z]:\\+Users\\+\w+)")
    assert not [(name, found[0]) for name, text in committed_texts() if (found := place.search(text))]
