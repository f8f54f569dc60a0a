"""Energies of glycolaldehyde over its two torsions: MMFF94 and an expensive method, for the label map of the course.

    python benchmarks/torsion_map.py                  # GFN2-xTB as the expensive method; half a minute on one core
    python benchmarks/torsion_map.py --method dft     # B3LYP/6-31G(2df,p); needs PySCF, hours; resumes where it stopped

Bonds and angles stay as MMFF94 relaxes them; O=C–C–O and C–C–O–H go round in steps of 15 degrees.  A mirror turns the
signs of both torsions and leaves energies as they are, so that half the structures suffice.  Writes
``data/results/torsion_map.json``: both torsions in degrees, both energies in meV over the lowest of the map.
"""

import argparse
import time

from results import earlier, save_results

import tpainn_lite as tp

SMILES, NAME = "O=CCO", "glycolaldehyde"
TORSIONS = (((0, 1, 2, 3), [3, 6, 7, 5, 4]), ((1, 2, 3, 7), [7]))  # four atoms, and those that go along
STEP = 15  # degrees
KEEP = 50  # rows between two savings


def structure(relaxed, phi, psi):
    """The molecule with these torsions in degrees; nothing else changes."""
    atoms = relaxed.copy()
    (first, _), (second, rotated) = TORSIONS
    atoms.set_dihedral(*first, phi, indices=[k for k in range(len(atoms)) if k not in (0, 1, 4)])
    atoms.set_dihedral(*second, psi, indices=rotated)
    return atoms


def half_of_the_map():
    """Torsions of which no two are mirror images."""
    angles = range(-180, 180, STEP)
    every = [(phi, psi) for phi in angles for psi in angles]
    return [place for place in every if place <= mirrored(*place)]


def mirrored(phi, psi):
    return (-phi + 180) % 360 - 180, (-psi + 180) % 360 - 180


def rows_of_the_map(half):
    """All of the map, each energy in meV over the lowest of its method."""
    lowest = {key: min(row[key] for row in half) for key in ("classical", "reference")}
    every = {(row["phi"], row["psi"]): row for row in half}
    every |= {mirrored(*place): row for place, row in every.items()}
    return [
        {"phi": phi, "psi": psi, **{key: round(1000 * (row[key] - low), 1) for key, low in lowest.items()}}
        for (phi, psi), row in sorted(every.items())
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=("xtb", "dft"), default="xtb")
    method = parser.parse_args().method
    relaxed, classical = tp.molecule(SMILES), tp.mmff94()
    reference = tp.PySCFCalculator("qm9") if method == "dft" else tp.gfn2_xtb()
    half, spent = earlier(f"torsion_map_{method}_half") if method == "dft" else ([], 0.0)
    begun, done = time.perf_counter() - spent, {(row["phi"], row["psi"]) for row in half}
    command = f"python benchmarks/torsion_map.py --method {method}"
    for phi, psi in (place for place in half_of_the_map() if place not in done):
        atoms = structure(relaxed, phi, psi)
        energies = {
            "classical": classical.get_potential_energy(atoms),
            "reference": reference.get_potential_energy(atoms),
        }
        half.append({"phi": phi, "psi": psi, **energies})
        if method == "dft" and len(half) % KEEP == 0:
            save_results(f"torsion_map_{method}_half", half, command, time.perf_counter() - begun)
    about = {"smiles": SMILES, "molecule": NAME, "torsions": ["O=C–C–O", "C–C–O–H"], "classical": "MMFF94"}
    about |= {"reference": reference.level if method == "xtb" else "B3LYP/6-31G(2df,p)"}
    packages = ["rdkit", "tblite" if method == "xtb" else "pyscf"]
    save_results("torsion_map", rows_of_the_map(half), command, time.perf_counter() - begun, packages, 1, **about)


if __name__ == "__main__":
    main()
