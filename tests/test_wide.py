"""The wide list has the elements, sizes and ions it promises; nothing held out is in it; frames keep their charges."""

import csv
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tpainn_lite.reading.shipped import PARTS, data_folder, load_molecules
from tpainn_lite.structures.smiles import skeleton
from tpainn_lite.teachers.rdkit import type_molecule

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "make"))

import wide_frames
from held_out import HELD_OUT
from molecules_wide import ACIDS, BASES, ionised, is_allowed, joined, neutral, peptide, swapped, zwitterion

ELEMENTS = {"C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"}


@pytest.fixture(scope="module")
def rows():
    with open(data_folder() / "molecules_wide.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def families(rows):
    """{neutral skeleton: parts}"""
    found = {}
    for row in rows:
        found.setdefault(neutral(row["smiles"]), set()).add(row["part"])
    return found


def test_each_element_is_in_400_molecules_and_every_size_is_there(rows):
    counts = Counter(e for row in rows for e in {a.GetSymbol() for a in Chem.MolFromSmiles(row["smiles"]).GetAtoms()})
    assert set(counts) == ELEMENTS and min(counts.values()) >= 400
    sizes = Counter(int(row["n_heavy"]) for row in rows)
    assert set(sizes) == set(range(1, 26)) and all(sizes[n] >= 200 for n in range(10, 26))
    assert (data_folder() / "molecules_wide.csv").stat().st_size < 500_000


def test_about_one_in_six_is_an_ion_and_hardly_any_atoms_have_two_charges(rows):
    charges = [int(row["charge"]) for row in rows]
    assert 0.13 < np.mean([q != 0 for q in charges]) < 0.18 and min(charges) == -2 and max(charges) == 2
    rdmols = [Chem.MolFromSmiles(row["smiles"]) for row in rows]
    assert [Chem.GetFormalCharge(rdmol) for rdmol in rdmols] == charges
    of_atoms = {}
    for rdmol, charge in zip(rdmols, charges, strict=True):
        of_atoms.setdefault(re.sub(r"[+-]\d*$", "", CalcMolFormula(rdmol)), set()).add(charge)
    several = [q for q in of_atoms.values() if len(q) > 1]
    assert len(several) <= 2 and all(max(q) - min(q) == 2 for q in several)  # paired electrons


def test_the_list_is_canonical_has_no_molecule_twice_and_is_typed_by_mmff94(rows):
    smiles = [row["smiles"] for row in rows]
    assert len(set(smiles)) == len(smiles) and all(Chem.CanonSmiles(name) == name for name in smiles[::20])
    for name in smiles[::60]:
        assert len(type_molecule(name)[0]) > 2


def test_nothing_that_is_held_out_is_in_the_list_in_any_form(families):
    of_dft = {atoms.info["smiles"] for part in PARTS if part != "train" for atoms in load_molecules(part)}
    assert not families.keys() & {neutral(smiles) for smiles in (*HELD_OUT.values(), *of_dft)}
    assert len({skeleton(smiles) for smiles in HELD_OUT.values()}) == 30


def test_held_out_molecules_are_drugs_and_peptides_with_sulfur_halogens_phosphorus_and_charges():
    rdmols = [Chem.MolFromSmiles(smiles) for smiles in HELD_OUT.values()]
    held = Counter(e for rdmol in rdmols for e in {a.GetSymbol() for a in rdmol.GetAtoms()})
    assert set(held) == ELEMENTS and sum(Chem.GetFormalCharge(rdmol) != 0 for rdmol in rdmols) >= 6
    assert all(type_molecule(smiles) for smiles in HELD_OUT.values())


def test_molecules_that_differ_by_a_proton_are_in_one_part(rows, families):
    assert all(len(parts) == 1 for parts in families.values())
    assert 150 < sum(row["part"] == "valid" for row in rows) < 250
    assert neutral("[NH3+]CC([O-])=O") == neutral("NCC(=O)[O-]") == neutral("NCC(=O)O")


def test_each_rule_makes_what_it_says():
    rng = np.random.default_rng(5)
    assert "Si" in "".join(swapped(rng, ["CCCC"]) for _ in range(5))
    made = [name for name in (joined(rng, "Br") for _ in range(20)) if name]
    assert len(made) > 5 and all("Br" in name for name in made)
    assert "C(=O)" in peptide(rng).replace("O=C", "C(=O)")
    assert ionised("CC(=O)O", "carboxylate", rng) == "CC(=O)[O-]"
    assert ionised("CC(=O)O", "ammonium", rng) is None
    assert {zwitterion("NCCC(=O)O", rng) for _ in range(20)} == {None, "[NH3+]CCC(=O)[O-]", "C[NH2+]CCC(=O)[O-]"}
    assert ACIDS.keys().isdisjoint(BASES)


@pytest.mark.parametrize(
    "smiles", ["OC(O)C", "CC(Cl)N", "ClN", "C=C(O)C", "CCO.CC", "C[Si](Cl)O", "nonsense", "C" * 26]
)
def test_molecules_that_fall_apart_or_are_too_large_are_not_allowed(smiles):
    assert not is_allowed(smiles)


def test_frames_of_an_ion_carry_its_charge_and_have_names_of_their_own():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    frames = wide_frames.molecule_frames("CC(=O)[O-]", 4, seed=1)
    both = [atoms for atoms in frames if "for" not in atoms.info]
    assert len(both) == 14 and len(frames) == 14 + wide_frames.MORE
    assert len({atoms.info["id"] for atoms in frames}) == len(frames)
    assert {int(atoms.info["charge"]) for atoms in frames} == {-1}
    assert Counter(atoms.info["config_type"] for atoms in both) == {"relaxed": 1, "normal_modes": 6, "thermal": 7}


def test_a_shard_is_made_once_and_its_labels_are_found_again(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    monkeypatch.setattr(wide_frames, "FOLDER", tmp_path)
    for name in ("frames", "gfn2_xtb"):
        (tmp_path / name).mkdir()
    molecules = [row for row in wide_frames.chosen_molecules() if row[1] <= 3][:3]
    wide_frames.make_shard(0, molecules)
    assert "000.extxyz: 42 of 42 frames" in capsys.readouterr().out
    wide_frames.make_shard(0, molecules)
    assert capsys.readouterr().out == "" and not list(tmp_path.glob("*/*.jsonl"))
    by_xtb = [atoms for part in wide_frames.load_wide("GFN2-xTB") for atoms in part]
    by_mmff = [atoms for part in wide_frames.load_wide("MMFF94") for atoms in part]
    assert 30 < len(by_xtb) <= 42 < len(by_mmff) <= 42 + 3 * wide_frames.MORE
    assert {atoms.info["level"] for atoms in by_xtb} == {"GFN2-xTB"}


def test_hot_frames_are_left_out_by_force_and_by_energy_above_their_molecules_lowest():
    def frame(energy, force):
        atoms = Atoms("HH", [[0, 0, 0], [0, 0, 1]], info={"smiles": "[H][H]"})
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=[[0, 0, force], [0, 0, -force]])
        return atoms

    kept = wide_frames.calm([frame(-5.0, 1.0), frame(-4.1, 1.0), frame(-3.9, 1.0), frame(-5.0, 26.0)])
    assert [atoms.get_potential_energy() for atoms in kept] == [-5.0, -4.1]
