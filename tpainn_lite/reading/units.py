"""Units of other people's labels: said in a few words, and turned into eV, Å and eV/Å³ where foreign data enter.

``Hartree,Bohr`` is short for energies in Hartree and forces in Hartree/Bohr; the long form names each label,
``energy=kcal/mol,forces=-kcal/mol/Å,stress=GPa,positions=Bohr``, and a minus turns the sign: of gradients, say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase import units as ase_units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import DatasetError, shown
from tpainn_lite.structures.checks import check_frames
from tpainn_lite.structures.geometry import bond_lengths, search_pairs

ENERGIES = {
    "ev": 1.0, "mev": 1e-3, "hartree": ase_units.Hartree, "ry": ase_units.Rydberg,
    "kcal/mol": ase_units.kcal / ase_units.mol, "kj/mol": ase_units.kJ / ase_units.mol,
}  # fmt: skip  # in eV
LENGTHS = {"å": 1.0, "bohr": ase_units.Bohr, "nm": 10.0}  # in Å
PRESSURES = {
    "gpa": ase_units.GPa, "mpa": 1e-3 * ase_units.GPa, "kbar": 0.1 * ase_units.GPa, "bar": ase_units.bar,
    "pa": ase_units.Pascal, "atm": 101325 * ase_units.Pascal,
}  # fmt: skip  # in eV/Å³
SAME = {
    "ha": "hartree", "eh": "hartree", "e_h": "hartree", "hartrees": "hartree", "rydberg": "ry", "a0": "bohr",
    "bohrs": "bohr", "a": "å", "ang": "å", "angstrom": "å", "angstroms": "å", "ångström": "å", "kcal": "kcal/mol",
    "kj": "kj/mol", "electronvolt": "ev",
}  # fmt: skip
EXPECTED = (
    "'Hartree,Bohr' (energy, length), or 'energy=…,forces=…,stress=…,positions=…' is expected, of energies in eV, "
    "meV, Hartree, Ry, kcal/mol or kJ/mol (energy: with /atom where it is), lengths in Å, Bohr or nm, forces in "
    "energy/length, stress in GPa, MPa, kbar, bar, Pa, atm, energy/length³ or virial; -… turns the sign"
)
NOBLE = (2, 10, 18, 36, 54, 86)  # atoms without bonds
REACH = 2.3  # bond lengths; within it an atom has a neighbour, if lengths are in Bohr too
LOOKED_AT = 50  # frames, whose bonds tell the unit of length
BOHR_LIKE = (1.5, 2.3)  # nearest neighbours, in units of a bond's length, where Bohr were taken for Å


@dataclass(frozen=True)
class Units:
    """What one of each label's unit is in eV, Å or eV/Å³.

    ``positions`` is None where the lengths of bonds are to decide between Å and ``length``.

    >>> Units(energy=27.2114).forces
    1.0
    """

    energy: float = 1.0
    per_atom: bool = False
    forces: float = 1.0
    stress: float = 1.0
    virial: bool = False
    positions: float | None = 1.0
    length: float = 1.0


# --- words ---


def parse_units(text: str) -> Units:
    """`Units` from what somebody wrote.

    Raises
    ------
    ValueError
        A word that is no unit; the message lists those that exist.

    >>> parse_units("energy=eV/atom,forces=-eV/Å")
    Units(energy=1.0, per_atom=True, forces=-1.0, stress=1.0, virial=False, positions=1.0, length=1.0)
    """
    if not isinstance(text, str):
        raise TypeError(f"units is {shown(text)}; a text is expected: {EXPECTED}")
    words = [word for word in text.replace(";", ",").replace(" ", "").split(",") if word]
    try:
        if not words or len({"=" in word for word in words}) > 1:
            raise KeyError(text)
        return _long_form(words) if "=" in words[0] else _short_form(*words)
    except (KeyError, TypeError):
        raise ValueError(f"units is {shown(text)}; {EXPECTED}") from None


def _short_form(energy, length):
    value, per_atom = _energy(energy)
    each = _length(length)
    return Units(value, per_atom, value / each, positions=1.0 if each == 1.0 else None, length=each)


def _long_form(words):
    units = Units()
    for word in words:
        name, _, unit = word.partition("=")
        name = {"e": "energy", "energies": "energy", "force": "forces", "f": "forces", "length": "positions",
                "lengths": "positions", "virials": "virial"}.get(name.lower(), name.lower())  # fmt: skip
        sign = -1.0 if unit.startswith("-") else 1.0
        unit = unit.lstrip("-")
        if name == "energy":
            value, per_atom = _energy(unit)
            units = replace(units, energy=sign * value, per_atom=per_atom)
        elif name == "forces":
            units = replace(units, forces=sign * _ratio(unit))
        elif name == "stress":
            virial = _plain(unit) == "virial"
            units = replace(units, stress=sign * (1.0 if virial else _pressure(unit)), virial=virial)
        elif name == "virial":
            units = replace(units, stress=sign * _energy(unit)[0], virial=True)
        elif name == "positions" and sign > 0:
            units = replace(units, positions=_length(unit))
        else:
            raise KeyError(name)
    return units


def _plain(word):
    """One spelling of a unit."""
    word = word.lower().replace("\u212b", "å").replace("a\u030a", "å").replace("^", "").replace("**", "")
    return SAME.get(word, word)


def _energy(word):
    """(eV, whether it is one of an atom)."""
    word = word.lower()
    per_atom = word.endswith("/atom")
    return ENERGIES[_plain(word.removesuffix("/atom"))], per_atom


def _length(word):
    return LENGTHS[_plain(word)]


def _ratio(word):
    """eV/Å in one of this unit: "kcal/mol/Å"."""
    if _plain(word) in ("a.u.", "au"):
        return ase_units.Hartree / ase_units.Bohr
    energy, _, length = word.rpartition("/")
    return _energy(energy)[0] / _length(length)


def _pressure(word):
    """eV/Å³ in one of this unit: "GPa", "Hartree/Bohr³"."""
    word = _plain(word).replace("³", "3")
    if word in PRESSURES:
        return PRESSURES[word]
    energy, _, length = word.rpartition("/")
    if not length.endswith("3"):
        raise KeyError(word)
    return _energy(energy)[0] / _length(length.removesuffix("3")) ** 3


# --- numbers ---


def bond_ratio(frames: Sequence[Atoms]) -> float | None:
    """How long bonds are compared with usual ones: about 1 in Å, 1.9 where Bohr were taken for Å.

    Distances of atoms to their nearest neighbours, in units of the sum of both covalent radii: of hydrogen, which
    always has a bond, where there is any; of what else has bonds otherwise.  A fifth of them are shorter than this, so
    that some bonds may be stretched.  None without any.

    >>> from ase.build import molecule
    >>> 0.9 < bond_ratio([molecule("H2O")]) < 1.1
    True
    """
    step = max(1, len(frames) // LOOKED_AT)
    nearest = [_nearest(atoms) for atoms in frames[::step]]
    found = [ratios for ratios in nearest if ratios.size]
    return float(np.percentile(np.concatenate(found), 20)) if found else None


def _nearest(atoms: Atoms) -> NDArray:
    """(n,) distances of atoms to their nearest neighbours, in units of the length of such a bond."""
    if not len(atoms):
        return np.zeros(0)
    radii = covalent_radii[atoms.numbers]
    try:
        i, j, d = search_pairs("ijd", atoms, REACH * float(radii.max() + min(radii.max(), 2 * radii.min())))
    except ValueError:
        return np.zeros(0)
    bonding = ~np.isin(atoms.numbers, NOBLE) & (atoms.numbers > 0)
    if (atoms.numbers == 1).any():
        bonding &= atoms.numbers == 1
    kept = bonding[i] & ~np.isin(atoms.numbers[j], NOBLE)
    i, d = i[kept], d[kept] / bond_lengths(atoms, i[kept], j[kept])
    least = np.full(len(atoms), np.inf)
    np.minimum.at(least, i, d)
    return least[np.isfinite(least)]


def are_in_bohr(frames: Sequence[Atoms]) -> bool:
    """Whether bonds are as long as where lengths in Bohr were taken for Å: 1.8 Å from H to O.

    >>> from ase.build import molecule
    >>> are_in_bohr([molecule("H2O")])
    False
    """
    ratio = bond_ratio(frames)
    return ratio is not None and BOHR_LIKE[0] < ratio < BOHR_LIKE[1]


def convert(frames: Sequence[Atoms], units: str | Units) -> list[Atoms]:
    """Copies of frames whose labels, and positions where need be, are in eV, Å and eV/Å³.

    Parameters
    ----------
    units
        What they are in, as of `parse_units`.  In the short form the lengths of bonds decide whether positions, too,
        are in that unit of length.

    Raises
    ------
    ValueError
        Units that do not exist.
    DatasetError
        A virial without a cell.

    >>> from ase.build import molecule
    >>> water = molecule("H2O")
    >>> water.calc = SinglePointCalculator(water, energy=-76.4)
    >>> round(convert([water], "Hartree,Bohr")[0].calc.results["energy"])
    -2079
    """
    check_frames(frames)
    units = with_positions(parse_units(units) if isinstance(units, str) else units, frames)
    return [_converted(atoms, units, index) for index, atoms in enumerate(frames)]


def units_beside(text: str, virial: bool) -> Units:
    """What `parse_units` reads; a virial is in the unit of the energies, unless units of its own are named.

    >>> units_beside("Hartree,Bohr", virial=True).virial, units_beside("stress=GPa", virial=True).virial
    (True, False)
    """
    units = parse_units(text)
    named = any(word in text.lower() for word in ("stress", "virial"))
    return replace(units, virial=True, stress=abs(units.energy)) if virial and not named else units


def with_positions(units: Units, frames: Sequence[Atoms]) -> Units:
    """The same, where the lengths of bonds were to decide about positions, with what they say.

    >>> with_positions(parse_units("Hartree,Bohr"), [Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])]).positions
    1.0
    """
    if units.positions is not None:
        return units
    return replace(units, positions=units.length if _lengths_fit(frames, units.length) else 1.0)


def words_of_positions(units: Units) -> str:
    """What becomes of positions, in words.

    >>> words_of_positions(parse_units("positions=Bohr"))
    'positions from Bohr'
    """
    name = next((name for name, size in LENGTHS.items() if size == units.positions), "")
    return "positions stay in Å" if units.positions == 1.0 else f"positions from {name.replace('bohr', 'Bohr')}"


def _lengths_fit(frames, length):
    """Whether positions are in this unit, not in Å, by the lengths of their bonds."""
    ratio = bond_ratio([_scaled(atoms, length) for atoms in frames[:: max(1, len(frames) // LOOKED_AT)]])
    now = bond_ratio(frames)
    usual = [abs(np.log(x)) if x else np.inf for x in (ratio, now)]
    return usual[0] < usual[1]


def _scaled(atoms, length):
    atoms = atoms.copy()
    if length != 1.0:
        atoms.set_cell(atoms.cell.array * length)
        atoms.set_positions(atoms.positions * length, apply_constraint=False)
    return atoms


def _converted(atoms, units, index):
    results = {**atoms.calc.results} if atoms.calc is not None else {}
    new = _scaled(atoms, units.positions)
    for key in results.keys() & {"energy", "free_energy"}:
        results[key] = float(results[key]) * units.energy * (len(atoms) if units.per_atom else 1)
    if "energies" in results:
        results["energies"] = np.asarray(results["energies"], float) * units.energy
    if "forces" in results:
        results["forces"] = np.asarray(results["forces"], float) * units.forces
    if "stress" in results:
        results["stress"] = _stress(np.asarray(results["stress"], float), new, units, index)
    if results:
        new.calc = SinglePointCalculator(new, **results)
    return new


def _stress(stress, atoms, units, index):
    if not units.virial:
        return stress * units.stress
    if atoms.cell.rank < 3:
        raise DatasetError(f"frame {index} has a virial and no cell; the stress is the virial divided by a volume")
    full = voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress.reshape(3, 3)
    return -full * units.stress / atoms.get_volume()
