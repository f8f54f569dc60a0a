"""Any force field that OpenMM reads becomes a teacher, or says in a sentence why it cannot be one."""

import pickle

import numpy as np
import openmm
import pytest
from ase import Atoms
from openmm import app

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.liquids import liquid
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.liquid_md import liquid_run
from tpainn_lite.teachers.mmff_liquid import MMFF94Liquid
from tpainn_lite.teachers.openmm_teacher import OpenMMForceField, openmm_teacher

FLEXIBLE = {"constraints": None, "rigidWater": False, "removeCMMotion": False}
K_BOND, R0, K_ANGLE, THETA0 = 450.0, 0.96, 55.0, 104.5  # kcal/mol Å², Å, kcal/mol rad², degrees: ½ k x² is k x² here
CHARGE, SIGMA, EPSILON = 0.41, 3.15, 0.15


def water_topology(n):
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(n):
        residue = topology.addResidue("HOH", chain)
        oxygen = topology.addAtom("O", app.element.oxygen, residue)
        for name in ("H1", "H2"):
            topology.addBond(oxygen, topology.addAtom(name, app.element.hydrogen, residue))
    return topology


def water_system(n=27, boxed=True, cutoff=0.4, file="tip3p.xml", **how):
    topology = water_topology(n)
    topology.setPeriodicBoxVectors(np.eye(3) * 0.94)
    method = {"nonbondedMethod": app.PME, "nonbondedCutoff": cutoff} if boxed else {"nonbondedMethod": app.NoCutoff}
    system = app.ForceField(file).createSystem(topology, **method, **{**FLEXIBLE, **how})
    return system, topology


@pytest.fixture(scope="module")
def box():
    return liquid("O", 27, density=1.0)


@pytest.fixture(scope="module")
def two():
    box = liquid("O", 2, density=0.1)
    return Atoms(box.numbers, box.positions)


def formula(atoms):
    """kcal/mol of two waters with the constants above, each bond as K (r − r0)²."""
    energy, d = 0.0, atoms.get_all_distances()
    for o in (0, 3):
        energy += sum(K_BOND * (d[o, h] - R0) ** 2 for h in (o + 1, o + 2))
        energy += K_ANGLE * np.radians(atoms.get_angle(o + 1, o, o + 2) - THETA0) ** 2
    charges = np.tile([-2 * CHARGE, CHARGE, CHARGE], 2)
    energy += sum(332.0637 * charges[i] * charges[j] / d[i, j] for i in range(3) for j in range(3, 6))
    s = (SIGMA / d[0, 3]) ** 6
    return energy + 4 * EPSILON * (s * s - s)


KCAL = 0.0433641


# --- a System and a topology ---


def test_a_system_of_openmm_teaches_boxes(box):
    teacher = openmm_teacher(*water_system(), name="flexible TIP3P")
    forces, stress, step = teacher.get_forces(box).copy(), teacher.get_stress(box), 1e-3
    assert teacher.level == "flexible TIP3P" and forces.shape == (81, 3)
    exact = openmm_teacher(*water_system(), platform="Reference")
    np.testing.assert_allclose(forces, exact.get_forces(box), atol=1e-3)
    np.testing.assert_allclose(stress, exact.get_stress(box), atol=1e-4)
    moved = [box.copy(), box.copy()]
    for sign, atoms in zip((1, -1), moved, strict=True):
        atoms.positions[4, 1] += sign * step
    slope = (exact.get_potential_energy(moved[1]) - exact.get_potential_energy(moved[0])) / (2 * step)
    assert exact.get_forces(box)[4, 1] == pytest.approx(slope, abs=5e-3)


def test_its_xml_teaches_the_same(box, tmp_path):
    system, topology = water_system()
    (tmp_path / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    with (tmp_path / "box.pdb").open("w") as file:
        app.PDBFile.writeFile(topology, box.positions, file)
    energy = openmm_teacher(system, topology).get_potential_energy(box)
    for what in (topology, box, tmp_path / "box.pdb", str(tmp_path / "box.pdb")):
        teacher = openmm_teacher(tmp_path / "system.xml", what)
        assert teacher.get_potential_energy(box) == pytest.approx(energy, abs=1e-6)
        assert teacher.level == "system.xml"


def test_molecules_cut_by_the_box_and_turned_boxes_have_the_same_energy(box):
    teacher = openmm_teacher(*water_system())
    energy = teacher.get_potential_energy(box)
    cut, turned = box.copy(), box.copy()
    cut.positions += 3.0
    cut.wrap()
    turned.rotate(50, (1, 2, 3), rotate_cell=True)
    assert teacher.get_potential_energy(cut) == pytest.approx(energy, abs=2e-3)
    assert teacher.get_potential_energy(turned) == pytest.approx(energy, abs=2e-3)
    axis = turned.cell.array @ np.linalg.inv(box.cell.array)
    np.testing.assert_allclose(teacher.get_forces(turned), teacher.get_forces(box) @ axis, atol=2e-3)


@pytest.mark.parametrize("with_sites", [True, False])
def test_sites_that_are_no_atoms_are_left_out(box, with_sites):
    forcefield = app.ForceField("tip4pew.xml")
    topology = water_topology(27)
    topology.setPeriodicBoxVectors(np.eye(3) * 0.94)
    modeller = app.Modeller(topology, box.positions / 10)
    modeller.addExtraParticles(forcefield)
    method = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.4}
    system = forcefield.createSystem(modeller.topology, **method, **FLEXIBLE)
    teacher = openmm_teacher(system, modeller.topology if with_sites else topology)
    forces = teacher.get_forces(box)
    assert forces.shape == (81, 3) and np.abs(forces.sum(axis=0)).max() < 1e-2


def test_labels_do_not_depend_on_which_box_came_before(box):
    wide = box.copy()
    wide.set_cell(box.cell * 2)
    first = openmm_teacher(*water_system())
    first.get_potential_energy(box)
    assert first.get_potential_energy(wide) == openmm_teacher(*water_system()).get_potential_energy(wide)


def test_it_runs_md_and_labels_through_the_library(box):
    teacher = openmm_teacher(*water_system(), name="flexible TIP3P")
    frames = list(liquid_run(box, teacher, n_frames=2, spacing=5, warm_up=20, stress=True))
    assert frames[0].info["level"] == "flexible TIP3P" and frames[0].get_stress().shape == (6,)
    again = label([a.copy() for a in frames], pickle.loads(pickle.dumps(teacher)), progress=False)
    assert again[1].get_potential_energy() == pytest.approx(frames[1].get_potential_energy(), abs=1e-4)


def test_a_mover_in_the_system_does_not_move_the_box(box):
    system, topology = water_system(removeCMMotion=True)
    system.addForce(openmm.MonteCarloBarostat(5000.0, 300.0, 1))
    frames = list(liquid_run(box, openmm_teacher(system, topology), n_frames=1, spacing=50, warm_up=20))
    np.testing.assert_allclose(frames[0].cell.array, box.cell.array, atol=1e-6)


# --- files of other programs ---

TOP = f"""[ defaults ]
1 2 no 1.0 1.0
[ atomtypes ]
OW 8 15.999 0.0 A {SIGMA / 10} {EPSILON * 4.184}
HW 1 1.008 0.0 A 0.1 0.0
[ moleculetype ]
MOL 2
[ atoms ]
1 OW 1 MOL O 1 {-2 * CHARGE} 15.999
2 HW 1 MOL H1 1 {CHARGE} 1.008
3 HW 1 MOL H2 1 {CHARGE} 1.008
"""
SPRINGS = f"""[ bonds ]
1 2 1 {R0 / 10} {2 * K_BOND * 418.4}
1 3 1 {R0 / 10} {2 * K_BOND * 418.4}
[ angles ]
2 1 3 1 {THETA0} {2 * K_ANGLE * 4.184}
"""
SETTLES = "[ settles ]\n1 1 0.096 0.152\n[ exclusions ]\n1 2 3\n2 1 3\n3 1 2\n"
SYSTEM = "[ system ]\ntwo waters\n[ molecules ]\nMOL 2\n"


def section(name, values, kind):
    wide, form = {"I": (10, "{:8d}"), "E": (5, "{:16.8E}"), "a": (20, "{:4s}")}[kind]
    label_of = {"I": "10I8", "E": "5E16.8", "a": "20a4"}[kind]
    lines = ["".join(form.format(v) for v in values[k : k + wide]) for k in range(0, len(values), wide)] or [""]
    return [f"%FLAG {name}", f"%FORMAT({label_of})", *lines]


def prmtop():
    """Two flexible waters, as AMBER writes them."""
    a, b = 4 * EPSILON * SIGMA**12, 4 * EPSILON * SIGMA**6
    pointers = [0] * 31
    pointers[0:12] = [6, 2, 4, 0, 2, 0, 0, 0, 0, 0, 6, 2]
    pointers[15:19] = [1, 1, 0, 2]
    pointers[28] = 3
    charges = [c * 18.2223 for c in [-2 * CHARGE, CHARGE, CHARGE] * 2]
    lines = ["%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/00  00:00:00", "%FLAG TITLE", "%FORMAT(20a4)", "two"]
    lines += section("POINTERS", pointers, "I")
    lines += section("ATOM_NAME", ["O", "H1", "H2"] * 2, "a") + section("CHARGE", charges, "E")
    lines += section("ATOMIC_NUMBER", [8, 1, 1] * 2, "I") + section("MASS", [15.999, 1.008, 1.008] * 2, "E")
    lines += section("ATOM_TYPE_INDEX", [1, 2, 2] * 2, "I") + section("NUMBER_EXCLUDED_ATOMS", [2, 1, 1] * 2, "I")
    lines += section("NONBONDED_PARM_INDEX", [1, 2, 2, 3], "I")
    lines += section("RESIDUE_LABEL", ["MOL", "MOL"], "a") + section("RESIDUE_POINTER", [1, 4], "I")
    lines += section("BOND_FORCE_CONSTANT", [K_BOND], "E") + section("BOND_EQUIL_VALUE", [R0], "E")
    lines += section("ANGLE_FORCE_CONSTANT", [K_ANGLE], "E")
    lines += section("ANGLE_EQUIL_VALUE", [np.radians(THETA0)], "E")
    for name in ("DIHEDRAL_FORCE_CONSTANT", "DIHEDRAL_PERIODICITY", "DIHEDRAL_PHASE", "SCEE_SCALE_FACTOR"):
        lines += section(name, [], "E")
    lines += section("SCNB_SCALE_FACTOR", [], "E") + section("SOLTY", [0.0, 0.0], "E")
    lines += section("LENNARD_JONES_ACOEF", [a, 0, 0], "E") + section("LENNARD_JONES_BCOEF", [b, 0, 0], "E")
    bonds = [[3 * o, 3 * (o + h), 1] for o in (0, 3) for h in (1, 2)]
    angles = [[3 * (o + 1), 3 * o, 3 * (o + 2), 1] for o in (0, 3)]
    lines += section("BONDS_INC_HYDROGEN", np.ravel(bonds), "I") + section("BONDS_WITHOUT_HYDROGEN", [], "I")
    lines += section("ANGLES_INC_HYDROGEN", np.ravel(angles), "I") + section("ANGLES_WITHOUT_HYDROGEN", [], "I")
    lines += section("DIHEDRALS_INC_HYDROGEN", [], "I") + section("DIHEDRALS_WITHOUT_HYDROGEN", [], "I")
    lines += section("EXCLUDED_ATOMS_LIST", [2, 3, 3, 0, 5, 6, 6, 0], "I")
    for name in ("HBOND_ACOEF", "HBOND_BCOEF", "HBCUT"):
        lines += section(name, [], "E")
    lines += section("AMBER_ATOM_TYPE", ["OW", "HW", "HW"] * 2, "a")
    lines += section("TREE_CHAIN_CLASSIFICATION", ["BLA"] * 6, "a") + section("JOIN_ARRAY", [0] * 6, "I")
    lines += section("IROTAT", [0] * 6, "I") + section("RADII", [1.5] * 6, "E") + section("SCREEN", [0.8] * 6, "E")
    return "\n".join(lines) + "\n"


PRM = f"""* two waters
*
BONDS
OW HW {K_BOND} {R0}
ANGLES
HW OW HW {K_ANGLE} {THETA0}
NONBONDED
OW 0.0 {-EPSILON} {SIGMA * 2 ** (1 / 6) / 2}
HW 0.0 0.0 0.2
END
"""
RTF = """* two waters
*
36 1
MASS 1 OW 15.999 O
MASS 2 HW 1.008 H
END
"""


def psf():
    atoms = []
    for k in range(6):
        name, kind, charge, mass = [("O", "OW", -2 * CHARGE, 15.999), ("H1", "HW", CHARGE, 1.008)][k % 3 > 0]
        name = "H2" if k % 3 == 2 else name
        atoms.append(f"{k + 1:8d} MOL  {k // 3 + 1:<4d} MOL  {name:<4s} {kind:<4s} {charge:10.6f} {mass:13.4f} {0:11d}")
    lines = ["PSF", "", "       1 !NTITLE", " two waters", "", "       6 !NATOM", *atoms, "", "       4 !NBOND: bonds"]
    lines += ["       1       2       1       3       4       5       4       6", "", "       2 !NTHETA: angles"]
    lines += ["       2       1       3       5       4       6", "", "       0 !NPHI: dihedrals", "", ""]
    lines += [
        "       0 !NIMPHI: impropers",
        "",
        "",
        "       0 !NDON: donors",
        "",
        "",
        "       0 !NACC: acceptors",
        "",
        "",
    ]
    lines += ["       0 !NNB", "", "       0       0       0       0       0       0", ""]
    lines += ["       1       0 !NGRP NST2", "       0       0       0", ""]
    return "\n".join(lines) + "\n"


@pytest.fixture(params=["prmtop", "top", "psf"])
def from_file(request, tmp_path):
    """What `openmm_teacher` is given for a file of AMBER, GROMACS or CHARMM."""
    path = tmp_path / f"two.{request.param}"
    path.write_text({"prmtop": prmtop(), "top": TOP + SPRINGS + SYSTEM, "psf": psf()}[request.param])
    if request.param != "psf":
        return path, {}
    for name, text in (("two.prm", PRM), ("two.rtf", RTF)):
        (tmp_path / name).write_text(text)
    return path, {"parameters": [tmp_path / "two.rtf", tmp_path / "two.prm"]}


def test_files_of_other_programs_give_the_energy_of_their_formula(from_file, two):
    path, more = from_file
    teacher = openmm_teacher(path, **more)
    assert teacher.get_potential_energy(two) == pytest.approx(formula(two) * KCAL, abs=1e-4)
    assert teacher.bonds.tolist() == [[0, 1], [0, 2], [3, 4], [3, 5]] and teacher.level == path.name


def test_files_of_other_programs_teach_boxes_too(from_file, two):
    path, more = from_file
    teacher = openmm_teacher(path, cutoff=14.0, platform="Reference", **more)
    boxed = two.copy()
    boxed.cell, boxed.pbc = np.eye(3) * 40, True
    assert teacher.get_potential_energy(boxed) == pytest.approx(formula(two) * KCAL, abs=2e-3)
    assert teacher.get_stress(boxed).shape == (6,)


def test_water_that_gromacs_would_keep_rigid_is_refused(tmp_path):
    (tmp_path / "rigid.top").write_text(TOP + SETTLES + SYSTEM)
    with pytest.raises(ForceFieldError, match="holds the bond|constraints"):
        openmm_teacher(tmp_path / "rigid.top")


def test_flexible_water_of_gromacs_is_taken_where_the_file_has_it(tmp_path, two):
    both = f"#ifdef FLEXIBLE\n{SPRINGS}#else\n{SETTLES}#endif\n"
    (tmp_path / "both.top").write_text(TOP + both + SYSTEM)
    assert openmm_teacher(tmp_path / "both.top").get_potential_energy(two) == pytest.approx(
        formula(two) * KCAL, abs=1e-4
    )


# --- what cannot teach ---


@pytest.mark.parametrize("how", [{"rigidWater": True}, {"constraints": app.HBonds}])
def test_constraints_are_refused(how):
    with pytest.raises(ForceFieldError, match=r"constraints .* forces are no labels: make it with constraints=None"):
        openmm_teacher(*water_system(**how))


def test_bonds_that_nothing_holds_are_refused():
    system, topology = water_system()
    for k in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(k), openmm.HarmonicBondForce):
            system.removeForce(k)
    with pytest.raises(ForceFieldError, match="nothing in the System .* holds the bond between atoms 0 and 1"):
        openmm_teacher(system, topology)


def test_atoms_in_another_order_are_refused(box):
    teacher = openmm_teacher(*water_system())
    with pytest.raises(ForceFieldError, match="atom 1 of the structure is O, of the topology of .* H"):
        teacher.get_potential_energy(box[np.argsort(-box.numbers, kind="stable")])
    swapped = box[[0, 1, 5, 3, 4, 2, *range(6, 81)]]
    with pytest.raises(ForceFieldError, match=r"bonded by the topology, but lie .* apart: atoms in the same order"):
        teacher.get_potential_energy(swapped)
    with pytest.raises(ForceFieldError, match="has 78 atoms, the topology of .* 81"):
        teacher.get_potential_energy(box[:78])


def test_a_box_and_a_system_without_one_do_not_go_together(box):
    alone = Atoms(box.numbers, box.positions)
    with pytest.raises(ForceFieldError, match="is periodic, but the structure has no box"):
        openmm_teacher(*water_system()).get_potential_energy(alone)
    with pytest.raises(ForceFieldError, match=r"is a periodic box, but the System .* nonbondedMethod=PME"):
        openmm_teacher(*water_system(boxed=False)).get_potential_energy(box)
    slab = box.copy()
    slab.pbc = (True, True, False)
    with pytest.raises(ForceFieldError, match="periodic in all directions or in none"):
        openmm_teacher(*water_system()).get_potential_energy(slab)


def test_a_box_narrower_than_twice_the_cutoff_is_refused(box):
    teacher, narrow = openmm_teacher(*water_system()), box.copy()
    narrow.set_cell(box.cell * 0.8)
    with pytest.raises(ForceFieldError, match="Å wide; at least 8 Å, twice the cutoff"):
        teacher.get_potential_energy(narrow)


def test_the_same_lattice_by_a_long_skewed_cell_is_no_narrower(box):
    teacher, skewed = openmm_teacher(*water_system()), box.copy()
    skewed.set_cell(box.cell.array + [[0, 0, 0], [0, 0, 0], 2 * box.cell.array[0]])
    assert teacher.get_potential_energy(skewed) == pytest.approx(teacher.get_potential_energy(box), abs=1e-3)


def test_a_topology_of_other_atoms_than_the_system_is_refused(box):
    system, _ = water_system()
    with pytest.raises(ForceFieldError, match="has 81 atoms, its topology 78"):
        openmm_teacher(system, water_topology(26))
    with pytest.raises(ForceFieldError, match="has 81 atoms, its topology 78"):
        openmm_teacher(system, box[:78])


def test_a_topology_in_another_order_than_the_system_is_refused_by_its_masses(box):
    system, _ = water_system()
    other = box[np.argsort(-box.numbers, kind="stable")]
    with pytest.raises(ForceFieldError, match=r"atom 1 is O in the topology, but weighs 1\.008 amu"):
        openmm_teacher(system, other)


@pytest.mark.parametrize("mass", [2.014, 4.0])
def test_heavy_hydrogen_and_mass_moved_to_hydrogen_are_let_pass(box, mass):
    system, topology = water_system()
    for k in range(system.getNumParticles()):
        if k % 3:
            system.setParticleMass(k, mass)
        elif mass == 4.0:
            system.setParticleMass(k, 15.999 - 2 * (4.0 - 1.008))
    energy = openmm_teacher(*water_system()).get_potential_energy(box)
    assert openmm_teacher(system, topology).get_potential_energy(box) == pytest.approx(energy, abs=1e-6)


def test_forces_that_hold_no_bonds_are_not_taken_for_bonds(box):
    """MMFF94's own System has bonds, angles and pairs three bonds apart in forces of the same kind."""
    methanol, teacher = liquid("CO", 16, density=0.79), MMFF94Liquid(4.5)
    again = openmm_teacher(teacher.system_of(methanol), methanol, name="MMFF94")
    assert len(again.bonds) == 16 * 5
    cut = methanol.copy()
    cut.wrap()
    for atoms in (methanol, cut):
        assert again.get_potential_energy(atoms) == pytest.approx(teacher.get_potential_energy(methanol), abs=1e-3)
    swapped = methanol[[0, 1, 5, 3, 4, 2, *range(6, 96)]]
    with pytest.raises(ForceFieldError, match="bonded by the topology, but lie"):
        again.get_potential_energy(swapped)


def test_without_bonds_in_the_topology_springs_as_short_as_bonds_are_bonds(box):
    system, topology = water_system()
    bare = app.Topology()
    residue = bare.addResidue("X", bare.addChain())
    for atom in topology.atoms():
        bare.addAtom(atom.name, atom.element, residue)
    springs = next(force for force in system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    springs.addBond(1, 2, 0.1514, 1000.0)  # as Urey and Bradley's
    assert openmm_teacher(system, bare).bonds.tolist() == openmm_teacher(*water_system()).bonds.tolist()


def test_a_charge_that_the_system_has_not_is_refused(box):
    charged = box.copy()
    charged.info["charge"] = 1
    with pytest.raises(ForceFieldError, match="add up to 0"):
        openmm_teacher(*water_system()).get_potential_energy(charged)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # OpenMM leaves files open
@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.xml", "<ForceField></ForceField>", "is a force field, not a System"),
        ("a.xml", "<System", "no XML of OpenMM's System"),
        ("a.prmtop", "nothing", "OpenMM cannot make a System of it"),
        ("a.top", "[ nothing ]", "OpenMM cannot make a System of it"),
        ("a.psf", "nothing", "names no parameters"),
        ("a.itp", "nothing", "is no file that OpenMM reads a force field from"),
        ("a.xml", "", "empty"),
    ],
)
def test_files_that_hold_no_force_field_are_refused_by_name(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises((ValueError, OSError), match=message) as error:
        openmm_teacher(tmp_path / name, molecule("O") if name.endswith("xml") else None)
    assert name in str(error.value)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: openmm_teacher("nowhere.xml", molecule("O")), "nowhere.xml"),
        (lambda: openmm_teacher(water_system()[0]), "topology .* is expected"),
        (lambda: openmm_teacher(3, molecule("O")), "system is 3"),
        (lambda: openmm_teacher(water_system()[0], 3), "topology is 3"),
        (lambda: openmm_teacher(*water_system(), rigidWater=True), "rigidWater cannot be chosen"),
        (lambda: openmm_teacher(*water_system(), switchDistance=0.3), "switchDistance cannot be set"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call, message):
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        call()


def test_it_is_an_ase_calculator():
    assert isinstance(openmm_teacher(*water_system()), OpenMMForceField)
