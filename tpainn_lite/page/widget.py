"""`live`: MD that runs in the reader's browser, with the weights of a trained potential, and goes on without a kernel.

The scene holds all that the page needs: the structure, the weights, the engine and its style (`shown.py` says how it is
shown).
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import ArrayLike

from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.page.shown import FOLDER, Shown, source
from tpainn_lite.page.weights import packed
from tpainn_lite.show.painting import png
from tpainn_lite.show.plot_data import check_named, numbers, pair_of
from tpainn_lite.show.scenes import ball_radii, facing, make_scenes
from tpainn_lite.show.style import COLOURS, places_of
from tpainn_lite.simulate.md import check_settings, moving
from tpainn_lite.structures.arguments import check_choice, check_counts, shown
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import is_boxed, widths

FORMAT = 2  # of the scene, as in live.js
SCRIPTS = ("theme.js", "camera.js", "charts.js", "hands.js", "physics.js", "live.js")
ROOM = 1.2  # around the structure, in which it can be pulled about
FEW = 40  # atoms, up to which arrows do not hide them
MOST = 2000  # atoms; with more a picture takes seconds
SIZE = 400  # pixels of the still picture
OXYGEN, LIQUID = 8, 4  # g(r) is that of oxygens, where a box has so many
FARTHEST, BINS = 6.0, 60  # Å, of g(r)

Named = Mapping[str, Potential] | Mapping[str, Mapping[int, Potential]]


def live(
    atoms: Atoms,
    potentials: Potential | Named,
    *,
    ensemble: str = "nvt",
    temperature: float = 300.0,
    friction: float = 10.0,
    timestep: float = 0.5,
    arrows: bool | None = None,
    reference: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    notes: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Shown:
    """MD in the page: watch it, heat it, pull an atom, change the potential on the way.

    The run begins as that of `run_md` with the same settings and seed, and has its guards.  The weights travel in 16
    bits a number: forces differ from the library's by less than 2 meV/Å.  In boxes with four oxygens or more, g(r) of
    these is drawn; it begins anew whenever something is changed.

    Parameters
    ----------
    atoms
        A molecule, or a box that is periodic in any of its directions; left as it is.
    potentials
        One, or several by name to choose from; the first one begins.  Or for each name the potentials after so many
        DFT labels, ``{0: ..., 10: ...}``, the same numbers for all names: these are chosen with a slider.  What a
        potential's metadata say of its errors (`load_label_slider`) is shown.
    ensemble
        "nvt" (Langevin) or "nve", to begin with.
    temperature, friction, timestep
        K; 1/ps, of Langevin; fs.
    arrows
        Whether forces are drawn at first; by default for up to 40 atoms.
    reference
        By name, curves (r in Å, g) that g(r) is drawn over.
    notes
        By a potential's name, a sentence that is shown while it runs.

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    ValueError, TypeError
        A bad structure or setting, weights that are not finite, or elements that none of the potentials knows.

    >>> from tpainn_lite import load_pretrained, molecule
    >>> live(molecule("CCO"), {"MMFF94": load_pretrained("gas"), "GFN2-xTB": load_pretrained("gas_xtb")}).alt
    'Molecular dynamics of C2H6O with MMFF94 or GFN2-xTB'
    """
    check_structure(atoms)
    check_counts(most=MOST, n_atoms=len(atoms))
    check_choice(("nvt", "nve"), ensemble=ensemble)
    check_choice((True, False, None), arrows=arrows)
    check_settings(ensemble, temperature=temperature, friction=friction, timestep=timestep)
    check_counts(least=0, seed=seed)
    named = _named(potentials)
    networks = _networks(named, atoms.numbers, _checked_notes(notes, named))
    settings = {"ensemble": ensemble, "temperature": temperature, "friction": friction, "timestep": timestep}
    settings |= {"arrows": len(atoms) <= FEW if arrows is None else arrows, "seed": seed}
    scene, picture = _scene(atoms, named, networks, settings)
    return Shown(scene | {"rdf": _rdf(atoms, reference)}, SCRIPTS, picture)


def _named(potentials):
    """{name: {number of labels or None: potential}}, checked."""
    named = dict(potentials) if isinstance(potentials, Mapping) else {"potential": potentials}
    if not named or not all(isinstance(name, str) for name in named):
        raise ValueError(f"potentials is {shown(potentials)}; at least one is expected, by name: {{'name': potential}}")
    grouped = {name: dict(given) if isinstance(given, Mapping) else {None: given} for name, given in named.items()}
    first = list(next(iter(grouped.values())))
    for name, group in grouped.items():
        if list(group) != first or not first:
            raise ValueError(f"{name!r} has potentials for {list(group)} labels; {first} are expected, as of the first")
        for potential in group.values():
            check_potential(potential)
    if first != [None]:
        check_counts(least=0, **{f"labels[{k}]": n for k, n in enumerate(first)})
    return grouped


def _checked_notes(notes, named):
    notes = {} if notes is None else notes
    check_named(notes, "sentence", may_be_empty=True)
    for name, note in notes.items():
        if name not in named or not isinstance(note, str):
            raise ValueError(f"notes has {name!r}: {shown(note)}; a sentence for one of {list(named)} is expected")
    return notes


def _networks(named, atomic_numbers, notes):
    """What the page gets of each potential, by name and then by its number of labels."""
    places = places_of(named)
    networks = []
    for name, group in named.items():
        for n, potential in group.items():
            about = {"name": name if n is None else f"{name}, {n:,} labels", "colour": COLOURS[places[name]]}
            about |= {"note": notes.get(name), "error": _error(potential)}
            network: dict[str, Any] = about | packed(potential, atomic_numbers)
            networks.append(network | {"weights": _text(network["weights"])})
    if all(network["unknown"] for network in networks):
        raise ValueError(
            f"{networks[0]['name']} was not made for {', '.join(networks[0]['unknown'])}; it knows "
            f"{', '.join(networks[0]['elements'])}. Give a potential that knows all elements of the structure"
        )
    return networks


def _error(potential):
    """Mean error of its forces in meV/Å on the molecules of the test, where its metadata say so."""
    error = potential.metadata.get("test_errors", {}).get("force_mae")
    return None if error is None else float(error)


def _scene(atoms, named, networks, settings):
    """(what live.js reads, the still picture)."""
    names, labels = list(named), list(next(iter(named.values())))
    start, _ = moving(atoms, None, settings["ensemble"], settings["temperature"], settings["seed"])
    scenes, half_width = make_scenes([[atoms]], [""])
    scene = {
        "format": FORMAT, "alt": f"Molecular dynamics of {atoms.get_chemical_formula()} with {' or '.join(names)}",
        "structure": _structure(start), "potentials": networks, "settings": settings,
        "names": names, "labels": None if labels == [None] else labels, "view": _view(atoms, half_width),
        "engine": _text((FOLDER / "engine.wasm").read_bytes()), "style": source("live.css"),
    }  # fmt: skip
    return scene, png(scenes, half_width, SIZE)


def _rdf(atoms, reference):
    """How g(r) of the oxygens is counted, and what it is compared with; None where there is no liquid."""
    reference = {} if reference is None else reference
    check_named(reference, "(r, g)", may_be_empty=True)
    curves = []
    for name, curve in reference.items():
        r, g = (numbers(values, name).round(4).tolist() for values in pair_of(curve, name))
        curves.append({"name": str(name), "r": r, "g": g})
    if not atoms.pbc.all() or (atoms.numbers == OXYGEN).sum() < LIQUID:
        if curves:
            raise ValueError(f"reference has {list(reference)}; a box with {LIQUID} oxygens or more is expected for it")
        return None
    species = sorted(set(atoms.numbers.tolist())).index(OXYGEN)
    r_max = min(FARTHEST, 0.499 * float(widths(atoms.cell.array).min()))
    return {"species": species, "symbol": "O", "r_max": r_max, "n_bins": BINS, "curves": curves}


def _structure(atoms):
    """The atoms as the engine and the picture need them; those of one element share a species."""
    elements, species = np.unique(atoms.numbers, return_inverse=True)
    cell = np.asarray(atoms.cell.complete())
    return {
        "symbols": [chemical_symbols[z] for z in elements], "species": species.tolist(),
        "colours": (255 * jmol_colors[elements]).tolist(), "balls": ball_radii(elements).tolist(),
        "positions": _numbers(atoms.positions), "velocities": _numbers(atoms.get_velocities()),
        "masses": _numbers(atoms.get_masses()), "radii": _numbers(covalent_radii[atoms.numbers]),
        "cell": cell.ravel().tolist(), "inverse": np.linalg.inv(cell).ravel().tolist(),
        "pbc": atoms.pbc.astype(int).tolist(), "boxed": bool(is_boxed(atoms)),
    }  # fmt: skip


def _view(atoms, half_width):
    """How the picture begins: (3, 3) right, up and to the eye; what lies in its middle and half its width, in Å.

    In empty space the middle is the centre of mass, and wherever the molecule turns, it fits.
    """
    view = {"turn": facing(atoms).ravel().tolist(), "centre": [0.0, 0.0, 0.0], "half_width": half_width}
    if is_boxed(atoms):
        return view | {"centre": (atoms.cell.array.sum(axis=0) / 2).tolist()}
    reach = np.linalg.norm(atoms.positions - atoms.get_center_of_mass(), axis=1) + ball_radii(atoms.numbers)
    return view | {"half_width": max(ROOM * half_width, 1.05 * float(reach.max()))}


def _numbers(values: ArrayLike) -> str:
    return _text(np.ascontiguousarray(values, dtype="<f8").tobytes())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
