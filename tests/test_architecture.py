"""The rules of the library's shape: the order of its packages, heavy imports, imports without side effects, lengths."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tpainn_lite"

# The story's order: a package imports only from those in columns to its left.
ORDER = [
    {"structures"}, {"reading"}, {"teachers", "model", "course"}, {"train", "simulate"}, {"show", "engines"}, {"page"},
    {"project"}, {"cli"},
]  # fmt: skip

# A heavy package is known to these modules alone, so that exchanging it stays a small change.
HEAVY = {
    "anywidget": {"page.shown"},
    "ipywidgets": {"show.plots", "show.sliders", "show.viewer", "course.teach"},
    "distributed": {"teachers.parallel"},
    "joblib": {"teachers.parallel"},
    "lightning": {"train.devices"},
    "matplotlib": {"show.viewer"},
    "nglview": {"show.viewer"},
    "nbclient": {"course.rerun"},
    "nbformat": {"course.rerun"},
    "numba": {
        "model.listening",
        "model.listening_training",
        "model.pairs",
        "model.pointwise",
        "model.pointwise_training",
        "model.products",
        "model.program",
        "model.threads",
        "model.vectors",
        "model.weights",
    },
    "ipi": set(),  # a program of its own
    "lammps": {"engines.for_lammps"},
    "metatensor": {"engines.metatomic_module"},
    "metatomic": {"engines.for_metatomic", "engines.metatomic_module"},
    "openmmml": {"engines.for_openmm"},
    "openmm": {
        "engines.for_openmm",
        "teachers.liquid_md",
        "teachers.mmff",
        "teachers.mmff_system",
        "teachers.openmm_calculator",
        "teachers.openmm_files",
        "teachers.openmm_teacher",
        "teachers.water",
        "teachers.water_md",
    },
    "plotly": {
        "show.arrows",
        "show.check_plots",
        "show.plots",
        "show.sliders",
        "show.states",
        "show.style",
        "show.survival_plot",
    },
    "pyscf": {"teachers.dft"},
    "rdkit": {"structures.build", "reading.molfiles", "structures.smiles", "teachers.mmff", "teachers.rdkit"},
    "tblite": {"teachers.xtb"},
    "torch_sim": {"engines.for_torch_sim", "simulate.many"},
    "torch_geometric": {"model.graph", "reading.array_files", "reading.qm9"},
    "typer": {"cli.app", "cli.checking", "cli.errors", "cli.export", "cli.teaching"},
    "vesin": {"structures.geometry", "model.graph"},
}
LAZY = {
    "anywidget",
    "lightning",
    "nglview",
    "openmm",
    "pyscf",
    "rdkit",
    "tblite",
}  # inside a function

# A compiled loop cannot be cut into functions without losing its speed.
COMPILED = {"kernels", "moving_kernels", "listen", "listen_back", "listen_rates", "listen_slopes"}

GLOBAL_SWITCHES = {
    "filterwarnings", "manual_seed", "resetwarnings", "seed", "seed_everything", "set_default_dtype",
    "set_default_device", "set_num_threads", "simplefilter", "use_deterministic_algorithms",
}  # fmt: skip

FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if not name.endswith("__init__")]


def source(module):
    return FILES[module].read_text(encoding="utf-8")


def tree(module):
    return ast.parse(source(module))


def imports(node):
    """Every (imported module, imported name or None) below a node; relative imports made absolute."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, None) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = ".".join(filter(None, ["tpainn_lite" if child.level else "", child.module]))
            yield from ((base, alias.name) for alias in child.names)


def neighbours(module):
    """(module, name) of what a module imports from this library; `import tpainn_lite` alone serves for the version."""
    for base, name in imports(tree(module)):
        if base == "tpainn_lite" and name not in (None, "__version__"):
            yield name, None
        elif base.startswith("tpainn_lite."):
            inside = base.removeprefix("tpainn_lite.")
            yield (f"{inside}.{name}", None) if f"{inside}.{name}" in FILES else (inside, name)


def column(module):
    package = module.split(".")[0]
    return next(k for k, packages in enumerate(ORDER) if package in packages)


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
    lines = source(module).splitlines()
    return {f"{module}:{node.lineno} {node.name}": body_lines(node, lines) for node in functions(module)}


def dotted(node):
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "?")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_package_and_those_to_its_left(module):
    for other, _ in neighbours(module):
        at_home = other.split(".")[0] == module.split(".")[0]
        assert at_home or column(other) < column(module), f"{module} imports {other}"


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: {other for other, _ in neighbours(module)} for module in MODULES}
    left = dict(graph)
    while left:
        free = [module for module, others in left.items() if not others & left.keys()]
        assert free, f"these import each other in a circle, or from one: {sorted(left)}"
        left = {module: others for module, others in left.items() if module not in free}


@pytest.mark.parametrize("module", MODULES)
def test_a_private_name_is_used_in_its_own_module_alone(module):
    modules = {}  # what a module of this library is called here: which one it is
    for base, name in imports(tree(module)):
        inside = f"{base.removeprefix('tpainn_lite')}.{name}".strip(".")
        if base.startswith("tpainn_lite") and inside in FILES:
            modules[name] = inside
    taken = [name for _, name in neighbours(module) if name and name.startswith("_") and not name.startswith("__")]
    reached = [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and getattr(node.value, "id", None) in modules
    ]
    assert not taken + reached


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_350_lines(module):
    assert len(source(module).splitlines()) <= 350


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
    assert not {"utils", "util", "helpers", "misc", "common"} & {part for name in MODULES for part in name.split(".")}


@pytest.mark.parametrize("module", FILES)
def test_importing_a_module_turns_no_global_switch(module):
    for node in outside_functions(tree(module)):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            assert name.split(".")[-1] not in GLOBAL_SWITCHES, f"{module} line {node.lineno}: {name}"
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            touched = {dotted(target.value) for target in targets if isinstance(target, ast.Subscript)}
            assert "os.environ" not in touched, f"{module} line {node.lineno} sets an environment variable"


@pytest.mark.parametrize("module", FILES)
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
