"""Files of other programs, made by their own writers or as their manuals show them, are read number by number."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.units import Bohr, Hartree, kcal, mol

from tpainn_lite.reading.formats import format_of, turning
from tpainn_lite.reading.frames import labelled_frames, read_frames
from tpainn_lite.reading.molfiles import numbered_smiles
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.smiles import rdkit_molecule, skeleton
from tpainn_lite.teachers.rdkit import mmff94

WATER = Atoms("OH2", [[0.0, 0.0, 0.12], [0.0, 0.76, -0.47], [0.02, -0.76, -0.48]])
CELL = np.array([[9.0, 0.0, 0.0], [1.0, 8.0, 0.0], [0.5, 0.2, 7.0]])  # Å
KCAL = kcal / mol


@pytest.fixture(autouse=True)
def quiet_writers():
    """Other programs warn about what does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def labelled(periodic, n=3, name="CH3CH2OH"):
    """Frames with labels, whose every number is another one."""
    rng = np.random.default_rng(0)
    frames = []
    for k in range(n):
        atoms = molecule(name)
        atoms.rattle(0.05, seed=k)
        labels = {"energy": -100.0 - rng.random(), "forces": rng.normal(size=(len(atoms), 3))}
        if periodic:
            atoms.set_cell(CELL)
            atoms.positions += 3.0
            atoms.pbc = True
            labels["stress"] = 0.01 * rng.normal(size=6)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def assert_same(found, written, within=1e-4, labels=(), cell=1e-3):
    """Elements in their order, positions (up to whole sides of the cell), cell, pbc, and these labels and no others."""
    assert len(found) == len(written)
    for atoms, other in zip(found, written, strict=True):
        assert atoms.numbers.tolist() == other.numbers.tolist()
        assert atoms.pbc.tolist() == other.pbc.tolist()
        assert atoms.cell.array == pytest.approx(other.cell.array, abs=cell)
        shift = atoms.positions - other.positions
        if other.pbc.all():
            parts = other.cell.scaled_positions(shift)
            shift = other.cell.cartesian_positions(parts - np.round(parts))
        assert np.abs(shift).max() < within
        results = atoms.calc.results if atoms.calc is not None else {}
        assert set(results) - {"free_energy"} == set(labels)
        for key in labels:
            there = np.asarray(results[key], float)
            meant = other.get_stress(voigt=there.ndim == 1) if key == "stress" else np.asarray(other.calc.results[key])
            assert there == pytest.approx(meant, abs=1e-4 * max(1.0, np.abs(meant).max()) if key != "stress" else 1e-6)


# --- ASE's writers ---

E, F, S = "energy", "forces", "stress"
MOLECULES = [  # name of the file, ASE's format, frames that it holds, Å, labels
    ("a.extxyz", "extxyz", 3, 1e-6, (E, F)),
    ("a.xyz", "extxyz", 3, 1e-6, (E, F)),
    ("a.xyz.gz", "extxyz", 3, 1e-6, (E, F)),
    ("a.traj", "traj", 3, 1e-9, (E, F)),
    ("a.db", "db", 3, 1e-9, (E, F)),
    ("a.json", "json", 3, 1e-9, (E, F)),
    ("a.xsf", "xsf", 3, 1e-6, (F,)),
    ("a.pdb", "proteindatabank", 3, 1e-3, ()),
    ("a.sdf", "sdf", 1, 1e-4, ()),
    ("a.mol", "mol", 1, 1e-4, ()),
    ("a.gro", "gromacs", 1, 6e-3, ()),
    ("a.gjf", "gaussian-in", 1, 1e-6, ()),
    ("a.nwi", "nwchem-in", 1, 1e-6, ()),
    ("a.arc", "dmol-arc", 3, 1e-6, ()),
    ("a.car", "dmol-car", 1, 1e-6, ()),
    ("a.gen", "gen", 1, 1e-6, ()),
    ("a.g96", "gromos", 1, 1e-6, ()),
    ("a.cube", "cube", 1, 1e-5, ()),
    ("a.xsd", "xsd", 1, 1e-6, ()),
    ("coord", "turbomole", 1, 1e-6, ()),
    ("geometry.in", "aims", 1, 1e-6, ()),
    ("input.data", "runnerdata", 3, 1e-6, (E, F)),
]
CRYSTALS = [
    ("a.extxyz", "extxyz", 3, 1e-6, (E, F, S)),
    ("a.extxyz.bz2", "extxyz", 3, 1e-6, (E, F, S)),
    ("a.traj", "traj", 3, 1e-9, (E, F, S)),
    ("a.db", "db", 3, 1e-9, (E, F, S)),
    ("a.json", "json", 3, 1e-9, (E, F, S)),
    ("a.geom", "castep-geom", 3, 1e-6, (F, S)),
    ("a.md", "castep-md", 3, 1e-6, (F, S)),
    ("a.xsf", "xsf", 3, 1e-6, (F,)),
    ("a.con", "eon", 3, 1e-4, ()),
    ("a.pdb", "proteindatabank", 3, 2e-3, ()),
    ("a.gro", "gromacs", 1, 6e-3, ()),
    ("a.cif", "cif", 3, 1e-5, ()),
    ("a.cell", "castep-cell", 1, 1e-6, ()),
    ("a.cfg", "cfg", 1, 1e-6, ()),
    ("a.f34", "crystal", 1, 1e-6, ()),
    ("a.config", "dlp4", 1, 1e-6, ()),
    ("a.gen", "gen", 1, 1e-6, ()),
    ("POSCAR", "vasp", 1, 1e-6, ()),
    ("XDATCAR", "vasp-xdatcar", 3, 1e-6, ()),
    ("xyz.in", "gpumd", 1, 1e-6, ()),
    ("geometry.in", "aims", 1, 1e-6, ()),
    ("input.data", "runnerdata", 3, 1e-6, (E, F)),
]


def written_by_ase(place, form, frames):
    from ase.io import write
    from ase.io.formats import ioformats

    write(place, frames[0] if ioformats[form].single else frames, format=form)
    return place


@pytest.mark.parametrize(("name", "form", "n", "within", "labels"), MOLECULES, ids=lambda v: v if "." in str(v) else "")
def test_molecules_that_ase_has_written_are_read_as_they_were(tmp_path, name, form, n, within, labels):
    frames = labelled(periodic=False)
    found = read_frames(written_by_ase(tmp_path / name, form, frames), need=())
    assert_same(found, frames[:n], within, labels)


@pytest.mark.parametrize(("name", "form", "n", "within", "labels"), CRYSTALS, ids=lambda v: v if "." in str(v) else "")
def test_boxes_that_ase_has_written_are_read_as_they_were(tmp_path, name, form, n, within, labels):
    frames = labelled(periodic=True)
    turned = [atoms.copy() for atoms in frames]  # formats that hold lengths and angles: the cell stands upright in both
    for atoms, other in zip(turned, frames, strict=True):
        atoms.calc = other.calc
    found = read_frames(written_by_ase(tmp_path / name, form, frames), need=())
    assert_same(found, turned[:n], within, labels)


def test_forces_on_fixed_atoms_are_read_from_a_trajectory_of_ase(tmp_path):
    frames = labelled(periodic=False)
    for atoms in frames:
        atoms.set_constraint(FixAtoms([0, 1]))
    found = read_frames(written_by_ase(tmp_path / "a.traj", "traj", frames))
    assert_same(found, frames, 1e-9, (E, F))
    assert np.abs(found[0].calc.results["forces"][0]).min() > 0


# --- RDKit's writers ---

IONS = {  # SMILES: charge, multiplicity
    "CCO": (0, 1), "[NH4+]": (1, 1), "CC(=O)[O-]": (-1, 1), "O=C([O-])C(=O)[O-]": (-2, 1), "C[N+](=O)[O-]": (0, 1),
    "[CH3]": (0, 2), "c1ccccc1Cl": (0, 1), "C[S@](=O)CC": (0, 1), "O": (0, 1), "[Na+].[Cl-]": (0, 1),
}  # fmt: skip


def rdkit_shape(smiles):
    from rdkit import Chem
    from rdkit.Chem import AllChem

    rdmol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(rdmol, randomSeed=1)
    for k, part in enumerate(Chem.GetMolFrags(rdmol)):  # RDKit puts all of them at one place
        for index in part:
            x, y, z = rdmol.GetConformer().GetAtomPosition(index)
            rdmol.GetConformer().SetAtomPosition(index, (x, y, z + 4.0 * k))
    atoms = Atoms([a.GetAtomicNum() for a in rdmol.GetAtoms()], rdmol.GetConformer().GetPositions())
    return rdmol, atoms


@pytest.mark.parametrize("v3000", [False, True])
def test_every_molecule_of_an_sdf_file_of_rdkit_is_read_with_its_bonds_and_charge(tmp_path, v3000):
    from rdkit import Chem

    shapes = [rdkit_shape(smiles) for smiles in IONS]
    with Chem.SDWriter(str(tmp_path / "all.sdf")) as writer:
        writer.SetForceV3000(v3000)
        for rdmol, _ in shapes:
            writer.write(rdmol)
    found = read_frames(tmp_path / "all.sdf", need=())
    assert_same(found, [atoms for _, atoms in shapes])
    for atoms, (smiles, (charge, multiplicity)) in zip(found, IONS.items(), strict=True):
        assert atoms.info.get("charge", 0) == charge
        assert atoms.info.get("multiplicity", 1) == multiplicity
        assert skeleton(atoms.info["smiles"]) == skeleton(smiles)


def test_an_sdf_file_keeps_its_own_order_of_the_atoms(tmp_path):
    from rdkit import Chem

    rdmol, atoms = rdkit_shape("CCO")
    order = np.random.default_rng(0).permutation(len(atoms)).tolist()
    (tmp_path / "a.sdf").write_text(Chem.MolToMolBlock(Chem.RenumberAtoms(rdmol, order)) + "$$$$\n")
    found = read_frames(tmp_path / "a.sdf", need=())[0]
    assert_same([found], [atoms[order]])
    assert mmff94().evaluate(found, found.positions[None])[0] == pytest.approx(
        mmff94("CCO").evaluate(atoms, atoms.positions[None])[0], abs=1e-3
    )


def test_deuterium_in_an_sdf_file_keeps_its_mass(tmp_path):
    from rdkit import Chem

    rdmol, atoms = rdkit_shape("[2H]C")
    (tmp_path / "a.mol").write_text(Chem.MolToMolBlock(rdmol))
    found = read_frames(tmp_path / "a.mol", need=())
    assert_same(found, [atoms])
    assert found[0].get_masses()[:3] == pytest.approx([2.0141, 12.011, 1.008], abs=1e-3)


def test_a_flat_drawing_or_one_without_hydrogens_is_refused(tmp_path):
    from rdkit import Chem
    from rdkit.Chem import AllChem

    rdmol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.Compute2DCoords(rdmol)
    (tmp_path / "flat.sdf").write_text(Chem.MolToMolBlock(rdmol) + "$$$$\n")
    with pytest.raises(DatasetError, match=r"molecule 1 is a flat drawing \(2D\)"):
        read_frames(tmp_path / "flat.sdf", need=())
    (tmp_path / "bare.sdf").write_text(Chem.MolToMolBlock(Chem.RemoveHs(rdkit_shape("CCO")[0])) + "$$$$\n")
    with pytest.raises(DatasetError, match="molecule 1 lacks 6 hydrogens"):
        read_frames(tmp_path / "bare.sdf", need=())


def test_a_damaged_molecule_of_an_sdf_file_is_named_by_its_number(tmp_path):
    from rdkit import Chem

    block = Chem.MolToMolBlock(rdkit_shape("CCO")[0])
    (tmp_path / "a.sdf").write_text(f"{block}$$$$\n{block[:300]}\n$$$$\n")
    with pytest.raises(DatasetError, match=r"a\.sdf, molecule 2"):
        read_frames(tmp_path / "a.sdf", need=())


@pytest.mark.parametrize(("name", "writer"), [("a.pdb", "MolToPDBBlock"), ("a.xyz", "MolToXYZBlock")])
@pytest.mark.parametrize("smiles", ["CCO", "[NH4+]", "c1ccccc1Cl"])
def test_other_files_of_rdkit_are_read_as_they_were(tmp_path, name, writer, smiles):
    from rdkit import Chem

    rdmol, atoms = rdkit_shape(smiles)
    (tmp_path / name).write_text(getattr(Chem, writer)(rdmol))
    found = read_frames(tmp_path / name, need=())
    assert_same(found, [atoms], 1e-3)
    assert name != "a.pdb" or found[0].info.get("charge", 0) == IONS[smiles][0]


# --- OpenBabel's writers ---


def written_by_openbabel(place, form, rdmols):
    pybel = pytest.importorskip("openbabel.pybel")
    from rdkit import Chem

    texts = [pybel.readstring("mol", Chem.MolToMolBlock(rdmol)).write(form) for rdmol in rdmols]
    place.write_text("".join(texts))
    return place


@pytest.mark.parametrize("form", ["sdf", "mol2"])
def test_bonds_and_charges_of_openbabel_are_read_from_every_molecule(tmp_path, form):
    given = [smiles for smiles in IONS if "." not in smiles]
    shapes = [rdkit_shape(smiles) for smiles in given]
    place = written_by_openbabel(tmp_path / f"all.{form}", form, [rdmol for rdmol, _ in shapes])
    found = read_frames(place, need=())
    assert_same(found, [atoms for _, atoms in shapes])
    for atoms, smiles in zip(found, given, strict=True):
        assert (atoms.info.get("charge", 0), atoms.info.get("multiplicity", 1)) == IONS[smiles]
        assert skeleton(atoms.info["smiles"]) == skeleton(smiles)
        if IONS[smiles][1] == 1:
            mmff94().get_potential_energy(atoms)  # the force field takes the bonds as they are


@pytest.mark.parametrize(
    ("name", "form", "within"),
    [
        ("a.pdb", "pdb", 1e-3), ("a.gro", "gro", 6e-3), ("a.xyz", "xyz", 1e-4), ("coord", "tmol", 1e-4),
        ("a.gjf", "com", 1e-4), ("geometry.in", "fhiaims", 1e-4), ("a.cif", "cif", 1e-4),
    ],
)  # fmt: skip
def test_other_files_of_openbabel_are_read_as_they_were(tmp_path, name, form, within):
    rdmol, atoms = rdkit_shape("CCO")
    assert_same(read_frames(written_by_openbabel(tmp_path / name, form, [rdmol]), need=()), [atoms], within)


# --- MDAnalysis' writers ---


def two_waters():
    mda = pytest.importorskip("MDAnalysis")
    atoms = WATER + Atoms("OH2", WATER.positions + 3.0)
    universe = mda.Universe.empty(6, n_residues=2, atom_resindex=[0, 0, 0, 1, 1, 1], trajectory=True)
    for name, values in {
        "names": ["OW", "HW1", "HW2"] * 2, "elements": ["O", "H", "H"] * 2, "types": ["1", "2", "2"] * 2,
        "masses": [15.999, 1.008, 1.008] * 2, "charges": [-0.8, 0.4, 0.4] * 2, "resnames": ["SOL"] * 2,
        "resids": [1, 2],
    }.items():  # fmt: skip
        universe.add_TopologyAttr(name, values)
    universe.add_bonds([(0, 1), (0, 2), (3, 4), (3, 5)], types=["1"] * 4)
    for name in ("angles", "dihedrals", "impropers"):
        universe.add_TopologyAttr(name, [])
    universe.atoms.positions = atoms.positions
    return mda, universe, atoms


def boxed(atoms, lengths):
    copy = atoms.copy()
    if lengths is not None:
        copy.cell = lengths
        copy.pbc = True
    return copy


@pytest.mark.parametrize("box", [None, [10, 11, 12, 90, 90, 90], [10, 11, 12, 80, 95, 100]])
@pytest.mark.parametrize(("name", "within"), [("a.pdb", 1e-3), ("a.gro", 6e-3)])
def test_boxes_of_mdanalysis_are_read_as_they_were(tmp_path, box, name, within):
    _, universe, atoms = two_waters()
    universe.dimensions = box
    universe.atoms.write(str(tmp_path / name))
    assert_same(read_frames(tmp_path / name, need=()), [boxed(atoms, box)], within, cell=6e-3)


def test_every_model_of_a_pdb_file_of_mdanalysis_has_the_cell_that_stands_once_at_its_head(tmp_path):
    mda, universe, atoms = two_waters()
    universe.dimensions = box = [10, 11, 12, 90, 90, 90]
    moved = []
    with mda.Writer(str(tmp_path / "a.pdb"), multiframe=True) as writer:
        for k in range(3):
            moved.append(boxed(Atoms(atoms.numbers, atoms.positions + 0.1 * k), box))
            universe.atoms.positions = moved[-1].positions
            writer.write(universe.atoms)
    assert_same(read_frames(tmp_path / "a.pdb", need=()), moved, 1e-3)


def test_a_data_file_for_lammps_has_its_elements_from_the_masses(tmp_path):
    _, universe, atoms = two_waters()
    universe.dimensions = box = [10, 11, 12, 90, 90, 90]
    universe.atoms.write(str(tmp_path / "a.data"))
    assert_same(read_frames(tmp_path / "a.data", need=()), [boxed(atoms, box)], 1e-3)


@pytest.mark.parametrize("ending", ["dcd", "xtc", "trr"])
def test_trajectories_without_elements_are_refused_with_the_way_out(tmp_path, ending):
    mda, universe, _ = two_waters()
    with mda.Writer(str(tmp_path / f"a.{ending}"), n_atoms=6) as writer:
        writer.write(universe.atoms)
    with pytest.raises(DatasetError, match=r"positions without elements: read it with its topology in MDAnalysis"):
        read_frames(tmp_path / f"a.{ending}", need=())


# --- chemfiles' writers ---


@pytest.mark.parametrize("box", [None, [10, 11, 12]])
@pytest.mark.parametrize(
    ("name", "n", "within", "has_cell"),
    [
        ("a.pdb", 2, 1e-3, True), ("a.gro", 2, 6e-3, True), ("a.mol2", 2, 1e-4, True), ("a.sdf", 2, 1e-4, False),
        ("a.xyz", 2, 1e-4, True), ("a.lammpstrj", 2, 1e-3, True), ("a.data", 1, 1e-4, True),
    ],
)  # fmt: skip
def test_files_of_chemfiles_are_read_as_they_were(tmp_path, box, name, n, within, has_cell):
    chemfiles = pytest.importorskip("chemfiles")
    atoms = WATER + Atoms("OH2", WATER.positions + 3.0)
    if box is None and name in ("a.lammpstrj", "a.data"):
        pytest.skip("LAMMPS always has a box")
    frame = chemfiles.Frame()
    for symbol, position in zip(atoms.symbols, atoms.positions, strict=True):
        frame.add_atom(chemfiles.Atom(symbol, symbol), position)
    for i, j in ((0, 1), (0, 2), (3, 4), (3, 5)):
        frame.add_bond(i, j)
    if box is not None:
        frame.cell = chemfiles.UnitCell(box)
    with chemfiles.Trajectory(str(tmp_path / name), "w", "LAMMPS Data" if name == "a.data" else "") as file:
        for _ in range(n):
            file.write(frame)
    found = read_frames(tmp_path / name, need=())
    assert_same(found, [boxed(atoms, box if has_cell else None)] * n, within, cell=6e-3)
    if name in ("a.mol2", "a.sdf"):  # bonds whose orders chemfiles does not know
        assert [skeleton(each.info["smiles"]) for each in found] == ["O.O"] * n


# --- dpdata's writers ---


def dpdata_system(frames, place):
    dpdata = pytest.importorskip("dpdata")
    return dpdata.LabeledSystem(str(written_by_ase(place, "traj", frames)), fmt="ase/traj")


@pytest.mark.parametrize(
    ("form", "name", "n", "labels"),
    [
        ("deepmd/npy", "npy", 3, (E, F, S)), ("deepmd/raw", "raw", 3, (E, F, S)),
        ("deepmd/npy/mixed", "mixed", 3, (E, F, S)), ("ase/traj", "b.traj", 3, (E, F, S)),
        ("quip/gap/xyz", "b.xyz", 3, (E, F, S)), ("n2p2", "input.data", 3, (E, F)), ("vasp/poscar", "POSCAR", 1, ()),
        ("lammps/lmp", "b.lmp", 1, ()),
    ],
)  # fmt: skip
def test_files_of_dpdata_are_read_as_they_were(tmp_path, form, name, n, labels):
    frames = labelled(periodic=True, name="H2O")
    dpdata_system(frames, tmp_path / "a.traj").to(form, str(tmp_path / name))
    assert_same(read_frames(tmp_path / name, need=()), frames[:n], 1e-5, labels)


def test_a_folder_of_systems_and_a_file_in_one_stand_for_the_frames_of_deepmd(tmp_path):
    dpdata = pytest.importorskip("dpdata")
    water, ammonia = (labelled(periodic=True, name=name) for name in ("H2O", "NH3"))
    systems = [dpdata_system(frames, tmp_path / f"{k}.traj") for k, frames in enumerate((water, ammonia))]
    dpdata.MultiSystems(*systems).to("deepmd/npy", str(tmp_path / "all"), set_size=2)
    found = read_frames(tmp_path / "all", need=())
    assert sorted(atoms.get_chemical_formula() for atoms in found) == ["H2O"] * 3 + ["H3N"] * 3
    one = next((tmp_path / "all").glob("*O1*"))
    assert_same(read_frames(one, need=()), water, 1e-5, (E, F, S))
    assert len(read_frames(one / "set.001" / "coord.npy", need=())) == 3  # the whole set of frames it belongs to


def test_molecules_of_deepmd_are_in_vacuum_only_where_it_says_so(tmp_path):
    frames = labelled(periodic=False, name="H2O")
    system = dpdata_system(frames, tmp_path / "a.traj")
    system.data["nopbc"] = True
    system.to("deepmd/npy", str(tmp_path / "npy"))
    assert_same(read_frames(tmp_path / "npy", need=()), frames, 1e-5, (E, F))
    (tmp_path / "npy" / "nopbc").unlink()
    (tmp_path / "npy" / "set.000" / "box.npy").unlink(missing_ok=True)
    with pytest.raises(DatasetError, match="has no box; one is expected, or an empty file nopbc"):
        read_frames(tmp_path / "npy", need=())


def test_types_of_deepmd_without_names_are_no_elements(tmp_path):
    dpdata_system(labelled(periodic=True, name="H2O"), tmp_path / "a.traj").to("deepmd/npy", str(tmp_path / "npy"))
    (tmp_path / "npy" / "type_map.raw").unlink()
    with pytest.raises(DatasetError, match=r"has no type_map.raw, so that its 2 kinds of atoms have no names"):
        read_frames(tmp_path / "npy", need=())


# --- i-PI, as its manual and its own printing of frames show it ---

ABC = np.array([12.0, 11.0, 10.0, 80.0, 95.0, 100.0])


def ipi(place, comment, positions, names="OHH"):
    rows = [f"{name:>8} {x:12.8f} {y:12.8f} {z:12.8f}" for name, (x, y, z) in zip(names, positions, strict=True)]
    with open(place, "a") as file:
        file.write("\n".join([f"{len(names)}", comment, *rows, ""]))
    return place


def in_ipi_cell():
    return boxed(WATER, ABC)


def cell_words(form, unit):
    """The numbers of a cell as i-PI prints them, in this unit of length (Å)."""
    cell = in_ipi_cell().cell.array / unit
    numbers = {"abcABC": [*ABC[:3] / unit, *ABC[3:]], "H": cell.T.ravel(), "GENH": cell.ravel()}[form]
    return " ".join(f"{number:.9f}" for number in numbers)


@pytest.mark.parametrize("form", ["abcABC", "H", "GENH"])
@pytest.mark.parametrize(
    ("stated", "length", "side"),
    [
        ("positions{angstrom} cell{angstrom}", 1.0, 1.0), ("positions{angstrom} cell{atomic_unit}", 1.0, Bohr),
        ("positions{atomic_unit} cell{angstrom}", Bohr, 1.0), ("Traj: positions Step: 0", Bohr, Bohr),
        ("x_centroid{nanometer} cell{angstrom}", 10.0, 1.0), ("positions{atomic_unit}  cell{atomic_unit}", Bohr, Bohr),
    ],
)  # fmt: skip
@pytest.mark.parametrize("brackets", ["()", "{}", "[]"])
def test_the_cell_and_the_units_of_ipi_are_in_its_comment(tmp_path, form, stated, length, side, brackets):
    comment = f"# CELL{brackets[0]}{form}{brackets[1]}: {cell_words(form, side)} Step: 7 Bead: 0 {stated}"
    for _ in range(2):
        ipi(tmp_path / "a.pos_0.xyz", comment, WATER.positions / length)
    found, line = labelled_frames(tmp_path / "a.pos_0.xyz", ())
    assert_same(found, [in_ipi_cell()] * 2, 1e-5, cell=1e-5)
    assert "i-PI, its cell and units from the comments" in line


def test_units_that_ipi_states_are_not_applied_twice(tmp_path):
    cell = " ".join(f"{side:.5f}" for side in in_ipi_cell().cell.cellpar())
    ipi(tmp_path / "a.pos_0.xyz", f"# CELL(abcABC): {cell} positions{{angstrom}} cell{{angstrom}}", WATER.positions)
    with pytest.raises(DatasetError, match=r"states its units, positions=angstrom,cell=angstrom; leave units="):
        labelled_frames(tmp_path / "a.pos_0.xyz", (), units="positions=Bohr")


def test_forces_of_ipi_are_taken_with_the_positions_that_they_belong_to(tmp_path):
    forces = np.random.default_rng(0).normal(size=(3, 3))  # Hartree/Bohr
    words = f"# CELL(abcABC): {cell_words('abcABC', 1.0)} Step: 0 Bead: 0"
    place = ipi(tmp_path / "a.pos_0.xyz", f"{words} positions{{angstrom}} cell{{angstrom}}", WATER.positions)
    beside = ipi(tmp_path / "a.for_0.xyz", f"{words} forces{{atomic_unit}} cell{{angstrom}}", forces)
    found = read_frames(place, need=("forces",))
    assert found[0].calc.results["forces"] == pytest.approx(forces * Hartree / Bohr, abs=1e-5)
    with pytest.raises(DatasetError, match=r"a\.for_0\.xyz holds forces, no positions"):
        read_frames(beside, need=())


def test_units_that_would_make_no_bonds_are_not_believed(tmp_path):
    place = ipi(tmp_path / "a.xyz", f"# CELL(abcABC): {cell_words('abcABC', 1.0)} Step: 0 Bead: 0", WATER.positions)
    with pytest.raises(DatasetError, match=r"bonds would be 0\.5\d times as long .*positions\{angstrom\}"):
        read_frames(place, need=())
    place = ipi(tmp_path / "b.xyz", "# CELL(abcABC): 9 9 9 90 90 90 positions{furlong}", WATER.positions)
    with pytest.raises(DatasetError, match="unit 'furlong' is unknown; one of automatic, atomic_unit"):
        read_frames(place, need=())


@pytest.mark.parametrize("name", ["a.extxyz", "simulation.pos", "start"])
def test_files_of_ipi_are_known_by_their_comment_whatever_their_name(tmp_path, name):
    words = f"CELL(abcABC): {cell_words('abcABC', Bohr)} positions{{angstrom}} cell{{atomic_unit}}"
    assert_same(read_frames(ipi(tmp_path / name, words, WATER.positions), need=()), [in_ipi_cell()], 1e-6, cell=1e-5)


def test_a_structure_of_ipi_without_a_cell_is_in_vacuum(tmp_path):
    words = "# CELL(abcABC): 0.0 0.0 0.0 90.0 90.0 90.0 positions{angstrom} cell{angstrom}"
    assert_same(read_frames(ipi(tmp_path / "a.xyz", words, WATER.positions), need=()), [WATER], 1e-6)


def test_a_pdb_file_of_ipi_in_bohr_is_read_in_angstrom(tmp_path):
    written_by_ase(tmp_path / "a.pdb", "proteindatabank", [boxed(Atoms("OH2", WATER.positions / Bohr), [20, 21, 22])])
    text = (tmp_path / "a.pdb").read_text()
    title = "TITLE   Traj: positions{atomic_unit} Step: 0 Bead: 0 cell{atomic_unit}\n"
    (tmp_path / "b.pdb").write_text(title + text)
    assert_same(read_frames(tmp_path / "b.pdb", need=()), [boxed(WATER, np.array([20, 21, 22]) * Bohr)], 1e-3)


# --- CP2K, as it prints a trajectory ---


def cp2k(folder, n=3, forces=True, cell=True):
    rng, frames = np.random.default_rng(0), []
    with open(folder / "w-pos-1.xyz", "w") as pos, open(folder / "w-frc-1.xyz", "w") as frc:
        for k in range(n):
            atoms = boxed(Atoms("OH2", WATER.positions + 0.01 * rng.normal(size=(3, 3))), CELL if cell else None)
            atoms.calc = SinglePointCalculator(atoms, energy=-17.1 - k, forces=rng.normal(size=(3, 3)))  # Hartree, Bohr
            frames.append(atoms)
            head = f"       3\n i = {10 * k:8d}, time = {5.0 * k:12.3f}, E = {-17.1 - k:20.10f}\n"
            for file, values in ((pos, atoms.positions), (frc, atoms.calc.results["forces"])):
                rows = zip(atoms.symbols, values, strict=True)
                file.write(head + "".join(f"  {s} {x:19.10f} {y:19.10f} {z:19.10f}\n" for s, (x, y, z) in rows))
    if not forces:
        (folder / "w-frc-1.xyz").unlink()
    if cell:
        rows = [f"{10 * k:8d} {5.0 * k:12.3f} " + " ".join(f"{x:17.10f}" for x in CELL.ravel()) for k in range(n)]
        text = "#   Step   Time [fs]  Ax [Angstrom] ...\n" + "".join(
            f"{row} {np.linalg.det(CELL):.6f}\n" for row in rows
        )
        (folder / "w-1.cell").write_text(text)
    for atoms in frames:
        results = atoms.calc.results
        labels = {"energy": results["energy"] * Hartree, "forces": results["forces"] * Hartree / Bohr}
        atoms.calc = SinglePointCalculator(atoms, **(labels if forces else {"energy": labels["energy"]}))
    return folder / "w-pos-1.xyz", frames


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("forces", [False, True])
def test_energies_forces_and_cells_of_cp2k_come_from_the_files_it_writes_at_once(tmp_path, forces, cell):
    place, frames = cp2k(tmp_path, forces=forces, cell=cell)
    found, line = labelled_frames(place, ())
    assert_same(found, frames, 1e-6, (E, F) if forces else (E,))
    assert [atoms.info["time"] for atoms in found] == [0.0, 5.0, 10.0]
    assert "energy=Hartree,forces=Hartree/Bohr turned into eV and Å" in line


def test_units_given_for_a_format_that_has_its_own_are_refused(tmp_path):
    place, _ = cp2k(tmp_path)
    with pytest.raises(DatasetError, match=r"w-pos-1\.xyz \(CP2K\) states its units, .*leave units='Hartree,Bohr' out"):
        read_frames(place, units="Hartree,Bohr")


def test_forces_of_cp2k_are_no_positions(tmp_path):
    place, frames = cp2k(tmp_path)
    with pytest.raises(DatasetError, match=r"holds forces; name w-pos-1\.xyz, the positions"):
        read_frames(tmp_path / "w-frc-1.xyz", need=())
    for atoms in frames:  # the same under another name
        small = 0.02 * atoms.calc.results["forces"] / (Hartree / Bohr)
        ipi(tmp_path / "renamed.xyz", " i =        0, time =        0.000, E =       -17.1000000000", small)
    with pytest.raises(DatasetError, match="is it a file of forces or velocities"):
        read_frames(tmp_path / "renamed.xyz", need=())
    ipi(place, " i =     30, time =       15.000, E =       -17.1000000000", WATER.positions)
    with pytest.raises(
        DatasetError, match=r"w-frc-1\.xyz has 3 frames that do not fit the 4 of w-pos-1\.xyz|no cell for step 30"
    ):
        read_frames(place, need=())


# --- QM9, its raw files as they stand in the data set ---

QM9_METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\
\t0.044749\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""


def test_a_raw_file_of_qm9_has_its_electronic_energy_bonds_and_charges(tmp_path):
    (tmp_path / "dsgdb9nsd_000001.xyz").write_text(QM9_METHANE.replace("0.133922", "1.33922*^-1"))
    found, line = labelled_frames(tmp_path / "dsgdb9nsd_000001.xyz", ("energy",))
    assert found[0].calc.results["energy"] == pytest.approx((-40.47893 - 0.044749) * Hartree, abs=1e-9)
    assert found[0].info["id"] == 1
    assert found[0].info["U0"] == pytest.approx(-40.47893 * Hartree)
    assert found[0].positions[1] == pytest.approx([0.002150416, -0.0060313176, 0.0019761204])
    assert found[0].arrays["mulliken_charges"][2] == pytest.approx(0.133922)
    assert skeleton(found[0].info["smiles"]) == "C"
    assert "QM9, energy=Hartree turned into eV" in line


def test_several_raw_files_of_qm9_in_one_are_all_read(tmp_path):
    (tmp_path / "all.xyz").write_text(QM9_METHANE + QM9_METHANE.replace("gdb 1", "gdb 2"))
    assert [atoms.info["id"] for atoms in read_frames(tmp_path / "all.xyz", need=("energy",))] == [1, 2]


QM9_COLUMNS = "mol_id,A,B,C,mu,alpha,homo,lumo,gap,r2,zpve,u0,u298,h298,g298,cv,u0_atom,u298_atom,h298_atom,g298_atom"
QM9_ROWS = (  # of methane, ammonia and water, from zpve on
    "0.044749,-40.47893,-40.476062,-40.475117,-40.498597,6.469,-395.999595,-398.64329,-401.014647,-372.471772",
    "0.034358,-56.525887,-56.523026,-56.522082,-56.544961,6.316,-276.861363,-278.620271,-280.399259,-259.338802",
    "0.021375,-76.404702,-76.401867,-76.400922,-76.422349,6.002,-213.087624,-213.974294,-215.159658,-201.407171",
)
QM9_ELECTRONIC = Hartree * np.array([-40.47893 - 0.044749, -56.525887 - 0.034358, -76.404702 - 0.021375])


def gdb9(folder):
    """The raw files of QM9, of its first three molecules."""
    from rdkit import Chem

    folder.mkdir()
    blocks = [Chem.MolToMolBlock(rdkit_shape(smiles)[0]).split("\n", 1)[1] for smiles in ("C", "N", "O")]
    text = "".join(f"gdb_{k}\n{block}$$$$\n" for k, block in enumerate(blocks, 1))
    (folder / "gdb9.sdf").write_text(text)
    rows = [f"gdb_{k},1,1,1,0,10,-0.4,0.1,0.5,30,{row}" for k, row in enumerate(QM9_ROWS, 1)]
    (folder / "gdb9.sdf.csv").write_text("\n".join([QM9_COLUMNS, *rows, ""]))
    (folder / "uncharacterized.txt").write_text("\n" * 10)
    return folder / "gdb9.sdf"


def test_gdb9_has_its_energies_in_the_table_next_to_it(tmp_path):
    found = read_frames(gdb9(tmp_path / "raw"), need=("energy",))
    assert [atoms.calc.results["energy"] for atoms in found] == pytest.approx(QM9_ELECTRONIC, abs=1e-9)
    assert [skeleton(atoms.info["smiles"]) for atoms in found] == ["C", "N", "O"]
    for atoms in found:
        atoms.calc = None
    assert_same(found, [rdkit_shape(smiles)[1] for smiles in "CNO"])


def test_the_copy_of_qm9_of_pytorch_geometric_is_read_without_running_what_is_in_it(tmp_path):
    from torch_geometric.datasets import QM9

    gdb9(tmp_path / "raw")
    QM9(str(tmp_path))  # writes processed/data_v3.pt
    place = next((tmp_path / "processed").glob("data*.pt"))
    found = read_frames(place, need=("energy",))
    assert [atoms.calc.results["energy"] for atoms in found] == pytest.approx(QM9_ELECTRONIC, abs=2e-3)  # float32
    assert [atoms.info["id"] for atoms in found] == [1, 2, 3]
    for atoms in found:
        atoms.calc = None
    assert_same(found, [rdkit_shape(smiles)[1] for smiles in "CNO"])


@pytest.mark.parametrize("name", ["a.pt", "a.pkl"])
def test_what_could_run_a_program_is_not_loaded(tmp_path, name):
    import os
    import pickle

    import torch

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    if name == "a.pt":
        torch.save(Trap(), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DatasetError, match=r"can be loaded safely|could run any program"):
        read_frames(tmp_path / name, need=())
    assert not (tmp_path / "sprung").exists()


# --- arrays ---


def test_npz_of_sgdml_and_rmd17_are_read_in_the_units_that_they_state(tmp_path):
    frames = labelled(periodic=False)
    positions = np.array([atoms.positions for atoms in frames])
    energies = np.array([atoms.calc.results["energy"] for atoms in frames]) / KCAL
    forces = np.array([atoms.calc.results["forces"] for atoms in frames]) / KCAL
    numbers = frames[0].numbers
    np.savez(
        tmp_path / "s.npz", type="d", z=numbers, R=positions, E=energies, F=forces, e_unit="kcal/mol", r_unit="Ang"
    )
    np.savez(
        tmp_path / "r.npz", nuclear_charges=numbers, coords=positions, energies=energies, forces=forces,
        old_energies=energies, old_forces=forces,
    )  # fmt: skip
    np.savez(tmp_path / "n.npz", z=numbers, R=positions, E=energies, F=forces)
    for name in ("s.npz", "r.npz"):
        assert_same(read_frames(tmp_path / name), frames, 1e-9, (E, F))
    assert_same(read_frames(tmp_path / "n.npz", units="kcal/mol,Å"), frames, 1e-9, (E, F))
    assert read_frames(tmp_path / "n.npz")[0].calc.results["energy"] == pytest.approx(energies[0])  # none are stated


def test_a_data_base_of_schnetpack_is_read_in_the_units_that_it_states(tmp_path):
    from ase.db import connect

    frames = labelled(periodic=False)
    with connect(tmp_path / "a.db") as base:
        base.metadata = {
            "_property_unit_dict": {"energy": "kcal/mol", "forces": "kcal/mol/Ang"}, "_distance_unit": "Ang",
            "atomrefs": {},
        }  # fmt: skip
        for atoms in frames:
            results = atoms.calc.results
            data = {"energy": np.array([results["energy"] / KCAL]), "forces": results["forces"] / KCAL}
            base.write(Atoms(atoms.numbers, atoms.positions), data=data)
    assert_same(read_frames(tmp_path / "a.db"), frames, 1e-9, (E, F))


# --- n2p2, aenet, LAMMPS ---


def n2p2(place, energy, length):
    frames = labelled(periodic=True, name="H2O")
    lines = []
    for atoms in frames:
        rows = zip(atoms.positions / length, atoms.symbols, atoms.calc.results["forces"] / energy * length, strict=True)
        lines += ["begin", "comment water"]
        lines += [f"lattice {columns(side)}" for side in atoms.cell.array / length]
        lines += [f"atom {columns(r)} {s} 0.000000 0.000000 {columns(f)}" for r, s, f in rows]
        lines += [f"energy {atoms.calc.results['energy'] / energy:.10f}", "charge 0.0000", "end"]
    place.write_text("\n".join([*lines, ""]))
    return place, frames


@pytest.mark.parametrize(("energy", "length"), [(Hartree, Bohr), (1.0, 1.0)])
def test_the_units_of_n2p2_are_known_by_the_lengths_of_bonds(tmp_path, energy, length):
    place, frames = n2p2(tmp_path / "input.data", energy, length)
    found, line = labelled_frames(place)
    assert_same(found, frames, 1e-6, (E, F))
    assert ("Hartree,Bohr" in line) == (length == Bohr)
    if length == Bohr:
        assert_same(read_frames(place, units="Hartree,Bohr"), frames, 1e-6, (E, F))  # once, not twice


def test_forces_of_aenet_are_in_electronvolt_per_angstrom(tmp_path):
    frames = labelled(periodic=True, n=1)
    rows = zip(frames[0].symbols, frames[0].positions, frames[0].calc.results["forces"], strict=True)
    text = [f"# total energy = {frames[0].calc.results['energy']:.8f} eV", "", "CRYSTAL", "PRIMVEC"]
    text += [columns(side) for side in CELL] + ["PRIMCOORD", f"{len(frames[0])} 1"]
    text += [f"{symbol} {columns(r)} {columns(f)}" for symbol, r, f in rows]
    (tmp_path / "a.xsf").write_text("\n".join([*text, ""]))
    assert_same(read_frames(tmp_path / "a.xsf"), frames, 1e-6, (E, F))


def dump(place, columns="id element x y z fx fy fz", units="real", names="OHH"):
    atoms = labelled(periodic=False, n=1, name="H2O")[0]
    unit = {"real": KCAL}.get(units, 1.0)
    rows = []
    for k in (2, 0, 1):  # LAMMPS does not sort
        r, f = atoms.positions[k], atoms.calc.results["forces"][k] / unit
        words = {
            "id": k + 1,
            "type": 1 + (k > 0),
            "element": names[k],
            "mass": atoms.get_masses()[k],
            **dict(zip("xyz", r, strict=True)),
        }
        words.update(dict(zip(("fx", "fy", "fz"), f, strict=True)))
        rows.append(" ".join(str(words[column]) for column in columns.split()))
    head = f"ITEM: UNITS\n{units}\n" if units else ""
    bounds = "-1.0 9.0\n-1.0 10.0\n-1.0 11.0\n"
    text = (
        f"{head}ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n{bounds}ITEM: ATOMS {columns}\n"
    )
    place.write_text(text + "\n".join(rows) + "\n" + text + "\n".join(rows) + "\n")
    found = boxed(atoms, [10.0, 11.0, 12.0])
    found.calc = SinglePointCalculator(found, forces=atoms.calc.results["forces"])
    return place, [found, found]


@pytest.mark.parametrize("units", ["real", "metal"])
def test_a_dump_of_lammps_has_elements_cells_and_forces_where_it_states_its_units(tmp_path, units):
    place, frames = dump(tmp_path / "a.lammpstrj", units=units)
    assert_same(read_frames(place, need=()), frames, 1e-6, (F,))


def test_a_dump_without_units_has_no_forces_and_none_has_an_energy(tmp_path):
    place, frames = dump(tmp_path / "a.dump", columns="id mass x y z fx fy fz", units="")
    assert_same(read_frames(place, need=()), frames, 1e-6, ())


def test_a_type_of_lammps_is_no_element(tmp_path):
    place, _ = dump(tmp_path / "a.dump", columns="id type x y z")
    with pytest.raises(DatasetError, match=r"no column element.*dump_modify 1 element O H"):
        read_frames(place, need=())
    place, _ = dump(tmp_path / "b.dump", names=("OW", "HW", "HW"))
    with pytest.raises(DatasetError, match=r"'OW' stands where the symbol of an element is expected"):
        read_frames(place, need=())
    place, _ = dump(tmp_path / "c.dump", units="lj")
    with pytest.raises(DatasetError, match="LAMMPS' units lj; real or metal"):
        read_frames(place, need=())
    written_by_ase(tmp_path / "a.data", "lammps-data", labelled(periodic=True))
    with pytest.raises(DatasetError, match="no section Masses, so that its types have no elements"):
        read_frames(tmp_path / "a.data", need=())


# --- names of atoms ---

SALT = """CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1
ATOM      1  CA  ALA A   1       0.000   0.000   0.000  1.00  0.00
ATOM      2  HA  ALA A   1       1.090   0.000   0.000  1.00  0.00
ATOM      3 HB11 VAL A   2       3.000   0.000   0.000  1.00  0.00
ATOM      4  HG  SER A   2       4.500   0.000   0.000  1.00  0.00
HETATM    5 CA    CA A   3       9.000   0.000   0.000  1.00  0.00
HETATM    6 CL1  LIG A   4      12.000   0.000   0.000  1.00  0.00
HETATM    7 NA    NA A   5      15.000   0.000   0.000  1.00  0.00
TER
END
"""


def test_names_of_atoms_mean_what_the_protein_data_bank_means(tmp_path):
    (tmp_path / "a.pdb").write_text(SALT)
    found = read_frames(tmp_path / "a.pdb", need=())
    assert len(found) == 1  # neither TER nor END makes an empty frame
    assert list(found[0].symbols) == ["C", "H", "H", "H", "Ca", "Cl", "Na"]
    assert not found[0].pbc.any()  # a cell of 1 × 1 × 1 Å stands for none


def test_a_point_of_a_water_model_and_alternative_places_are_refused(tmp_path):
    (tmp_path / "a.pdb").write_text(SALT.replace(" HG  SER", " MW  SOL"))
    with pytest.raises(DatasetError, match="MW of SOL is a point of a water model, no atom"):
        read_frames(tmp_path / "a.pdb", need=())
    (tmp_path / "b.pdb").write_text(SALT.replace(" HG  SER", " HG BSER"))
    with pytest.raises(DatasetError, match="line 5: an atom has alternative locations"):
        read_frames(tmp_path / "b.pdb", need=())


GRO = """Brine t= {t}
    3
    1SOL     OW    1   0.126   0.639   0.322
    2NA      NA    2   1.188   0.313   0.207
    3CL      CL    3   0.687   1.275   0.953
   1.82060   1.72060   1.62060
"""


def test_ions_of_gromacs_are_no_carbon_or_nitrogen_and_all_frames_are_read(tmp_path):
    (tmp_path / "a.gro").write_text(GRO.format(t=0.0) + GRO.format(t=1.0).replace("0.126", "0.130"))
    found = read_frames(tmp_path / "a.gro", need=())
    assert [list(atoms.symbols) for atoms in found] == [["O", "Na", "Cl"]] * 2
    assert found[1].positions[0] == pytest.approx([1.30, 6.39, 3.22])
    assert found[0].cell.lengths() == pytest.approx([18.2060, 17.2060, 16.2060])


# --- outputs of quantum chemistry, in the lines that matter ---


def columns(values):
    return " ".join(f"{value:15.9f}" for value in values)


def orca(frames):
    text = ["                                 * O   R   C   A *"]
    for k, atoms in enumerate(frames, 1):
        gradient = -atoms.calc.results["forces"] / (Hartree / Bohr)
        text += ["Number of atoms                             ...      3"]
        text += ["CARTESIAN COORDINATES (ANGSTROEM)", "---------------------------------"]
        text += [f"  {s} {columns(r)}" for s, r in zip(atoms.symbols, atoms.positions, strict=True)]
        text += ["", f"FINAL SINGLE POINT ENERGY  {atoms.calc.results['energy'] / Hartree:20.12f}", ""]
        text += ["ORCA SCF GRADIENT CALCULATION", "------------------", "CARTESIAN GRADIENT", "------------------", ""]
        text += [f"   1   {s}   : {columns(g)}" for s, g in zip(atoms.symbols, gradient, strict=True)]
        text += ["", f"*         ORCA GEOMETRY RELAXATION STEP {k}         *"] if k < len(frames) else [""]
    return "\n".join([*text, "THE OPTIMIZATION HAS CONVERGED", "       ****ORCA TERMINATED NORMALLY****", ""])


def test_energies_and_gradients_of_orca_become_energies_and_forces(tmp_path):
    frames = labelled(periodic=False, name="H2O", n=2)
    (tmp_path / "opt.out").write_text(orca(frames))
    found, _ = labelled_frames(tmp_path / "opt.out")
    assert_same(found, frames, 1e-6, (E, F))


def gaussian(frames, orientation="Input orientation:"):
    text, rule = [" Entering Gaussian System, Link 0=g16"], " " + "-" * 69
    for atoms in frames:
        forces = atoms.calc.results["forces"] / (Hartree / Bohr)
        text += [f"                          {orientation}", rule, " Center     Atomic      Atomic     Coordinates"]
        text += [" Number     Number       Type             X           Y           Z", rule]
        text += [f"      1  {z:6d}     0 {columns(r)}" for z, r in zip(atoms.numbers, atoms.positions, strict=True)]
        text += [rule, f" SCF Done:  E(RHF) =  {atoms.calc.results['energy'] / Hartree:.9f}   A.U. after 10 cycles"]
        text += [" Center     Atomic          Forces (Hartrees/Bohr)", " Number     Number     X   Y   Z", rule]
        text += [f"      1  {z:6d} {columns(f)}" for z, f in zip(atoms.numbers, forces, strict=True)]
        text += [rule, ""]
    return "\n".join([*text, " Normal termination of Gaussian 16", ""])


def balanced(n=2):
    """Frames whose forces turn nothing: those of MMFF94."""
    frames = []
    for k in range(n):
        _, atoms = rdkit_shape("O")
        atoms.rattle(0.1, seed=k)
        atoms.info["smiles"] = "O"
        atoms.calc = mmff94()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


@pytest.mark.parametrize("orientation", ["Input orientation:", "Standard orientation:"])
def test_all_structures_of_gaussian_are_read_with_their_forces(tmp_path, orientation):
    frames = balanced()
    (tmp_path / "a.log").write_text(gaussian(frames, orientation))
    found = read_frames(tmp_path / "a.log")
    assert_same(found, frames, 1e-5, (E, F))


def test_forces_of_gaussian_in_other_axes_than_the_positions_are_refused(tmp_path):
    frames = balanced()
    for atoms in frames:
        atoms.rotate(50, "x")  # the positions alone
    assert turning(frames[0]) > 0.05
    (tmp_path / "a.log").write_text(gaussian(frames, "Standard orientation:"))
    with pytest.raises(DatasetError, match="positions in its standard orientation, but forces in other axes"):
        read_frames(tmp_path / "a.log")


def rows_of(name, values):
    rows = "".join(f"<v>{' '.join(f'{x:.9f}' for x in row)}</v>" for row in values)
    return f"<varray name='{name}'>{rows}</varray>"


def structure_of(atoms):
    positions = rows_of("positions", atoms.get_scaled_positions(wrap=False))
    return f"<crystal>{rows_of('basis', atoms.cell.array)}</crystal>{positions}</structure>"


def vasprun(frames):
    kinds = "".join(f"<rc><c>{symbol}</c><c>1</c></rc>" for symbol in frames[0].symbols)
    text = ["<?xml version='1.0'?><modeling><incar></incar><kpoints></kpoints><parameters></parameters>"]
    text += [f"<atominfo><array name='atoms'><set>{kinds}</set></array></atominfo>"]
    text += [f"<structure name='initialpos'>{structure_of(frames[0])}"]
    for atoms in frames:
        energy = atoms.calc.results["energy"]
        free = f"<i name='e_fr_energy'>{energy - 0.5}</i><i name='e_wo_entrp'>0</i><i name='e_0_energy'>{energy}</i>"
        kbar = -atoms.get_stress(voigt=False) * 1602.1766208  # VASP's sign and unit
        text += [f"<calculation><scstep><energy>{free}</energy></scstep><structure>{structure_of(atoms)}"]
        text += [rows_of("forces", atoms.calc.results["forces"]), rows_of("stress", kbar)]
        text += [f"<energy>{free}</energy></calculation>"]
    return "".join([*text, "</modeling>"])


def test_every_step_of_vasprun_has_the_energy_at_zero_width_and_says_that_it_left_the_free_energy(tmp_path):
    frames = labelled(periodic=True, name="H2O")
    (tmp_path / "vasprun.xml").write_text(vasprun(frames))
    found, line = labelled_frames(tmp_path / "vasprun.xml")
    assert_same(found, frames, 1e-5, (E, F, S))
    assert "free_energy" in line


# --- the door ---


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_special_files_are_read_packed_too(tmp_path, packing):
    import bz2
    import gzip
    import lzma

    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[packing]
    (tmp_path / f"q.xyz.{packing}").write_bytes(pack(QM9_METHANE.encode()))
    assert read_frames(tmp_path / f"q.xyz.{packing}", need=("energy",))[0].info["id"] == 1
    written_by_ase(tmp_path / "a.pdb", "proteindatabank", labelled(periodic=False))
    (tmp_path / f"b.pdb.{packing}").write_bytes(pack((tmp_path / "a.pdb").read_bytes()))
    assert len(read_frames(tmp_path / f"b.pdb.{packing}", need=())) == 3


def test_lines_may_end_as_on_windows_and_begin_with_a_mark(tmp_path):
    place = ipi(
        tmp_path / "a.xyz", "# CELL(abcABC): 9 9 9 90 90 90 positions{angstrom} cell{angstrom}", WATER.positions
    )
    place.write_bytes(b"\xef\xbb\xbf" + place.read_bytes().replace(b"\n", b"\r\n"))
    assert_same(read_frames(place, need=()), [boxed(WATER, [9, 9, 9])], 1e-6)


@pytest.mark.parametrize(("name", "reason"), [
    ("a.h5", "HDF5, whose names and units each program chooses"), ("a.lmdb", "fairchem or DeePMD-kit"),
    ("a.aselmdb", "fairchem"), ("a.prmtop", "a topology without positions"), ("a.zip", "an archive: unpack it"),
    ("coord.npy", "one array without names"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_way_out(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"\x89HDF or whatever")
    with pytest.raises(DatasetError, match=reason):
        read_frames(tmp_path / name, need=())


@pytest.mark.parametrize(("name", "text"), [
    ("a.sdf", "no molecule\n"), ("a.mol2", "@<TRIPOS>MOLECULE\n"), ("a.pdb", "REMARK\n"), ("a.gro", "title\nmany\n"),
    ("a.xyz", "3\n# CELL(abcABC): 1 1 1 90 90 90\nO 0 0 0\n"), ("input.data", "begin\natom 0 0\n"),
    ("a.dump", "ITEM: TIMESTEP\n0\nITEM: ATOMS id element x y z\n1 H\n"), ("a.con", "nothing\n"),
    ("a.mol2", "@<TRIPOS>MOLECULE\nx\n 1 1\nSMALL\nNO_CHARGES\n@<TRIPOS>ATOM\n1 C 0 0 0 C.3\n@<TRIPOS>BOND\n1 1 9 1\n"),
])  # fmt: skip
def test_damaged_files_of_special_formats_are_refused_by_name(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=name.replace(".", r"\.")):
        read_frames(tmp_path / name, need=())


def test_an_ordinary_file_is_none_of_the_special_formats(tmp_path):
    for name, form in (("a.extxyz", "extxyz"), ("a.traj", "traj"), ("a.cif", "cif"), ("a.db", "db")):
        assert format_of(written_by_ase(tmp_path / name, form, labelled(periodic=True))) is None


def test_bonds_seen_by_their_lengths_number_a_smiles():
    ethanol = molecule("CH3CH2OH")
    order = np.random.default_rng(0).permutation(len(ethanol))
    numbered = numbered_smiles("OCC", ethanol[order])
    assert [atom.GetAtomicNum() for atom in rdkit_molecule(numbered).GetAtoms()] == ethanol.numbers[order].tolist()
    assert numbered_smiles("CCN", ethanol) is None
