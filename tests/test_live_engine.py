"""The engine of the live page: what the library computes, it computes; time passes in it as in `run_md`."""

import copy

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule as ase_molecule
from ase.cell import Cell
from conftest import shaken, small_water_box

from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import PRETRAINED, load_pretrained
from tpainn_lite.page import build
from tpainn_lite.reading.shipped import load_molecules, load_water
from tpainn_lite.simulate.md import moving, run_md
from tpainn_lite.structures.build import molecule

pytest.importorskip("wasmtime", reason="no WebAssembly runtime: pip install wasmtime")
from live_engine import WASM, Engine

EXACT, ROUNDED = 1e-4, 2e-3  # eV/Å: of float32 weights and of those in 16 bits
LANGEVIN = 0.1  # 1/fs, strong: the temperature settles soon


def structures(recipe):
    """What a shipped potential was made for: molecules of all its elements, or water, in clusters and in boxes."""
    if recipe.startswith("gas"):
        known = ("CCO", "FC(F)(F)C#N", "NCC(=O)O", "OO")
        more = ("C[Si](C)(C)Cl", "CP(=O)(O)O", "CSC", "BrCCI", "C[NH3+]") if "wide" in recipe else ()
        frames = [*load_molecules("test")[::40][:10], *(molecule(s) for s in known + more)]
        return [shaken(atoms, seed) for seed, atoms in enumerate(frames)]
    return [*load_water("valid", "liquid")[:2], *load_water("valid")[:4], shaken(small_water_box()), molecule("O")]


def exact(potential, frames):
    """Interaction energies and forces by the library in float64."""
    potential = copy.deepcopy(potential).double()
    energies, forces = potential.predict(frames)
    reference = [potential.atomref[frame.numbers].sum().item() for frame in frames]
    return energies - reference - potential.charge_energies(frames), forces


def network(n_features=16, n_interactions=2, n_rbf=8, cutoff=5.0):
    """An untrained potential of any size, none of whose weights is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(n_features)
        painn = PaiNN(n_features, n_interactions, n_rbf, cutoff)
        for name, parameter in painn.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.3)
    return Potential(painn, {z: -10.0 * z for z in range(1, 60)}, scale=2.0).eval()


def worst(potential, frames, rounded):
    """Largest error of a force (eV/Å) and of an energy per atom (eV)."""
    energies, forces = exact(potential, frames)
    found = [Engine(atoms, potential, rounded).evaluate() for atoms in frames]
    of_forces = max(np.abs(f - g).max() for (_, f), g in zip(found, forces, strict=True))
    of_energies = max(abs(e - g) / len(a) for (e, _), g, a in zip(found, energies, frames, strict=True))
    return of_forces, of_energies


@pytest.mark.parametrize("recipe", PRETRAINED)
def test_forces_of_shipped_weights_are_those_of_the_library(recipe):
    potential, frames = load_pretrained(recipe), structures(recipe)
    assert {z for atoms in frames for z in atoms.get_chemical_symbols()} == set(potential.elements)
    assert worst(potential, frames, rounded=False)[0] < EXACT
    of_forces, of_energies = worst(potential, frames, rounded=True)
    assert of_forces < ROUNDED
    assert of_energies < 1e-3


@pytest.mark.parametrize(
    "size", [(2, 1, 1, 4.0), (10, 2, 8, 3.0), (16, 1, 20, 6.0), (50, 3, 30, 5.0), (128, 4, 20, 7.5)]
)
def test_networks_of_any_size_are_computed(size):
    frames = [shaken(ase_molecule("CH3CH2OH")), small_water_box()]
    assert worst(network(*size), frames, rounded=False)[0] < EXACT


def lattices():
    """Few atoms that see many images of each other, in cells of all shapes and numbers of directions."""
    argon = Atoms("Ar", cell=[3.7, 3.9, 4.1], pbc=True)
    flat = Atoms("CO", [[0, 0, 0], [1.1, 0.4, 0.2]], cell=[[3, 0, 0], [2.6, 1.9, 0], [0.4, 0.9, 9]], pbc=True)
    slab = Atoms("CO", [[0, 0, 0], [0.2, 1.2, 0.1]], cell=[[3, 0, 0], [1, 3, 0], [0, 0, 0]], pbc=[1, 1, 0])
    wire = Atoms("CO", [[0, 0, 0], [0.2, 0.1, 1.2]], cell=[[0, 0, 0], [0, 0, 0], [0.5, 0, 2.9]], pbc=[0, 0, 1])
    far = small_water_box()
    far.positions += np.random.default_rng(0).integers(-9, 9, (len(far), 3)) @ far.cell.array  # a walk of many cells
    return {"one atom": argon, "flat": flat, "slab": slab, "wire": wire, "unwrapped": far}


@pytest.mark.parametrize("name", lattices())
def test_every_image_of_an_atom_counts(name):
    atoms, potential = lattices()[name], network()
    completed = atoms.copy()
    completed.cell = Cell(atoms.cell).complete()  # as the widget sends it; pbc says what counts
    (_, (expected,)), (_, found) = exact(potential, [atoms]), Engine(completed, potential, False).evaluate()
    assert np.abs(found - expected).max() < EXACT


def test_neighbours_are_searched_again_once_atoms_have_moved():
    potential, box = network(cutoff=3.0), small_water_box()
    engine = Engine(box, potential, False)
    engine.evaluate()
    for seed in range(4):
        box.positions += np.random.default_rng(seed).normal(scale=0.15, size=(len(box), 3))
        engine.put("positions", box.positions)
        assert np.abs(engine.evaluate()[1] - exact(potential, [box])[1][0]).max() < EXACT


def test_contacts_are_those_of_the_library():
    from tpainn_lite.structures.geometry import near_pairs

    box = load_water("test_large")[0]
    engine = Engine(box, network(cutoff=2.0), False)
    i, _, _ = near_pairs(box, 1.25)
    assert 2 * engine.call("find_contacts", 1.25) == len(i) == 256


# --- time passes ---


def started(potential, ensemble="nve", smiles="CCO", **options):
    atoms, _ = moving(molecule(smiles), None, ensemble, 300.0, 0)
    engine = Engine(atoms, potential, **options)
    engine.evaluate()
    return engine


def test_a_run_without_a_thermostat_is_that_of_run_md():
    from tpainn_lite.model.calculator import PotentialCalculator

    potential = load_pretrained("gas_xtb")
    run = run_md(molecule("CCO"), PotentialCalculator(potential), ensemble="nve", n_steps=200, every=40, progress=False)
    engine = started(potential, rounded=False)
    for frame in run.frames[1:]:
        engine.call("advance", 40, 0.5, 0.0, 1.0)
        assert np.abs(engine.positions - frame.positions).max() < 1e-5


def drift(engine, n_atoms, picoseconds):
    """meV per atom and ps, by a straight line through the total energy."""
    steps = round(picoseconds * 20)
    total = [engine.call("advance", 100, 0.5, 0.0, 1.0) + engine.call("kinetic_energy") for _ in range(steps)]
    return 1000 * np.polyfit(0.05 * np.arange(steps), total, 1)[0] / n_atoms


def test_energy_is_kept():
    assert abs(drift(started(load_pretrained("gas_xtb")), 9, 1)) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["gas", "gas_xtb"])
def test_energy_is_kept_for_20_ps(recipe):
    assert abs(drift(started(load_pretrained(recipe)), 9, 20)) < 0.1


def temperatures(engine, n_atoms, temperature, n_steps):
    engine.call("set_seed", 1)
    kept = np.exp(-LANGEVIN * 0.5)
    for k in range(n_steps // 10):
        engine.call("advance", 10, 0.5, temperature, kept)
        if k > 40:
            yield 2 * engine.call("kinetic_energy") / (3 * n_atoms * units.kB)


def test_langevin_gives_the_temperature_that_is_asked_for():
    kelvin = np.array(list(temperatures(started(load_pretrained("gas"), "nvt", "O"), 3, 400.0, 14_000)))
    blocks = kelvin[: len(kelvin) // 40 * 40].reshape(40, -1).mean(axis=1)
    assert abs(kelvin.mean() - 400) < 4 * blocks.std() / np.sqrt(40) + 4
    assert kelvin.std() == pytest.approx(400 * np.sqrt(2 / 9), rel=0.15)  # Maxwell's distribution of 9 velocities


def test_a_pulled_atom_gains_energy_and_the_molecule_stays_where_it_is():
    engine = started(load_pretrained("gas_xtb"))
    atoms, before = molecule("CCO"), engine.evaluate()[0]
    masses, place = atoms.get_masses(), engine.positions[8] + [3.0, 0.0, 0.0]
    engine.call("pull", 8, *place, 1.0)
    pulled = [engine.call("advance", 1, 0.5, 0.0, 1.0) for _ in range(80)]
    assert max(pulled) > before + 0.5
    assert np.abs(masses @ engine.velocities).max() < 1e-9
    engine.call("pull", -1, 0.0, 0.0, 0.0, 0.0)


# --- the compiled file ---


def test_the_engine_is_what_its_source_compiles_to(tmp_path):
    if problem := build.missing():
        pytest.skip(problem)
    build.build(tmp_path / "engine.wasm")
    assert (tmp_path / "engine.wasm").read_bytes() == WASM.read_bytes(), "run python -m tpainn_lite.page.build"


def test_the_engine_imports_nothing_and_is_small():
    import wasmtime

    assert not wasmtime.Module.from_file(wasmtime.Engine(), str(WASM)).imports
    assert WASM.stat().st_size < 40_000
