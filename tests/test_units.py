"""Units: what people write is understood, and turns labels into eV, Å and eV/Å³."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.units import GPa

from tpainn_lite.reading.units import are_in_bohr, convert, parse_units, with_positions, words_of_positions
from tpainn_lite.structures.arguments import DatasetError

KCAL = units.kcal / units.mol


def labelled(scale=1.0, box=None, **labels):
    atoms = molecule("H2O")
    atoms.positions *= scale
    if box:
        atoms.set_cell(np.eye(3) * box * scale)
        atoms.pbc = True
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


@pytest.mark.parametrize(
    ("text", "energy", "forces"),
    [
        ("Hartree,Bohr", units.Hartree, units.Hartree / units.Bohr),
        ("Ha, a0", units.Hartree, units.Hartree / units.Bohr),
        ("hartree,Å", units.Hartree, units.Hartree),
        ("kcal/mol,Angstrom", KCAL, KCAL),
        ("kJ/mol,nm", KCAL / 4.184, KCAL / 41.84),
        ("Ry,bohr", units.Rydberg, units.Rydberg / units.Bohr),
        ("energy=meV", 1e-3, 1.0),
        ("forces=-eV/A", 1.0, -1.0),
        ("energy=kcal/mol; forces=-kcal/mol/Å", KCAL, -KCAL),
        ("energy=eV,forces=a.u.", 1.0, units.Hartree / units.Bohr),
    ],
)
def test_units_of_energies_and_forces_are_converted(text, energy, forces):
    frame = labelled(energy=2.0, forces=np.ones((3, 3)))
    results = convert([frame], text)[0].calc.results
    assert results["energy"] == pytest.approx(2 * energy)
    np.testing.assert_allclose(results["forces"], forces)
    assert frame.calc.results["energy"] == 2.0


@pytest.mark.parametrize(
    ("text", "factor"),
    [("GPa", GPa), ("-GPa", -GPa), ("kbar", GPa / 10), ("bar", GPa / 1e4), ("Ry/Bohr^3", units.Ry / units.Bohr**3),
     ("Hartree/Bohr³", units.Hartree / units.Bohr**3), ("kcal/mol/Å3", KCAL)],
)  # fmt: skip
def test_units_of_stress_are_converted(text, factor):
    results = convert([labelled(box=5, energy=0.0, stress=np.ones(6))], f"stress={text}")[0].calc.results
    np.testing.assert_allclose(results["stress"], factor)


def test_a_virial_is_minus_the_stress_times_the_volume():
    frame = convert([labelled(box=5, energy=0.0, stress=np.arange(6.0))], "stress=virial")[0]
    np.testing.assert_allclose(frame.get_stress(), -np.arange(6.0) / 125)
    frame = convert([labelled(box=5, energy=0.0, stress=np.arange(6.0))], "virial=kcal/mol")[0]
    np.testing.assert_allclose(frame.get_stress(), -np.arange(6.0) / 125 * KCAL)
    with pytest.raises(DatasetError, match="no cell"):
        convert([labelled(energy=0.0, stress=np.zeros(6))], "stress=virial")


def test_energies_of_an_atom_are_multiplied_by_their_number():
    assert convert([labelled(energy=-2.0)], "energy=eV/atom")[0].get_potential_energy() == -6.0


def test_positions_are_in_bohr_only_where_their_bonds_say_so():
    in_bohr = labelled(1 / units.Bohr, box=10, energy=0.0)
    assert are_in_bohr([in_bohr])
    moved = convert([in_bohr], "Hartree,Bohr")[0]
    np.testing.assert_allclose(moved.positions, molecule("H2O").positions)
    np.testing.assert_allclose(moved.cell.lengths(), 10)
    np.testing.assert_allclose(convert([labelled(energy=0.0)], "Hartree,Bohr")[0].positions, labelled().positions)
    words = [words_of_positions(with_positions(parse_units("Hartree,Bohr"), [x])) for x in (in_bohr, labelled())]
    assert words == ["positions from Bohr", "positions stay in Å"]
    np.testing.assert_allclose(convert([in_bohr], "positions=Bohr")[0].positions, molecule("H2O").positions)


@pytest.mark.parametrize("name", ["CH3CH2OH", "C6H6", "N2", "Si2H6", "SO2", "HCl", "H2", "LiF", "CF4"])
def test_bonds_of_ordinary_molecules_are_in_angstrom(name):
    atoms = molecule(name)
    assert not are_in_bohr([atoms])
    atoms.positions /= units.Bohr
    assert are_in_bohr([atoms])


def test_atoms_without_bonds_say_nothing_about_the_unit_of_length():
    assert not are_in_bohr([Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]]), Atoms("H")])


def test_fixed_atoms_and_what_else_a_frame_holds_stay():
    frame = labelled(1 / units.Bohr, energy=1.0, dipole=np.ones(3))
    frame.set_constraint(FixAtoms([0]))
    frame.info["id"] = "a"
    new = convert([frame], "Hartree,Bohr")[0]
    np.testing.assert_allclose(new.positions, molecule("H2O").positions)
    assert new.info["id"] == "a" and len(new.constraints) == 1
    np.testing.assert_allclose(new.calc.results["dipole"], 1)


@pytest.mark.parametrize("text", ["", "furlong", "Hartree", "Hartree,Bohr,Bohr", "energy=V", "stress=GPa/Å", "x=eV",
                                  "Hartree,stress=GPa", "positions=-Bohr", "stress=eV/Å2"])  # fmt: skip
def test_what_is_no_unit_is_refused_with_those_that_exist(text):
    with pytest.raises(ValueError, match="Hartree, Ry, kcal/mol"):
        parse_units(text)
