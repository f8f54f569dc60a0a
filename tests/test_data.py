"""The shipped data: cards that tell the truth, parts that share nothing, labels that can be made again."""

import importlib.util
import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tpainn_lite.reading.frames import read_frames
from tpainn_lite.reading.shipped import (
    PARTS,
    SCANS,
    data_folder,
    load_methanol,
    load_molecules,
    load_reactions,
    load_scan,
    load_water,
    molecule_list,
)
from tpainn_lite.structures.geometry import bonds_of
from tpainn_lite.structures.smiles import rdkit_molecule
from tpainn_lite.teachers.cp2k import CP2KCalculator
from tpainn_lite.teachers.dft import PySCFCalculator

DATA = data_folder()
SETS = {
    "molecules_b3lyp": (load_molecules, PARTS),
    "water_dft": (load_water, PARTS),
    "methanol_dft": (load_methanol, PARTS[:3]),
    "reactions_b3lyp": (load_reactions, PARTS[:3]),
    "scans_b3lyp": (load_scan, SCANS),
}


@pytest.fixture(scope="module")
def cards():
    spec = importlib.util.spec_from_file_location("cards", DATA / "make" / "cards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=SETS)
def shipped(request):
    """(name, {part: frames}) of a shipped set."""
    load, parts = SETS[request.param]
    return request.param, {part: load(part) for part in parts}


def test_cards_say_what_the_files_hold(cards):
    """Otherwise: python data/make/cards.py"""
    for path, text in cards.cards().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is not up to date"


def test_every_shipped_file_has_its_checksum_in_both_lists(cards):
    table = dict(re.findall(r"\| `([^`]+)` \| \d+ \| `([0-9a-f]{64})` \|", (DATA / "README.md").read_text("utf-8")))
    listed = dict(reversed(line.split()) for line in (DATA / "SHA256SUMS").read_text().splitlines())
    assert table == listed
    assert set(listed) == {path.relative_to(DATA).as_posix() for path in cards.shipped()}


def test_the_data_stay_small():
    files = [path for path in DATA.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 25e6


def test_every_set_has_a_card_with_what_one_must_know(shipped):
    name, _ = shipped
    card = (DATA / name / "README.md").read_text(encoding="utf-8")
    for word in ("Why", "Level", "Units", "How sampled", "Known limits", "Licence", "cite", "data/make/"):
        assert word in card, f"{name}'s card says nothing of {word!r}"


def test_every_frame_is_described_and_no_id_is_used_twice(shipped):
    _, parts = shipped
    frames = [atoms for part in parts.values() for atoms in part]
    assert len({atoms.info["id"] for atoms in frames}) == len(frames)
    for atoms in frames:
        assert {"config_type", "level", "source", "id"} <= set(atoms.info)


def test_the_quick_reader_reads_what_ase_reads(shipped):
    name, parts = shipped
    for part, frames in parts.items():
        for quick, plain in zip(frames, read_frames(DATA / name / f"{part}.extxyz.xz"), strict=True):
            assert quick == plain
            if name == "water_dft" and "time" in plain.info:
                plain.info["time"] = pytest.approx(plain.info["time"] * 1000)  # ps in the files, fs for people
            assert quick.info == plain.info
            assert quick.calc.results.keys() == plain.calc.results.keys()
            for key, value in plain.calc.results.items():
                np.testing.assert_array_equal(quick.calc.results[key], value)


def test_no_molecule_is_in_two_parts():
    from rdkit.Chem import CanonSmiles

    owner = {}
    for part in PARTS:
        for smiles in {CanonSmiles(atoms.info["smiles"]) for atoms in load_molecules(part)}:
            assert owner.setdefault(smiles, part) == part


def test_parts_of_one_water_trajectory_are_well_apart():
    times = {}
    for part in PARTS:
        for atoms in load_water(part):
            if atoms.info["config_type"] == "liquid":
                times.setdefault(atoms.info["trajectory"], []).append((atoms.info["time"], part))
    for frames in times.values():
        for (t, part), (u, other) in zip(sorted(frames), sorted(frames)[1:], strict=False):
            assert part == other or u - t >= 500  # fs


def test_the_time_of_a_frame_of_water_is_in_femtoseconds_as_in_md():
    times = [atoms.info["time"] for part in PARTS for atoms in load_water(part, "liquid")]
    assert min(times) == 0 and min(time for time in times if time) >= 100 and 2000 < max(times) < 1e6


def test_every_frame_of_water_is_water():
    for atoms in (atoms for part in PARTS for atoms in load_water(part)):
        distances, molecule = atoms.get_all_distances(mic=True), np.arange(len(atoms)) // 3
        assert list(atoms.symbols) == ["O", "H", "H"] * (len(atoms) // 3)
        assert distances[::3, :][molecule[::3, None] == molecule].max() < 1.4  # Å
        assert distances[molecule[:, None] != molecule].min(initial=9.0) > 1.2


def test_water_is_many_states_half_of_them_from_each_round():
    liquid = [a for part in PARTS for a in load_water(part, "liquid") if len(a) == 96]
    assert len({a.info["density"] for a in liquid}) >= 4
    assert {280.0, 300.0, 350.0, 400.0, 600.0} <= {float(a.info["temperature"]) for a in liquid}
    second = sum(a.info["trajectory"].startswith("second") for a in liquid)
    assert 0.35 < second / len(liquid) < 0.65


def test_molecules_to_pretrain_on_are_many_and_none_is_held_out():
    from rdkit.Chem import CanonSmiles

    held_out = {CanonSmiles(a.info["smiles"]) for part in PARTS if part != "train" for a in load_molecules(part)}
    offered = molecule_list(max_heavy=9)
    assert len(offered) > 5000
    assert held_out.isdisjoint(map(CanonSmiles, offered))


def test_scans_run_in_order_and_each_has_its_minimum_where_it_should(cards):
    lowest = {"bond": (0.95, 1.0), "angle": (100, 105), "torsion": (-180, 180), "dimer": (2.8, 3.0)}
    for name, (low, high) in lowest.items():
        frames = load_scan(name)
        x, energy = [a.info["coordinate"] for a in frames], [a.get_potential_energy() for a in frames]
        assert x == sorted(x)
        assert low <= x[int(np.argmin(energy))] <= high
    with pytest.raises(ValueError, match=r"scan 'bonds' is not one of \('bond', "):
        load_scan("bonds")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_one_label_in_a_hundred_made_again_is_the_one_that_is_shipped(shipped):
    name, parts = shipped
    frames = [atoms for part in parts.values() for atoms in part]
    preset = {"water_dft": "water", "methanol_dft": "liquid"}.get(name)
    if preset and not shutil.which("cp2k.psmp"):
        pytest.skip("needs CP2K: apt-get install cp2k")
    calculator = CP2KCalculator(preset) if preset else PySCFCalculator("qm9")
    chosen = np.random.default_rng(0).choice(len(frames), max(1, len(frames) // 100), replace=False)
    for atoms in (frames[k] for k in chosen):
        energy = calculator.get_potential_energy(atoms) - atoms.get_potential_energy()
        assert abs(energy) / len(atoms) < 1e-4, f"{atoms.info['id']}: energy is off by {energy} eV"
        forces = calculator.get_forces(atoms) - atoms.get_forces()
        rms, largest = np.sqrt(np.mean(forces**2)), np.abs(forces).max()  # eV/Å
        print(f"{atoms.info['id']}: rms {1e3 * rms:.2f}, largest {1e3 * largest:.2f} meV/Å")
        assert rms < 1e-3, f"{atoms.info['id']}: forces are off by {1e3 * rms:.2f} meV/Å rms"
    if preset:
        calculator.close()


def test_methanol_is_methanol_and_its_parts_are_well_apart():
    times = {}
    for part in PARTS[:3]:
        for atoms in load_methanol(part):
            assert atoms.get_chemical_formula() == "C16H64O16" and atoms.pbc.all()
            times.setdefault(atoms.info["trajectory"], []).append((atoms.info["time"], part))
    for frames in times.values():
        for (t, part), (u, other) in zip(sorted(frames), sorted(frames)[1:], strict=False):
            assert part == other or u - t >= 1000  # fs
    known = {atoms.info["density"] for atoms in load_methanol("train")}
    assert {atoms.info["density"] for atoms in load_methanol("test")} - known, "one density is in the test alone"


def test_reactions_end_with_other_bonds_than_they_began_with_and_keep_to_their_parts():
    for part in PARTS[:3]:
        frames = load_reactions(part)
        assert {a.info["smiles"] for a in frames} <= {a.info["smiles"] for a in load_molecules(part)}
        for name, group in itertools.groupby(frames, lambda atoms: atoms.info["reaction"]):
            *_, last = group
            drawn = rdkit_molecule(last.info["smiles"]).GetBonds()
            before = {tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))) for bond in drawn}
            assert {tuple(bond) for bond in bonds_of(last).tolist()} != before, name


SCRIPTS = [path for path in sorted((Path(DATA) / "make").glob("*.py")) if "__main__" in path.read_text("utf-8")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_scripts_that_made_the_data_say_how_to_run_them(script):
    assert f"python data/make/{script.name}" in script.read_text(encoding="utf-8").split('"""')[1]


def test_water_comes_by_its_kind():
    kinds = {kind: load_water("valid", kind) for kind in ("liquid", "dimer", "monomer")}
    assert {kind: {len(atoms) for atoms in frames} for kind, frames in kinds.items()} == {
        "liquid": {96}, "dimer": {6}, "monomer": {3}
    }  # fmt: skip
    assert sum(map(len, kinds.values())) == len(load_water("valid"))
    with pytest.raises(ValueError, match="kind 'ice' is not one of"):
        load_water("valid", "ice")
