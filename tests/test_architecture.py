"""The rules of the library's shape: floors, heavy imports, no surprises on import, short documented functions."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tpainn_lite"

# A module imports only from lower floors. A new module gets its floor here.
FLOORS = {
    "checks": 0, "files": 0,
    "graph": 1, "painn": 1, "observables": 1, "liquid": 1, "classical_water": 1, "assembly": 1, "selection": 1,
    "journal": 1, "saving": 1, "matching": 1, "project_record": 1, "plot_data": 1, "sliders": 1,
    "reading": 1, "smiles": 1,
    "fast": 2, "forcefields": 2, "dft": 2, "cp2k": 2, "datasets": 2,
    "potential": 3, "sampling": 3, "results": 3, "receipts": 3, "label_work": 3, "md_record": 3,
    "fast_training": 4, "calculator": 4, "labels": 4, "water_md": 4,
    "training_settings": 3, "training_parts": 4, "training_data": 4, "training_state": 4, "training": 5,
    "committee": 5, "md": 5, "label_files": 5,
    "transfer": 6, "domain": 6, "batched": 6, "plots": 6, "teach": 6, "scenes": 6,
    "learning": 7, "recipes": 7, "painting": 7, "reports": 7,
    "viewer": 8, "project": 8,
    "dashboard": 9, "cli_errors": 9, "cli_inputs": 9,
    "cli": 10,
}  # fmt: skip

# A heavy package is known to these modules alone, so that exchanging it stays a small change.
HEAVY = {
    "ipywidgets": {"plots", "sliders", "viewer", "teach", "dashboard"},
    "joblib": {"label_work"},
    "lightning": {"training"},
    "matplotlib": {"viewer"},
    "nglview": {"viewer"},
    "numba": {"fast", "fast_training"},
    "openmm": {"classical_water", "water_md"},
    "plotly": {"plots", "sliders"},
    "pyscf": {"dft"},
    "rdkit": {"forcefields", "smiles"},
    "torch_sim": {"batched"},
    "torch_geometric": {"graph", "datasets"},
    "typer": {"cli", "cli_errors"},
    "vesin": {"checks", "graph", "calculator", "scenes", "observables", "md", "batched"},
}
LAZY = {"nglview", "openmm", "pyscf", "rdkit"}  # imported inside the function that needs them, also in their own module

# A compiled loop cannot be cut into functions without losing its speed.
COMPILED = {"_kernels", "listen_back", "_moving_kernels", "slopes"}

GLOBAL_SWITCHES = {
    "filterwarnings", "manual_seed", "resetwarnings", "seed", "seed_everything", "set_default_dtype",
    "set_default_device", "set_num_threads", "simplefilter", "use_deterministic_algorithms",
}  # fmt: skip

MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def tree(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def imports(node):
    """Every (imported module, imported name or None) below a node; relative imports made absolute."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, None) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = ".".join(filter(None, ["tpainn_lite" if child.level else "", child.module]))
            yield from ((base, alias.name) for alias in child.names)


def neighbours(module):
    """The modules of this package that a module imports; `import tpainn_lite` alone serves for the version."""
    for base, name in imports(tree(module)):
        if base == "tpainn_lite" and name not in (None, "__version__"):
            yield name
        elif base.startswith("tpainn_lite."):
            yield base.split(".")[1]


def outside_functions(node):
    """The nodes that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from outside_functions(child)


def functions(module):
    return [node for node in ast.walk(tree(module)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def body_lines(function, lines):
    """Lines of code in a function's body: no docstring, no blank line, no comment."""
    has_docstring = ast.get_docstring(function) is not None
    body = function.body[1:] if has_docstring else function.body
    if not body:
        return 0
    own = (line.strip() for line in lines[body[0].lineno - 1 : body[-1].end_lineno])
    return sum(1 for line in own if line and not line.startswith("#"))


def lengths(module):
    lines = (PACKAGE / f"{module}.py").read_text(encoding="utf-8").splitlines()
    return {f"{module}.py:{node.lineno} {node.name}": body_lines(node, lines) for node in functions(module)}


def dotted(node):
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "?")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_lower_floors(module):
    assert module in FLOORS, f"give {module} a floor in {Path(__file__).name}"
    for other in neighbours(module):
        assert FLOORS[other] < FLOORS[module], f"{module} (floor {FLOORS[module]}) imports {other} ({FLOORS[other]})"


@pytest.mark.parametrize("module", MODULES)
def test_of_the_package_itself_a_module_uses_only_the_version(module):
    used = {
        node.attr
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and dotted(node.value) == "tpainn_lite"
    }
    assert used <= {"__version__"}


@pytest.mark.parametrize("module", MODULES)
def test_a_heavy_package_is_imported_only_where_it_belongs(module):
    for package, _ in imports(tree(module)):
        root = package.split(".")[0]
        assert module in HEAVY.get(root, {module}), f"{root} belongs in {sorted(HEAVY[root])}, not in {module}"


@pytest.mark.parametrize("module", MODULES)
def test_optional_and_slow_packages_are_imported_inside_functions(module):
    found = {
        package.split(".")[0]
        for node in outside_functions(tree(module))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for package, _ in imports(node)
    }
    assert not found & LAZY


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, tpainn_lite; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "tpainn_lite" in loaded
    assert not loaded & {"torch", "scipy", "IPython", *HEAVY}


def test_every_name_the_package_offers_can_be_had():
    import tpainn_lite

    for name in getattr(tpainn_lite, "__all__", []):
        assert getattr(tpainn_lite, name) is not None


def test_no_module_is_called_utils():
    assert not {"utils", "util", "helpers", "misc", "common"} & set(MODULES)


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_importing_a_module_turns_no_global_switch(module):
    for node in outside_functions(tree(module)):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            assert name.split(".")[-1] not in GLOBAL_SWITCHES, f"{module} line {node.lineno}: {name}"
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            touched = {dotted(target.value) for target in targets if isinstance(target, ast.Subscript)}
            assert "os.environ" not in touched, f"{module} line {node.lineno} sets an environment variable"


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_says_what_it_is(module):
    body = tree(module)
    assert ast.get_docstring(body), f"{module} opens without saying what it is"
    for node in body.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_longer_than_30_lines(module):
    too_long = {name: n for name, n in lengths(module).items() if n > 30 and name.split()[-1] not in COMPILED}
    assert not too_long


def test_half_of_the_functions_have_at_most_10_lines():
    every = [n for module in MODULES for n in lengths(module).values()]
    assert statistics.median(every) <= 10
