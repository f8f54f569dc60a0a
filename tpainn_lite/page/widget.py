"""`live`: MD that runs in the reader's browser, with the weights of a trained potential, and goes on without a kernel.

The scene holds all that the page needs: the structure, the weights, the engine and its style.  A notebook shows it
through anywidget; where there are no widgets, on the course's site say, the same scene and the same script stand in the
output's HTML; and where no script may run, a picture.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import ArrayLike

from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.page.weights import packed
from tpainn_lite.show.painting import png
from tpainn_lite.show.scenes import ball_radii, facing, make_scenes
from tpainn_lite.show.style import COLOURS, places_of
from tpainn_lite.simulate.md import check_settings, moving
from tpainn_lite.structures.arguments import check_choice, check_counts, shown
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import is_boxed

FORMAT = 1  # of the scene, as in live.js
FOLDER = Path(__file__).parent
ROOM = 1.2  # around the structure, in which it can be pulled about
FEW = 40  # atoms, up to which arrows do not hide them
MOST = 2000  # atoms; with more a picture takes seconds
SIZE = 400  # pixels of the still picture


class Live:
    """What `live` returns: one output in several formats.

    ``scene`` is what the page gets, ``html`` a page's part that needs nothing else, ``widget`` the same for notebooks
    (None without anywidget), ``png`` a picture and ``alt`` what is seen, in words.
    """

    def __init__(self, scene: dict[str, Any], picture: bytes):
        self.scene, self.png, self.alt = scene, picture, scene["alt"]
        self.widget = _widget(scene)

    @property
    def html(self) -> str:
        """A picture, the scene as JSON, and the script that brings it to life."""
        text = json.dumps(self.scene, separators=(",", ":")).replace("<", "\\u003c")
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        still = f"data:image/png;base64,{_text(self.png)}"
        start = (
            f"for (const place of document.querySelectorAll('[data-live=\"{name}\"]:not([data-alive])')) {{\n"
            '    place.dataset.alive = "yes";\n'
            "    show(place, JSON.parse(place.nextElementSibling.textContent));\n}"
        )
        return (
            f'<div class="tpainn-live" data-live="{name}"><img src="{still}" alt="{html.escape(self.alt)}" '
            'style="max-width: 100%"></div>'
            f'<script type="application/json">{text}</script>'
            f'<script type="module">{_source("live.js")}\n{start}\n</script>'
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = self.widget._repr_mimebundle_() if self.widget is not None else None
        live = bundle[0] if isinstance(bundle, tuple) else bundle or {}
        return dict(live) | {"text/html": self.html, "image/png": _text(self.png), "text/plain": self.alt}


def live(
    atoms: Atoms,
    potentials: Potential | Mapping[str, Potential],
    *,
    ensemble: str = "nvt",
    temperature: float = 300.0,
    friction: float = 10.0,
    timestep: float = 0.5,
    arrows: bool | None = None,
    seed: int = 0,
) -> Live:
    """MD in the page: watch it, heat it, pull an atom, change the potential on the way.

    The run begins as that of `run_md` with the same settings and seed, and has its guards.  The weights travel in 16
    bits a number: forces differ from the library's by less than 2 meV/Å.

    Parameters
    ----------
    atoms
        A molecule, or a box that is periodic in any of its directions; left as it is.
    potentials
        One, or several by name to choose from; the first one begins.
    ensemble
        "nvt" (Langevin) or "nve", to begin with.
    temperature, friction, timestep
        K; 1/ps, of Langevin; fs.
    arrows
        Whether forces are drawn at first; by default for up to 40 atoms.

    Returns
    -------
    Live
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
    networks = [{"name": name, **packed(potential, atoms.numbers)} for name, potential in named.items()]
    if all(network["unknown"] for network in networks):
        raise ValueError(
            f"{next(iter(named))} was not made for {', '.join(networks[0]['unknown'])}; it knows "
            f"{', '.join(networks[0]['elements'])}. Give a potential that knows all elements of the structure"
        )
    settings = {"ensemble": ensemble, "temperature": temperature, "friction": friction, "timestep": timestep}
    settings |= {"arrows": len(atoms) <= FEW if arrows is None else arrows, "seed": seed}
    return Live(*_scene(atoms, networks, settings))


def _named(potentials):
    """{name: potential}, checked."""
    named = dict(potentials) if isinstance(potentials, Mapping) else {"potential": potentials}
    if not named or not all(isinstance(name, str) for name in named):
        raise ValueError(f"potentials is {shown(potentials)}; at least one is expected, by name: {{'name': potential}}")
    for potential in named.values():
        check_potential(potential)
    return named


def _scene(atoms, networks, settings):
    """(what live.js reads, the still picture)."""
    names = [network["name"] for network in networks]
    colours = places_of(names)
    for network in networks:
        network |= {"weights": _text(network["weights"]), "colour": COLOURS[colours[network["name"]]]}
    start, _ = moving(atoms, None, settings["ensemble"], settings["temperature"], settings["seed"])
    scenes, half_width = make_scenes([[atoms]], [""])
    scene = {
        "format": FORMAT, "alt": f"Molecular dynamics of {atoms.get_chemical_formula()} with {' or '.join(names)}",
        "structure": _structure(start), "potentials": networks, "settings": settings,
        "view": _view(atoms, half_width),
        "engine": _text((FOLDER / "engine.wasm").read_bytes()), "style": _source("live.css"),
    }  # fmt: skip
    return scene, png(scenes, half_width, SIZE)


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


@lru_cache
def _source(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def _widget(scene):
    """An anywidget that shows the scene, or None where that package is missing."""
    try:
        return _widget_class()(scene=scene)
    except ImportError:
        return None


@lru_cache
def _widget_class():
    import anywidget
    import traitlets

    class LiveWidget(anywidget.AnyWidget):
        """The scene, as the page gets it."""

        _esm = _source("live.js")
        scene = traitlets.Dict().tag(sync=True)

    return LiveWidget
