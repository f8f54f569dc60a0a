"""One HTML page of interactive figures: what is in the shipped DFT sets.

    python docs/data_page.py build/data.html        # or: make data-page

Elements, sizes, forces and energies of the molecules; densities, O-O and O-H distances, forces and pressure of the
water frames.  Everything is read from ``data/``; nothing is typed in by hand.
"""

import argparse
import html
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from ase.units import GPa
from plotly.io import to_html

from tpainn_lite.model.references import fit_atomref
from tpainn_lite.reading.shipped import PARTS, data_folder, load_molecules, load_water
from tpainn_lite.show import plots
from tpainn_lite.simulate.observables import rdf
from tpainn_lite.structures.files import write_text

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tpainn_lite: the data</title>
<style>body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}</style></head>
<body><h1>The data</h1>{body}</body></html>
"""


def molecule_figures():
    """[(caption, figure)] of the set of molecules."""
    parts = {part: load_molecules(part) for part in PARTS}
    numbers = {part: np.concatenate([atoms.numbers for atoms in frames]) for part, frames in parts.items()}
    elements = sorted(set(np.concatenate(list(numbers.values())).tolist()))
    shares = {part: [float((z == e).mean()) for e in elements] for part, z in numbers.items()}
    symbols = [chemical_symbols[e] for e in elements]
    heavy = {part: np.array([(atoms.numbers > 1).sum() for atoms in frames]) for part, frames in parts.items()}
    sizes = sorted(set(np.concatenate(list(heavy.values())).tolist()))
    frames_of = {part: [int((n == size).sum()) for size in sizes] for part, n in heavy.items()}
    forces = {part: force_components(frames) for part, frames in parts.items()}
    atomref = fit_atomref(parts["train"])
    energies = {part: [interaction(atoms, atomref) for atoms in frames] for part, frames in parts.items()}
    return [
        ("Which elements the atoms are.", plots.bars(symbols, shares, "element", "share of all atoms")),
        ("How large the molecules are.", plots.bars(sizes, frames_of, "atoms other than H", "frames")),
        (
            "How large the forces are: most are small; the tails come from hot frames and from molecules whose "
            "force-field minimum is far from DFT's.",
            plots.histogram(forces, "force component / eV/Å", log=True),
        ),
        (
            "Energies, after one reference energy per element (fitted on the training part) is taken away: what is "
            "left for a potential to learn.",
            plots.histogram(energies, "energy above the references / eV per atom"),
        ),
    ]


def water_figures():
    """[(caption, figure)] of the water set."""
    parts = {part: load_water(part) for part in PARTS}
    liquid = [a for frames in parts.values() for a in frames if a.info["config_type"] == "liquid"]
    rounds = {"q-TIP4P/F": [], "first potential": []}  # whose MD the frames come from
    for atoms in liquid:
        rounds["first potential" if atoms.info["trajectory"].startswith("second") else "q-TIP4P/F"].append(atoms)
    cool = {name: [a for a in frames if a.info["temperature"] <= 350] for name, frames in rounds.items()}
    figures = []
    for pair, note in (("OO", ""), ("OH", " The peak of the bonds themselves is cut off.")):
        curves = {name: rdf(frames, pair, n_bins=75) for name, frames in cool.items()}
        text = f"Distances {pair[0]}–{pair[1]} at 280 to 350 K and all densities, by the model that moved them.{note}"
        figure = plots.lines(curves, "distance / Å", f"g({pair[0]}{pair[1]})")
        figures.append((text, figure.update_yaxes(range=[0, 4])))
    text = "Lengths of the O–H bonds. DFT's are longer than q-TIP4P/F's: the first potential has learned that."
    figures.append((text, plots.histogram({n: bonds(f) for n, f in rounds.items()}, "O–H / Å")))
    forces = {part: force_components(frames) for part, frames in parts.items()}
    figures.append(("Forces.", plots.histogram(forces, "force component / eV/Å", log=True)))
    points = {name: state_points(frames) for name, frames in rounds.items()}
    figure = plots.lines(points, "density / g/cm³", "pressure / GPa").update_traces(mode="markers")
    text = (
        "Pressure of each frame under DFT, without the motion of the nuclei. q-TIP4P/F's short bonds push outwards: "
        "two clouds, and a potential that is to find a density has to be right about both."
    )
    return [*figures, (text, figure)]


def bonds(frames):
    """O-H lengths of water, Å."""
    positions = np.concatenate([atoms.positions.reshape(-1, 3, 3) for atoms in frames])  # (molecules, 3, 3)
    return np.linalg.norm(positions[:, 1:] - positions[:, :1], axis=-1).ravel()


def state_points(frames):
    """(density in g/cm³, pressure in GPa) of each frame."""
    pressure = [-np.trace(atoms.get_stress(voigt=False)) / 3 / GPa for atoms in frames]
    return [atoms.info["density"] for atoms in frames], pressure


def force_components(frames):
    """All force components of these frames, (3ΣN,) eV/Å."""
    return np.concatenate([atoms.get_forces().ravel() for atoms in frames])


def interaction(atoms, atomref):
    """Energy above the reference energies, eV per atom."""
    return (atoms.get_potential_energy() - sum(atomref[z] for z in atoms.numbers.tolist())) / len(atoms)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, default=Path("build/data.html"))
    path, body = parser.parse_args().page, []
    sets = {"molecules_b3lyp": molecule_figures, "water_dft": water_figures}
    for name, figures in sets.items():
        if not (data_folder() / name / "train.extxyz.xz").exists():
            continue
        body.append(f"<h2>{name}</h2>")
        for caption, figure in figures():
            first = not any("plotly-graph-div" in part for part in body)
            body.append(to_html(figure, full_html=False, include_plotlyjs=first, config={"displaylogo": False}))
            body.append(f"<p>{html.escape(caption)}</p>")
    write_text(path, PAGE.format(body="\n".join(body)))
    print(f"{path}: open it in a browser")


if __name__ == "__main__":
    main()
