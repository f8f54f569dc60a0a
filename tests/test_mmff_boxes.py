"""MMFF94's terms as OpenMM computes them: RDKit's numbers for molecules and clusters; boxes prove themselves."""

import numpy as np
import pytest
from ase import Atoms

from tpainn_lite.reading.shipped import molecule_list
from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.build import dimer_frames, molecule
from tpainn_lite.structures.geometry import density_of
from tpainn_lite.structures.liquids import liquid
from tpainn_lite.teachers.liquid_md import liquid_run
from tpainn_lite.teachers.mmff_liquid import DAMPED, EWALD, MMFF94Liquid
from tpainn_lite.teachers.mmff_system import tail_of
from tpainn_lite.teachers.rdkit import mmff94

EDGES = [
    "CC#N", "C=C=C", "CC#C", "C[N+](=O)[O-]", "CS(N)(=O)=O", "c1ccccc1Cl", "CP(=O)(O)O", "C1CC1C", "C1=CC1",
    "C1CCC1", "CN=[N+]=[N-]", "[Na+].[Cl-]", "CC(=O)[O-]", "C[NH3+]", "O=C=O", "C[N+]#[C-]", "c1ccoc1", "BrCCBr",
    "C[Si](C)(C)C", "CC(=O)NC", "NC(N)=[NH2+]", "c1c[nH]cn1", "CI", "OO", "CC=NO", "O", "C", "S", "C1CC2CC12",
    "c1ccc2ccccc2c1", "O=S=O", "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
]  # fmt: skip


def is_typed(smiles):
    try:
        mmff94().get_potential_energy(molecule(smiles))
    except ForceFieldError:
        return False
    return True


def shaken(atoms, size, seed=0):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, size, atoms.positions.shape)
    return atoms


@pytest.mark.parametrize("smiles", EDGES)
@pytest.mark.parametrize("size", [0.0, 0.08])
def test_energies_and_forces_are_those_of_rdkit(smiles, size):
    atoms = shaken(molecule(smiles), size)
    ours, theirs = MMFF94Liquid(), mmff94()
    assert ours.get_potential_energy(atoms) == pytest.approx(theirs.get_potential_energy(atoms), abs=1e-6)
    np.testing.assert_allclose(ours.get_forces(atoms), theirs.get_forces(atoms), atol=1e-5)


def test_energies_and_forces_of_molecules_of_the_list_are_those_of_rdkit():
    for smiles in [s for s in molecule_list()[::150] if is_typed(s)]:
        atoms = shaken(molecule(smiles), 0.05)
        ours, theirs = MMFF94Liquid(), mmff94()
        assert ours.get_potential_energy(atoms) == pytest.approx(theirs.get_potential_energy(atoms), abs=1e-6), smiles
        np.testing.assert_allclose(ours.get_forces(atoms), theirs.get_forces(atoms), atol=1e-5, err_msg=smiles)


def test_clusters_cut_out_of_a_liquid_are_those_of_rdkit():
    """Molecule after molecule here; in RDKit's order, heavy atoms first, there."""
    box = liquid({"CO": 6, "CC#N": 2, "ClC(Cl)Cl": 2}, density=0.9, seed=2)
    cluster = Atoms(box.numbers, box.positions, info=box.info)
    order = np.argsort(cluster.numbers == 1, kind="stable")
    same = cluster[order]
    same.info = {"smiles": ".".join(["CO"] * 6 + ["CC#N"] * 2 + ["ClC(Cl)Cl"] * 2)}
    ours, theirs = MMFF94Liquid(), mmff94()
    assert ours.get_potential_energy(cluster) == pytest.approx(theirs.get_potential_energy(same), abs=1e-6)
    np.testing.assert_allclose(ours.get_forces(cluster)[order], theirs.get_forces(same), atol=1e-5)


def test_pairs_of_molecules_are_those_of_rdkit():
    for frame in dimer_frames(molecule("CC(=O)[O-]"), molecule("C[NH3+]"), 4):
        ours, theirs = MMFF94Liquid(), mmff94()
        assert ours.get_potential_energy(frame) == pytest.approx(theirs.get_potential_energy(frame), abs=1e-6)
        np.testing.assert_allclose(ours.get_forces(frame), theirs.get_forces(frame), atol=1e-5)


@pytest.fixture(scope="module")
def sheared():
    """A box of methanol and water as it moves, sheared, turned in space, and cut by its walls."""
    box = next(liquid_run(liquid({"CO": 24, "O": 12}, density=0.8), MMFF94Liquid(5.0), n_frames=1, warm_up=300))
    box.set_cell(box.cell.array @ [[1.02, 0.05, -0.03], [0.0, 0.99, 0.04], [0.02, 0.0, 1.01]], scale_atoms=True)
    box.rotate(40, (1, 2, 3), rotate_cell=True)
    box.wrap()
    return box


@pytest.mark.parametrize("electrostatics", [EWALD, DAMPED])
def test_forces_in_a_box_are_the_slope_of_the_energy(sheared, electrostatics):
    teacher = MMFF94Liquid(5.0, electrostatics, platform="Reference")
    forces, step = teacher.get_forces(sheared).copy(), 1e-4
    for atom, axis in [(0, 0), (5, 1), (40, 2), (150, 0), (170, 1)]:
        energies = []
        for sign in (1, -1):
            moved = sheared.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(teacher.get_potential_energy(moved))
        assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / (2 * step), abs=2e-3)


@pytest.mark.parametrize("electrostatics", [EWALD, DAMPED])
def test_stress_is_the_slope_of_the_energy_of_a_box_that_is_stretched_with_its_wrapped_atoms(sheared, electrostatics):
    teacher = MMFF94Liquid(5.0, electrostatics, platform="Reference")
    stress, step = teacher.get_stress(sheared), 2e-4
    for number, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        energies = []
        for sign in (1, -1):
            stretch = np.eye(3)
            stretch[a, b] += sign * step / 2
            stretch[b, a] += sign * step / 2
            moved = sheared.copy()
            moved.set_cell(moved.cell.array @ stretch, scale_atoms=True)
            energies.append(teacher.get_potential_energy(moved))
        slope = (energies[0] - energies[1]) / (2 * step * sheared.get_volume())
        assert stress[number] == pytest.approx(slope, abs=2e-5)  # 3 MPa


@pytest.mark.parametrize("electrostatics", [EWALD, DAMPED])
def test_the_fast_platform_agrees_with_double_precision(sheared, electrostatics):
    fast, exact = (MMFF94Liquid(5.0, electrostatics, platform=name) for name in ("CPU", "Reference"))
    assert fast.get_potential_energy(sheared) == pytest.approx(exact.get_potential_energy(sheared), abs=1e-3)
    np.testing.assert_allclose(fast.get_forces(sheared), exact.get_forces(sheared), atol=1e-4)
    np.testing.assert_allclose(fast.get_stress(sheared), exact.get_stress(sheared), atol=1e-5)


def test_labels_do_not_depend_on_which_box_came_before():
    """OpenMM keeps the grid of its first box: in a wider one it would be too coarse."""
    small, large = liquid("CO", 16, density=0.79), liquid("CO", 54, density=0.79)
    first = MMFF94Liquid(4.5)
    first.get_potential_energy(small)
    for scale in (1.0, 1.1, 1.5):
        wide = large.copy()
        wide.set_cell(wide.cell * scale)
        assert first.get_potential_energy(wide) == MMFF94Liquid(4.5).get_potential_energy(wide)


def test_in_a_very_wide_box_a_molecule_is_as_if_alone():
    alone = molecule("CC(N)=O")
    boxed = alone.copy()
    boxed.cell, boxed.pbc = np.eye(3) * 60, True
    teacher = MMFF94Liquid(20.0, platform="Reference")
    assert teacher.get_potential_energy(boxed) == pytest.approx(mmff94().get_potential_energy(alone), abs=1e-3)
    np.testing.assert_allclose(teacher.get_forces(boxed), mmff94().get_forces(alone), atol=2e-3)


def test_with_the_tail_energy_and_pressure_hardly_depend_on_the_cutoff():
    """A buffer of the charges that is cut off, instead of shifted to its end, would press by 200 MPa more."""
    box = next(liquid_run(liquid("CO", 125, density=0.79), n_frames=1, warm_up=1000, labels=False))
    energies, pressures = {}, {}
    for tail in (True, False):
        teachers = [MMFF94Liquid(cutoff, tail=tail) for cutoff in (6.5, 7.5, 10.0)]
        energies[tail] = np.ptp([teacher.get_potential_energy(box) for teacher in teachers])
        pressures[tail] = np.ptp([teacher.get_stress(box)[:3].mean() * 160218 for teacher in teachers])  # MPa
    assert energies[True] < 0.25 < 0.9 < energies[False]
    assert pressures[True] < 8 < 20 < pressures[False]


def test_the_energy_of_the_tail_falls_as_the_fourth_power_of_the_cutoff():
    """The buffered attraction falls as the seventh of the distance."""
    counts = ((64, "CO"),)
    assert tail_of(counts, 60.0) < 0
    assert tail_of(counts, 30.0) / tail_of(counts, 60.0) == pytest.approx(16, rel=0.05)


def test_mixtures_of_many_kinds_of_atoms_use_tables_and_give_the_same():
    """Up to six kinds are computed as sums of products."""
    box = liquid({"CC(=O)NC": 4, "ClC(Cl)Cl": 4, "CC#N": 4}, density=0.5)
    cluster = Atoms(box.numbers, box.positions, info=box.info)
    order = np.argsort(cluster.numbers == 1, kind="stable")
    same = cluster[order]
    same.info = {"smiles": ".".join(["CC(=O)NC"] * 4 + ["ClC(Cl)Cl"] * 4 + ["CC#N"] * 4)}
    assert MMFF94Liquid().get_potential_energy(cluster) == pytest.approx(mmff94().get_potential_energy(same), abs=1e-6)


@pytest.mark.parametrize("settings", [{"cutoff": 0}, {"cutoff": 2.0}, {"electrostatics": "pme"}, {"platform": "GPU"}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="expected|not one of"):
        MMFF94Liquid(**settings)


def test_the_density_of_a_run_is_that_of_its_frames():
    frame = next(liquid_run(liquid("CO", 16, density=0.79), MMFF94Liquid(4.5), n_frames=1, spacing=5, warm_up=5))
    assert frame.info["density"] == pytest.approx(density_of(frame))
