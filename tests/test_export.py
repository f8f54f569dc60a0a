"""Other programs compute what we do: each export is compared, and runs, where its program is installed."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from conftest import lively_potential, small_water_box
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.engines.engine import Answer, Engine, answer_of, moving_start
from tpainn_lite.engines.export import ENGINES, ExportError, default_start, export, frames_to_compare
from tpainn_lite.engines.scripted import ScriptedPaiNN
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.graph import neighbour_pairs
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import load_pretrained
from tpainn_lite.structures.build import molecule

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the programs and of TorchScript
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
QUICK = {"run(1000)": "run(4)", "n_steps=1000": "n_steps=10", "step(1000)": "step(20)", "run 1000": "run 4"}


@pytest.fixture(params=ENGINES)
def engine(request):
    """The name of each program that is installed."""
    return installed(request.param)


def installed(name):
    if (why_not := ENGINES[name].trouble()) is not None:
        pytest.skip(why_not)
    return name


# --- what is installed ---


def test_a_shipped_potential_gives_the_same_there_and_conserves_energy(engine, tmp_path):
    proof = export(load_pretrained("gas"), engine, tmp_path / "folder")
    assert proof.frames == 3 and proof.why_not is None
    assert proof.energy < 1e-5 and proof.forces < 1e-4 and proof.stress < 1e-5 and 0 < proof.wander < 1e-3
    assert "differ from ours by" in (tmp_path / "folder" / "check.txt").read_text()


def test_a_potential_of_water_is_compared_in_a_box_of_its_own(tmp_path):
    proof = export(load_pretrained("water"), installed("openmm"), tmp_path)
    assert proof.frames == 2 and proof.wander < 1e-3
    assert (tmp_path / "start.extxyz").read_text().startswith("96\n")


def test_narrow_skewed_boxes_and_their_stress_are_the_same(engine, tmp_path):
    potential = lively_potential()
    box = small_water_box()
    box.rotate(30, (1, 2, 3), rotate_cell=True)
    export(potential, engine, tmp_path, box, check=False)
    (answer,) = ENGINES[engine].answers(tmp_path, [box])
    ours = answer_of(PotentialCalculator(potential), box)
    assert answer.energy == pytest.approx(ours.energy, abs=1e-5)
    np.testing.assert_allclose(answer.forces, ours.forces, atol=1e-4)
    np.testing.assert_allclose(answer.stress, ours.stress, atol=2e-4 if engine == "openmm" else 1e-6)  # differences
    assert np.abs(ours.stress).max() > 1e-2 and np.abs(ours.stress[0, 1]) > 1e-3


def test_its_input_runs_as_it_is_written(engine, tmp_path):
    export(load_pretrained("gas"), engine, tmp_path, check=False)
    for path in [*tmp_path.glob("run.py"), *tmp_path.glob("input.xml")]:
        text = path.read_text()
        for long, quick in QUICK.items():
            text = text.replace(long, quick)
        path.write_text(text.replace("<total_steps>1000<", "<total_steps>20<"))
    there = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, env=there, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    outputs = {"openmm": "run.csv", "ipi": "run.out", "torch-sim": "run_0.extxyz", "metatomic": "run.traj"}
    assert (tmp_path / outputs.get(engine, "run.lammpstrj")).stat().st_size > 0


def test_the_kinetic_energy_of_the_run_that_is_compared_is_that_of_the_start(engine, tmp_path):
    """Velocities in wrong units would conserve energy all the better."""
    if engine == "ipi":
        pytest.skip("i-PI draws its own velocities")
    potential, start = load_pretrained("gas"), moving_start(molecule("CCO"))
    export(potential, engine, tmp_path, start, check=False)
    energies = ENGINES[engine].total_energies(tmp_path, start, 2, 0.5)
    expected = answer_of(PotentialCalculator(potential), start).energy + start.get_kinetic_energy()
    assert energies[0] == pytest.approx(expected, abs=0.01) and start.get_kinetic_energy() > 0.2


# --- TorchScript ---


@pytest.mark.parametrize("n_interactions", [1, 3])
def test_the_scripted_network_is_painn_call_after_call(n_interactions):
    """TorchScript optimises from the second call on, which must not change a derivative."""
    torch.manual_seed(0)
    painn = PaiNN(16, n_interactions, 8).double()
    network = torch.jit.script(ScriptedPaiNN(painn))
    for smiles in ("CCO", "O", "CCC", "CCO", "N"):
        atoms = molecule(smiles)
        idx_i, idx_j, r_ij = (torch.as_tensor(np.asarray(x)) for x in neighbour_pairs(atoms, 5.0))
        slopes = []
        for form in (painn, network):
            vectors = r_ij.clone().requires_grad_(True)
            local = form(torch.as_tensor(atoms.numbers), vectors, idx_i.long(), idx_j.long())
            (slope,) = torch.autograd.grad(local.sum(), vectors)
            slopes.append((local.detach(), slope))
        torch.testing.assert_close(slopes[1][0], slopes[0][0])
        torch.testing.assert_close(slopes[1][1], slopes[0][1])


def test_scripting_leaves_the_network_as_it_was(float32_potential):
    ScriptedPaiNN(float32_potential.painn)
    assert float32_potential.dtype == torch.float32
    assert all(weight.requires_grad for weight in float32_potential.painn.parameters())


def test_a_model_of_metatomic_gives_energies_of_single_atoms(tmp_path):
    installed("metatomic")
    import metatomic.torch as mta
    from metatomic_ase import MetatomicCalculator

    potential, atoms = lively_potential(), molecule("CCO")
    export(potential, "metatomic", tmp_path, atoms, check=False)
    calculator = MetatomicCalculator(str(tmp_path / "potential.pt"))
    outputs = {"energy": mta.ModelOutput(unit="eV", sample_kind="atom")}
    each = calculator.run_model([atoms, molecule("O")], outputs)["energy"].block().values
    ours = potential.predict([atoms, molecule("O")])[0]
    assert each.shape == (12, 1)
    assert [float(each[:9].sum()), float(each[9:].sum())] == pytest.approx(ours.tolist(), abs=1e-6)


# --- OpenMM ---


def test_a_part_of_a_system_is_ours_and_the_rest_a_force_field(tmp_path):
    installed("openmm")
    import openmm
    from openmm import app
    from openmmml import MLPotential

    from tpainn_lite.engines.for_openmm import register
    from tpainn_lite.teachers.openmm_calculator import KJ

    potential = lively_potential()
    potential.save(tmp_path / "weights.safetensors")
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(2):
        residue = topology.addResidue("HOH", chain)
        oxygen = topology.addAtom("O", app.element.oxygen, residue)
        for name in ("H1", "H2"):
            topology.addBond(oxygen, topology.addAtom(name, app.element.hydrogen, residue))
    forces = app.ForceField("tip3p.xml").createSystem(topology, constraints=None, rigidWater=False)
    register()
    mixed = MLPotential("tpainn", weights=str(tmp_path / "weights.safetensors")).createMixedSystem(
        topology, forces, [0, 1, 2]
    )
    one, other = molecule("O"), molecule("O")
    other.positions += [0, 0, 3.0]
    bent = one.copy()
    bent.positions[1] += [0.05, 0.03, 0.0]
    energies = {}
    for name, system in (("mixed", mixed), ("field", forces)):
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
        for shape, atoms in (("one", one), ("bent", bent)):
            context.setPositions(np.concatenate([atoms.positions, other.positions]) / 10)
            energies[name, shape] = context.getState(getEnergy=True).getPotentialEnergy()._value * KJ
    alone = openmm.Context(
        app.ForceField("tip3p.xml").createSystem(single_water(), constraints=None, rigidWater=False),
        openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"),
    )  # fmt: skip
    own = {}
    for shape, atoms in (("one", one), ("bent", bent)):
        alone.setPositions(atoms.positions / 10)
        own[shape] = alone.getState(getEnergy=True).getPotentialEnergy()._value * KJ
    ours = potential.predict([one, bent])[0]
    for k, shape in enumerate(("one", "bent")):
        expected = energies["field", shape] - own[shape] + ours[k]
        assert energies["mixed", shape] == pytest.approx(expected, abs=1e-4)


def single_water():
    from openmm import app

    topology = app.Topology()
    residue = topology.addResidue("HOH", topology.addChain())
    oxygen = topology.addAtom("O", app.element.oxygen, residue)
    for name in ("H1", "H2"):
        topology.addBond(oxygen, topology.addAtom(name, app.element.hydrogen, residue))
    return topology


def test_openmm_ml_finds_us_by_an_entry_point_that_is_there():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    module, _, name = project["project"]["entry-points"]["openmmml.potentials"]["tpainn"].partition(":")
    assert hasattr(getattr(importlib.import_module(module), name), "createImpl")


# --- what goes wrong ---


class Liar(Engine):
    """A program whose answers are not ours."""

    def __init__(self, **wrong):
        self.wrong = wrong

    def files(self, potential, start):
        return {"run.py": "print(0)\n"}

    def answers(self, folder, frames):
        potential = Potential.load(folder / "potential.safetensors")
        found = [answer_of(PotentialCalculator(potential), atoms) for atoms in frames]
        return [
            Answer(
                a.energy + self.wrong.get("energy", 0),
                a.forces * (1 + self.wrong.get("forces", 0)),
                None if a.stress is None else a.stress * self.wrong.get("stress", 1),
            )
            for a in found
        ]

    def total_energies(self, folder, start, n_steps, timestep):
        return np.linspace(0, self.wrong.get("wander", 0) * len(start), n_steps + 1)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"energy": 0.01}, "eV per atom"),
        ({"forces": 0.01}, "eV/Å"),
        ({"stress": -1}, "eV/Å³"),
        ({"wander": 0.01}, "of drift"),
        ({"forces": np.nan}, "nan eV/Å"),
    ],
)
def test_a_program_that_computes_something_else_is_found_out(wrong, words, monkeypatch, tmp_path):
    monkeypatch.setitem(ENGINES, "openmm", Liar(**wrong))
    with pytest.raises(ExportError, match=f"openmm computes something else than we do: .*{words}"):
        export(lively_potential(), "openmm", tmp_path, molecule("CCO"))


def test_an_honest_program_passes(monkeypatch, tmp_path):
    monkeypatch.setitem(ENGINES, "openmm", Liar())
    assert not export(lively_potential(), "openmm", tmp_path, molecule("CCO")).wrong


def test_what_is_not_installed_is_written_but_not_checked(monkeypatch, tmp_path):
    for name in ("openmm", "ipi", "torch-sim", "lammps"):
        monkeypatch.setattr(ENGINES[name], "packages", ("no_such_program",), raising=False)
        proof = export(lively_potential(), name, tmp_path / name, molecule("O"))
        assert "not checked here, because no_such_program is not installed (pip install" in str(proof)
        assert (tmp_path / name / "run.py").is_file()
    monkeypatch.setattr(ENGINES["metatomic"], "packages", ("no_such_program",), raising=False)
    with pytest.raises(ImportError, match="metatomic writes the model's file itself, but no_such_program"):
        export(lively_potential(), "metatomic", tmp_path / "metatomic", molecule("O"))
    assert not (tmp_path / "metatomic").exists()


def test_a_folder_holds_all_that_is_needed_and_may_be_written_again(monkeypatch, tmp_path):
    potential = lively_potential()
    for _ in range(2):
        export(potential, "ipi", tmp_path / "folder", molecule("O"), check=False)
    names = {path.name for path in (tmp_path / "folder").iterdir()}
    assert {"README.md", "check.txt", "driver.py", "init.xyz", "input.xml", "potential.safetensors"} < names
    again = Potential.load(tmp_path / "folder" / "potential.safetensors")
    assert again.predict([molecule("O")])[0] == pytest.approx(potential.predict([molecule("O")])[0])
    with pytest.raises(OSError, match="something else than an export for openmm"):
        export(potential, "openmm", tmp_path / "folder", molecule("O"), check=False)


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "run.py").write_text("mine")
    with pytest.raises(OSError, match="holds other files"):
        export(lively_potential(), "ipi", tmp_path, molecule("O"), check=False)
    assert (tmp_path / "run.py").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: export(lively_potential(), "gromacs", f), "engine 'gromacs' is not one of"),
        (lambda f: export(3, "ipi", f), "a Potential is expected"),
        (lambda f: export(lively_potential(), "ipi", f, molecule("CCl")), "was not made for Cl"),
        (lambda f: export(lively_potential(), "ipi", f, slab()), "a molecule or a box periodic all over"),
        (lambda f: export(lively_potential(elements=(29,)), "ipi", f), "it knows|the potential knows Cu"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(call, message, tmp_path):
    with pytest.raises((ValueError, TypeError), match=message):
        call(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def slab():
    atoms = small_water_box()
    atoms.pbc = (True, True, False)
    return atoms


@pytest.mark.parametrize("elements, formula", [((1, 8), "H64O32"), ((1, 6, 8), "C2H6O"), ((7,), "N2")])
def test_the_start_suits_the_elements_that_are_known(elements, formula):
    assert default_start(lively_potential(elements=elements)).get_chemical_formula() == formula


def test_a_molecule_is_also_compared_in_a_box():
    alone, shaken, boxed = frames_to_compare(molecule("CCO"))
    assert boxed.pbc.all() and not shaken.pbc.any() and np.abs(shaken.positions - alone.positions).max() > 0.01


# --- the command line ---


def test_the_command_exports_by_file_or_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ENGINES, "openmm", Liar())
    result = CliRunner().invoke(app, ["export", "--to", "openmm", "gas"])
    assert result.exit_code == 0, result.output
    assert "openmm: 3 structures differ from ours by" in result.output and Path("gas_for_openmm/run.py").is_file()
    Path("mine.smi").write_text("CO\n")
    lively_potential().save("mine.safetensors")
    more = ["--start", "mine.smi", "--folder", "there", "--no-check"]
    result = CliRunner().invoke(app, ["export", "mine.safetensors", "--to", "openmm", *more])
    assert result.exit_code == 0 and "not checked here, because --no-check" in result.output
    assert Path("there/start.extxyz").read_text().startswith("6\n")


def test_the_command_says_in_a_line_what_goes_wrong(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ENGINES, "openmm", Liar(forces=0.1))
    result = CliRunner().invoke(app, ["export", "--to", "openmm", "gas"])
    assert result.exit_code == 1 and "openmm computes something else than we do" in result.stderr
    result = CliRunner().invoke(app, ["export", "--to", "openmm", "nowhere.safetensors"])
    assert result.exit_code == 1 and len(result.stderr.strip().splitlines()) == 1


def test_energies_that_start_from_a_charged_structure_are_compared_too(tmp_path):
    installed("openmm")
    potential = lively_potential()
    potential.of_charge[0] = 1.5
    start = Atoms("OHHH", molecule("O").positions.tolist() + [[0.0, -0.3, 1.0]], info={"charge": 1})
    export(potential, "openmm", tmp_path, start, check=False)
    (answer,) = ENGINES["openmm"].answers(tmp_path, [start])
    assert answer.energy == pytest.approx(answer_of(PotentialCalculator(potential), start).energy, abs=1e-5)
