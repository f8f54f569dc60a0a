"""Frames are drawn as the formulas say."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from tpainn_lite.structures.build import molecule
from tpainn_lite.teachers import sample as sampling
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.sample import (
    normal_mode_frames,
    normal_modes,
    rattled_frames,
    shaken_molecules,
    thermal_frames,
)


class Bond(Calculator):
    """A spring of 30 eV/Å² and 1 Å between atoms 0 and 1."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        r = atoms.positions[1] - atoms.positions[0]
        d = np.linalg.norm(r)
        self.results["energy"] = 15.0 * (d - 1.0) ** 2
        self.results["forces"] = np.array([1, -1])[:, None] * 30.0 * (d - 1.0) * r / d


# --- normal modes ---


def test_frequency_of_a_spring_is_the_root_of_stiffness_over_reduced_mass():
    pair = Atoms("HF", [[0, 0, 0], [0, 0, 1.0]])
    (energy,), modes = normal_modes(pair, Bond())
    mass = np.prod(pair.get_masses()) / pair.get_masses().sum() * units._amu
    omega = np.sqrt(30.0 * units._e * 1e20 / mass)  # 1/s
    assert energy == pytest.approx(units._hbar * omega / units._e, rel=1e-4)
    assert modes.shape == (1, 2, 3)
    assert np.abs(modes[0, :, :2]).max() < 1e-6  # along the bond


@pytest.mark.parametrize(("smiles", "n_modes"), [("O", 3), ("C#N", 4), ("CCO", 21)])
def test_a_molecule_has_3n_minus_6_modes_and_a_linear_one_3n_minus_5(smiles, n_modes):
    energies, modes = normal_modes(molecule(smiles), mmff94())
    assert len(energies) == len(modes) == n_modes
    assert energies.min() > 0.01 * units.invcm


def test_one_atom_has_no_modes():
    energies, modes = normal_modes(Atoms("O"), EMT())
    assert len(energies) == 0
    assert modes.shape == (0, 1, 3)


def test_normal_mode_frames_have_half_kt_of_energy_per_mode():
    water, teacher, kelvin = molecule("O"), mmff94(), 30.0
    frames = normal_mode_frames(water, teacher, kelvin, 400, seed=1)
    start = teacher.get_potential_energy(water)
    energies = np.array([teacher.get_potential_energy(atoms) - start for atoms in frames])
    assert energies.mean() == pytest.approx(1.5 * units.kB * kelvin, rel=0.15)
    assert {(f.info["config_type"], f.info["temperature"], f.info["smiles"]) for f in frames} == {
        ("normal_modes", kelvin, "O")
    }


def test_normal_mode_frames_are_the_same_for_the_same_seed_and_keep_the_centre_of_mass():
    water = molecule("O")
    first, again, other = (normal_mode_frames(water, mmff94(), (100, 500), 3, seed) for seed in (1, 1, 2))
    assert all((a.positions == b.positions).all() for a, b in zip(first, again, strict=True))
    assert not np.allclose(first[0].positions, other[0].positions)
    assert all(100 <= atoms.info["temperature"] <= 500 for atoms in first)
    np.testing.assert_allclose([a.get_center_of_mass() for a in first], [water.get_center_of_mass()] * 3, atol=1e-6)


# --- thermal frames ---


def test_thermal_frames_are_as_many_as_asked_heat_up_and_leave_the_start_alone():
    water = molecule("O")
    before = water.copy()
    frames = thermal_frames(water, mmff94(), (200, 600), 4, seed=1, spacing=20)
    temperatures = [atoms.info["temperature"] for atoms in frames]
    assert temperatures == sorted(temperatures)
    assert 200 <= temperatures[0] < temperatures[-1] <= 600
    assert water == before
    np.testing.assert_allclose([a.get_center_of_mass() for a in frames], 0, atol=1e-9)
    assert {atoms.info["config_type"] for atoms in frames} == {"thermal"}


def test_thermal_frames_of_a_periodic_box_stay_where_they_are():
    copper = bulk("Cu", cubic=True)
    frames = thermal_frames(copper, EMT(), 300, 2, spacing=10)
    assert all(atoms.pbc.all() and np.abs(atoms.positions - copper.positions).max() < 1 for atoms in frames)


@pytest.mark.parametrize("bad", [0, -5, (500, 300), (0, 100)])
def test_a_temperature_that_makes_no_sense_is_an_error(bad):
    with pytest.raises(ValueError, match=r"a positive number of K, or a pair \(low, high\), is expected"):
        thermal_frames(molecule("O"), mmff94(), bad, 1)


def test_frames_are_as_far_apart_as_asked_where_numbers_of_steps_are_not_whole_in_binary(monkeypatch):
    steps = []
    monkeypatch.setattr(sampling.Langevin, "run", lambda _, n: steps.append(n))
    thermal_frames(molecule("O"), mmff94(), 300, 2, spacing=0.3, timestep=0.1, warm_up=0.7)
    assert steps == [7, 3, 3]


@pytest.mark.parametrize("spacing", [0.4, 0.05, 0.75, 0, -1, np.nan, "1"])
def test_frames_nearer_than_a_step_or_between_two_steps_are_an_error(spacing):
    with pytest.raises(ValueError, match="spacing is"):
        thermal_frames(molecule("O"), mmff94(), 300, 2, spacing=spacing, timestep=0.5)


def test_fixed_atoms_swing_in_normal_modes_like_all_others():
    water, fixed = molecule("O"), molecule("O")
    fixed.set_constraint(FixAtoms([0]))
    np.testing.assert_array_equal(normal_modes(water, mmff94())[0], normal_modes(fixed, mmff94())[0])


def test_an_explosion_is_an_error_and_no_frame():
    class Away(Bond):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["forces"] = np.full((2, 3), np.nan)

    with pytest.raises(ValueError, match="MD at 300 K exploded"):
        thermal_frames(Atoms("HF", [[0, 0, 0], [0, 0, 1.0]]), Away(), 300, 1)


WATER = molecule("O")
NONSENSE = [
    lambda: normal_modes(WATER, mmff94(), step=0), lambda: normal_modes(WATER, mmff94(), step=np.nan),
    lambda: normal_modes(WATER, mmff94(), step="x"), lambda: normal_modes("O", mmff94()),
    lambda: normal_modes(Atoms(), mmff94()), lambda: normal_mode_frames(WATER, mmff94(), 300, -1),
    lambda: normal_mode_frames(WATER, mmff94(), 300, 2.5), lambda: normal_mode_frames(WATER, mmff94(), "hot", 2),
    lambda: normal_mode_frames(WATER, mmff94(), (100, np.inf), 2),
    lambda: normal_mode_frames(WATER, mmff94(), (1, 2, 3), 2), lambda: normal_mode_frames(WATER, mmff94(), None, 2),
    lambda: normal_mode_frames(WATER, mmff94(), 300, 2, seed=-1), lambda: thermal_frames(WATER, mmff94(), 300, -3),
    lambda: thermal_frames(WATER, mmff94(), 300, 1, timestep=0),
    lambda: thermal_frames(WATER, mmff94(), 300, 1, warm_up=-1), lambda: thermal_frames(None, mmff94(), 300, 1),
    lambda: shaken_molecules("CCO"), lambda: shaken_molecules(3), lambda: shaken_molecules(["CCO"], n_frames=-1),
    lambda: shaken_molecules(["CCO"], temperature=-5), lambda: shaken_molecules(["CCO"], seed="x"),
    lambda: rattled_frames(WATER, -0.1, 2), lambda: rattled_frames(WATER, np.nan, 2),
    lambda: rattled_frames(WATER, 0.1, -2), lambda: rattled_frames(WATER, 0.1, 2, seed=1.5),
    lambda: rattled_frames([WATER], 0.1, 2),
]  # fmt: skip


@pytest.mark.parametrize("call", NONSENSE)
def test_what_makes_no_sense_is_refused_at_once(call):
    with pytest.raises((ValueError, TypeError), match="expected"):
        call()


# --- boxes, copies ---


def test_every_atom_is_rattled_by_as_much_as_asked():
    frames = rattled_frames(ase_molecule("CH3CH2OH"), 0.1, 200, seed=3)
    pushes = np.array([atoms.positions for atoms in frames]) - ase_molecule("CH3CH2OH").positions
    assert pushes.std() == pytest.approx(0.1, rel=0.03)
    assert abs(pushes.mean()) < 0.005
    again = rattled_frames(ase_molecule("CH3CH2OH"), 0.1, 200, seed=3)
    np.testing.assert_array_equal(frames[7].positions, again[7].positions)


def test_molecules_from_smiles_come_with_an_id_and_those_that_cannot_be_built_are_named(capsys):
    frames = list(shaken_molecules(["CO", "not a molecule", "N"], n_frames=2, seed=4))
    assert [atoms.info["id"] for atoms in frames] == ["CO/0", "CO/1", "N/0", "N/1"]
    assert "left out: 'not a molecule' is not a SMILES" in capsys.readouterr().err
    again = list(shaken_molecules(["CO", "not a molecule", "N"], n_frames=2, seed=4))
    np.testing.assert_array_equal(frames[1].positions, again[1].positions)
