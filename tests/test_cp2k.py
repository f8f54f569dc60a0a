"""Liquids with CP2K: exact forces, a dead program noticed, clear refusals."""

import gc
import pickle
import shutil

import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.calculators.cp2k import CP2K

from tpainn_lite.structures.build import water_box
from tpainn_lite.teachers.cp2k import QUICK_SCF, SAFE_SCF, CP2KCalculator, _scf_steps
from tpainn_lite.teachers.label import label

needs_cp2k = pytest.mark.skipif(not shutil.which("cp2k.psmp"), reason="needs CP2K: apt-get install cp2k")


@needs_cp2k
def test_a_water_molecule_in_a_box_has_exact_forces_and_starts_from_the_frame_before():
    box, step = water_box(1, density=0.06, seed=1), 0.01
    calculator = CP2KCalculator("water")
    force, energy = calculator.get_forces(box)[1, 0], []
    first = calculator.record["scf_steps"]
    for sign in (1, -1):
        moved = box.copy()
        moved.positions[1, 0] += sign * step
        energy.append(calculator.get_potential_energy(moved))
    assert (energy[1] - energy[0]) / (2 * step) == pytest.approx(force, abs=0.05)
    moved.positions[1, 0] += 1e-4  # so near to the last one that little is left to do
    calculator.get_potential_energy(moved)
    assert calculator.record["scf_steps"] < first
    calculator.close()


@needs_cp2k
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # ASE tidies up after a dead CP2K, loudly
def test_when_cp2k_dies_the_frame_is_skipped_and_that_is_said():
    calculator = CP2KCalculator("water", command="cp2k.psmp --nonsense")
    with pytest.raises(ValueError, match="CP2K stopped"):
        label([water_box(1, density=0.06)], calculator, progress=False)
    gc.collect()


def test_a_frame_whose_scf_failed_is_tried_once_more_with_safer_settings(monkeypatch):
    tried = []

    def single_point(self, atoms, scf, electrons):
        tried.append(scf)
        if scf is QUICK_SCF:
            raise CalculationFailed("CP2K stopped")
        return {"energy": -1.0, "forces": atoms.positions, "stress": [0.0] * 6}, 20

    monkeypatch.setattr(CP2KCalculator, "_single_point", single_point)
    calculator = CP2KCalculator("water")
    assert calculator.get_potential_energy(water_box(1, density=0.06)) == -1.0
    assert tried == [QUICK_SCF, SAFE_SCF] and calculator.record["scf_steps"] == 20


@pytest.mark.parametrize(
    ("output", "steps"),
    [
        ("*** SCF run converged in     7 steps ***", 7),
        ("Leaving inner SCF loop after reaching     8 steps.\n*** SCF run converged in     6 steps ***", 14),
        ("*** SCF run converged in 3 steps ***\nLeaving inner SCF loop after reaching     8 steps.", None),
        ("", None),
    ],
)
def test_an_scf_that_did_not_converge_is_noticed(output, steps):
    assert _scf_steps(output) == steps


@pytest.mark.parametrize("atoms", [ase_molecule("H2O"), Atoms("Na", cell=[5] * 3, pbc=True)])
def test_cp2k_says_what_it_can_compute(atoms):
    with pytest.raises(ValueError, match="periodic box of H, B, C, N, O, .* is expected"):
        CP2KCalculator("water").get_potential_energy(atoms)


@pytest.mark.parametrize(
    ("charge", "multiplicity", "lines"),
    [(1, 1, {"CHARGE 1", "MULTIPLICITY 1"}), (0, 2, {"MULTIPLICITY 2", "UNRESTRICTED_KOHN_SHAM ON"})],
)
def test_charge_and_spin_of_a_box_reach_cp2ks_input(monkeypatch, charge, multiplicity, lines):
    h3o = ase_molecule("H2O") + Atoms("H", [[0, 0, -1.0]])
    h3o.cell, h3o.pbc, h3o.info = [6.0] * 3, True, {"charge": charge, "multiplicity": multiplicity}
    assert lines <= set(lines_of_input(monkeypatch, h3o))


def test_each_element_of_a_liquid_has_its_basis_and_pseudopotential(monkeypatch):
    methanol = ase_molecule("CH3OH")
    methanol.cell, methanol.pbc = [6.0] * 3, True
    lines = lines_of_input(monkeypatch, methanol)
    assert [line for line in lines if line.startswith("&KIND")] == ["&KIND C", "&KIND H", "&KIND O"]
    assert lines[lines.index("&KIND C") + 2] == "POTENTIAL GTH-NLCC-PBE-q4"


def lines_of_input(monkeypatch, atoms):
    """What CP2K would be given, line by line."""
    written = []

    class WithoutProgram(CP2K):
        def __init__(self, command, **settings):
            self._shell = None
            Calculator.__init__(self, **settings)

        def calculate(self, structure, *_):
            self.atoms = structure
            written.append(self._generate_input())
            raise AssertionError("that is all that is wanted")

    monkeypatch.setattr("tpainn_lite.teachers.cp2k.CP2K", WithoutProgram)
    with pytest.raises(CalculationFailed):
        CP2KCalculator(command="none").get_potential_energy(atoms)
    return [line.strip() for line in written[0].splitlines()]


def test_a_box_of_which_nobody_says_whether_it_is_charged_is_refused_by_cp2k():
    box = water_box(1, density=0.06) + Atoms("H", [[2, 2, 2]])
    with pytest.raises(ValueError, match="H3O has an odd number of electrons .* is expected"):
        CP2KCalculator("water", command="none").get_potential_energy(box)


def test_without_cp2k_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install cp2k"):
        CP2KCalculator("water").get_potential_energy(water_box(1))


def test_a_cp2k_calculator_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(CP2KCalculator("water", cutoff=600))).level.endswith("600 Ry")


@pytest.mark.parametrize(
    "settings",
    [{"cutoff": 0}, {"cutoff": -480.0}, {"cutoff": float("nan")}, {"cutoff": 1e9}, {"cutoff": "480"}, {"command": ""},
     {"command": 5}, {"level": "ice"}, {"level": None}, {"level": ["water"]}],
)  # fmt: skip
def test_settings_that_cp2k_could_not_take_are_an_error(settings):
    with pytest.raises(ValueError, match="(cutoff|command|level) .*(expected|possible|not one of)"):
        CP2KCalculator(**settings)
