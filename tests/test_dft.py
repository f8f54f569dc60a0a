"""DFT labels: QM9's own numbers, exact forces, clear refusals."""

import builtins
import gc
import pickle
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.units import Hartree
from conftest import shaken

from tpainn_lite.structures.build import molecule
from tpainn_lite.teachers.dft import PySCFCalculator, mean_field

MICROHARTREE = 1e-6 * Hartree

# PySCF leaves its temporary files to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*tmp/tmp:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def no_files_left_for_later_tests():
    yield
    gc.collect()


@pytest.fixture(scope="module")
def small_qm9(reference_data):
    """{QM9 number: structure with its energy} of methane, ammonia and water."""
    path = reference_data.folder / "qm9" / "qm9_part.npz"
    numbers = (frame["id"] for frame in reference_data.frames(path))
    wanted = {}
    for number, atoms in zip(numbers, reference_data.atoms(path), strict=True):
        if int(number) in (1, 2, 3):
            wanted[int(number)] = atoms
        if len(wanted) == 3:
            return wanted
    raise AssertionError(f"molecules 1, 2 and 3 are not in {path}")


@pytest.mark.parametrize("number", [1, 2, 3], ids=["methane", "ammonia", "water"])
@pytest.mark.parametrize(("level", "tolerance"), [("qm9_exact", 2), ("qm9", 30)])
def test_energy_is_that_of_qm9(small_qm9, number, level, tolerance):
    atoms = small_qm9[number]
    energy = PySCFCalculator(level).get_potential_energy(atoms)
    assert abs(energy - atoms.get_potential_energy()) < tolerance * MICROHARTREE


def test_values_kept_on_the_grid_change_nothing(monkeypatch):
    """They save a fifth of the time; a new geometry, or a new grid of the same one, gets new values."""
    water, quick = ase_molecule("H2O"), PySCFCalculator("qm9")
    kept = [(quick.get_potential_energy(atoms), quick.get_forces(atoms)) for atoms in (water, shaken(water))]
    monkeypatch.setattr("tpainn_lite.teachers.dft._keep_orbitals_on_grid", lambda numint: None)
    plain = PySCFCalculator("qm9")
    for atoms, (energy, forces) in zip((water, shaken(water)), kept, strict=True):
        assert plain.get_potential_energy(atoms) == pytest.approx(energy, abs=1e-7)
        assert plain.get_forces(atoms) == pytest.approx(forces, abs=1e-5)
    assert quick.record["scf_cycles"] > 3 and quick.record["seconds"] > 0


def test_water_has_the_energy_published_for_qm9():
    """QM9's molecule 3 as published: geometry in Å, U0 and zero-point energy in Hartree."""
    positions = [[-0.0343604951, 0.9775395708, 0.0076015923], [0.0647664923, 0.0205721989, 0.0015346341]]
    water = Atoms("OHH", [*positions, [0.8717903737, 1.3007924048, 0.0006931336]])
    published = (-76.404702 - 0.021375) * Hartree
    assert abs(PySCFCalculator("qm9").get_potential_energy(water) - published) < 30 * MICROHARTREE


@pytest.mark.parametrize("level", ["qm9", "qm9_exact"])
def test_forces_are_minus_the_slope_of_the_energy(level):
    water, step = shaken(ase_molecule("H2O"), by=0.1), 1e-3
    calculator = PySCFCalculator(level)
    forces = calculator.get_forces(water)
    energies = []
    for move in (step, -2 * step):
        water.positions[0, 2] += move
        energies.append(calculator.get_potential_energy(water))
    slope = -(energies[0] - energies[1]) / (2 * step)
    assert abs(slope) > 0.1
    assert forces[0, 2] == pytest.approx(slope, abs=1e-3 if level == "qm9_exact" else 1e-2)


def test_forces_sum_to_zero():
    forces = PySCFCalculator("qm9").get_forces(shaken(ase_molecule("H2O")))
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-12)


def test_the_basis_has_six_d_and_seven_f_functions():
    field = mean_field(ase_molecule("HF"))
    pure = field.check_linear_dependency(field.get_ovlp())
    fluorine, hydrogen = 3 + 2 * 3 + 2 * 6 + 7, 2 + 3  # 3s 2p 2d 1f, 2s 1p
    assert pure.shape[1] == fluorine + hydrogen


def test_a_calculator_started_from_the_last_frame_gives_the_same_as_a_fresh_one():
    first, second = shaken(ase_molecule("H2O"), 0), shaken(ase_molecule("H2O"), 1)
    used, fresh = PySCFCalculator("qm9"), PySCFCalculator("qm9")
    used.get_potential_energy(first)
    assert used.get_potential_energy(second) == pytest.approx(fresh.get_potential_energy(second), abs=1e-6)
    np.testing.assert_allclose(used.get_forces(second), fresh.get_forces(second), atol=1e-3)


def test_a_used_calculator_can_be_sent_to_another_process():
    calculator = PySCFCalculator("qm9")
    calculator.get_potential_energy(ase_molecule("H2"))
    copy = pickle.loads(pickle.dumps(calculator))
    assert copy.get_potential_energy(ase_molecule("H2")) == pytest.approx(calculator.results["energy"], abs=1e-6)


def test_without_pyscf_the_error_says_how_to_install_it(monkeypatch):
    real_import = builtins.__import__

    def no_pyscf(name, *args, **kwargs):
        if name.split(".")[0] == "pyscf":
            raise ImportError("No module named 'pyscf'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pyscf)
    with pytest.raises(ImportError, match=r"DFT labels need PySCF: pip install 'tpainn_lite\[dft\]'"):
        PySCFCalculator("qm9").get_potential_energy(ase_molecule("H2O"))


def test_an_element_without_a_basis_is_an_error_that_lists_the_supported_ones():
    with pytest.raises(ValueError, match=r"no 6-31G\(2df,p\) basis here for Cl, S; H, C, N, O and F are supported"):
        PySCFCalculator("qm9").get_potential_energy(Atoms("SCl", [[0, 0, 0], [0, 0, 2]]))


def test_an_odd_number_of_electrons_without_charge_or_spin_is_an_error():
    methyl = ase_molecule("CH3")
    methyl.set_initial_magnetic_moments(None)
    with pytest.raises(ValueError, match=r"CH3 has an odd number of electrons \(9\), and nothing says whether"):
        PySCFCalculator("qm9").get_potential_energy(methyl)


@pytest.mark.parametrize(("smiles", "charge", "spin"), [("[NH4+]", 1, 0), ("[OH-]", -1, 0), ("O=O", 0, 2)])
def test_ions_and_radicals_have_the_electrons_that_their_smiles_says(smiles, charge, spin):
    field = mean_field(molecule(smiles))
    assert (field.mol.charge, field.mol.spin) == (charge, spin)


def test_oxygen_is_a_triplet_and_its_forces_are_slopes():
    calculator, oxygen, step, energies = PySCFCalculator("qm9"), Atoms("O2", [[0, 0, 0], [0, 0, 1.3]]), 1e-3, []
    force = calculator.get_forces(oxygen)[1, 2]
    assert (calculator.record["charge"], calculator.record["multiplicity"]) == (0, 3)
    for move in (step, -2 * step):
        oxygen.positions[1, 2] += move
        energies.append(calculator.get_potential_energy(oxygen))
    assert force == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=0.01)
    oxygen.info["multiplicity"] = 1
    assert calculator.get_potential_energy(oxygen) > energies[1] + 1, (
        "the singlet of paired electrons lies 1.6 eV above"
    )


def test_a_molecule_does_not_start_from_the_electrons_of_another_charge():
    used, fresh = PySCFCalculator("qm9"), PySCFCalculator("qm9")
    hydroxyl = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"multiplicity": 2})
    used.get_potential_energy(hydroxyl)
    ion = molecule("[OH-]")
    assert used.get_potential_energy(ion) == pytest.approx(fresh.get_potential_energy(ion), abs=1e-6)
    assert used.record["scf_cycles"] == fresh.record["scf_cycles"]


def test_an_unknown_level_is_an_error_that_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"level 'ccsd' is not one of \('qm9', 'qm9_exact', 'pbe0_svp', 'pbe0', 'wb97x'\)"
    ):
        PySCFCalculator("ccsd")


@pytest.mark.parametrize(
    ("level", "name", "method", "damping"),
    [("pbe0_svp", "HCl", "pbe0", "d3bj"), ("wb97x", "HF", "wb97x", "d3bj"), ("pbe0_svp", "I2", "pbe0", "d3bj")],
)
def test_levels_for_other_elements_are_functional_basis_and_dispersion(level, name, method, damping):
    """Put together here from PySCF's parts: the electrons without dispersion, and the dispersion apart."""
    pyscf, dispersion = pytest.importorskip("pyscf.dft"), pytest.importorskip("pyscf.dispersion.dftd3")
    from pyscf.gto import M

    atoms = Atoms("I2", [[0, 0, 0], [0, 0, 2.7]]) if name == "I2" else ase_molecule(name)
    basis = {"pbe0_svp": "def2-svp", "wb97x": "def2-tzvp"}[level]
    mol = M(atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis=basis, verbose=0,
            ecp={"I": basis} if name == "I2" else {})  # fmt: skip
    field = pyscf.RKS(mol, xc={"pbe0_svp": "pbe0", "wb97x": "wb97x-v"}[level])
    field.nlc, field.disp, field.grids.level, field.conv_tol = 0, None, 4, 1e-9
    d3 = dispersion.DFTD3Dispersion(mol, xc=method, version=damping).get_dispersion()["energy"]
    energy = PySCFCalculator(level).get_potential_energy(atoms)
    assert energy == pytest.approx((field.kernel() + d3) * Hartree, abs=0.01)  # density fitting, a coarser grid
    assert d3 * Hartree < -5e-4, "dispersion draws atoms together"


@pytest.mark.parametrize(
    ("smiles", "charge", "level"),
    [("CS", 0, "pbe0_svp"), ("[NH4+]", 1, "pbe0_svp"), ("I", 0, "pbe0_svp"), ("[SH-]", -1, "wb97x")],
)
def test_forces_of_the_other_levels_are_slopes(smiles, charge, level):
    atoms, calculator, step = shaken(molecule(smiles, seed=0), by=0.05), PySCFCalculator(level), 2e-3
    forces, energies = calculator.get_forces(atoms), []
    assert calculator.record["charge"] == charge
    for move in (step, -2 * step):
        atoms.positions[0, 2] += move
        energies.append(calculator.get_potential_energy(atoms))
    assert forces[0, 2] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=6e-3)


def test_elements_that_qm9s_level_lacks_have_another_level_up_to_radon():
    with pytest.raises(ValueError, match=r'other levels know more elements, PySCFCalculator\("pbe0"\)'):
        PySCFCalculator("qm9").get_potential_energy(ase_molecule("SH2"))
    with pytest.raises(ValueError, match="no def2-svp basis for Ra; elements up to radon are supported"):
        PySCFCalculator("pbe0_svp").get_potential_energy(Atoms("RaH2", [[0, 0, 0], [0, 0, 2], [0, 2, 0]]))


def test_without_dispersion_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyscf.dispersion", None)
    with pytest.raises(
        ImportError, match=r"DFT labels need PySCF and pyscf-dispersion: pip install 'tpainn_lite\[dft\]'"
    ):
        PySCFCalculator("pbe0").get_potential_energy(ase_molecule("H2O"))


def test_values_that_would_fill_the_memory_are_not_kept_on_the_grid(monkeypatch):
    water, wanted = ase_molecule("H2O"), PySCFCalculator("qm9")
    monkeypatch.setattr("tpainn_lite.teachers.dft.KEPT_ON_GRID", 0)
    assert PySCFCalculator("qm9").get_potential_energy(water) == pytest.approx(
        wanted.get_potential_energy(water), abs=1e-6
    )


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, None, "many"])
def test_no_number_of_threads_is_an_error(n_threads):
    with pytest.raises(ValueError, match="n_threads is .*; a whole number of at least 1"):
        PySCFCalculator("qm9", n_threads)


def test_a_box_and_a_broken_molecule_are_refused_before_pyscf_sees_them(water_box):
    with pytest.raises(ValueError, match=r"has pbc \[True, True, True\]; PySCF computes single molecules here"):
        PySCFCalculator("qm9").get_potential_energy(water_box)
    for positions in (np.full((3, 3), np.nan), np.zeros((3, 3))):
        with pytest.raises(ValueError, match="not a finite number|apart"):
            PySCFCalculator("qm9").get_potential_energy(Atoms("OHH", positions))


@pytest.mark.parametrize(
    "settings", [{"grid_level": -1}, {"grid_level": 99}, {"grid_level": "fine"}, {"xc": ""}, {"xc": None}]
)
def test_settings_that_are_none_are_an_error(settings):
    with pytest.raises(ValueError, match="(grid_level|xc) is .* is expected"):
        mean_field(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), **settings)
