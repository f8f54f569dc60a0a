"""Fixtures that several test files share: small labelled frames, small networks, real reference data."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as ase_molecule

from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.build import molecule
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.sample import normal_mode_frames

sys.path.insert(0, str(Path(__file__).parent / "reference"))  # for mapping.py
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

SMALL = {"n_features": 16, "n_interactions": 2, "n_rbf": 8}  # a network that trains in seconds


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: small tensors are faster so, and sums come out the same every time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def labelled():
    """Sixty frames of six molecules (H, C, N, O, F), labelled by MMFF94; ``info["smiles"]`` names the molecule."""
    frames = []
    for seed, smiles in enumerate(("O", "C", "CO", "CF", "N", "CC#N")):
        minimum = molecule(smiles)
        frames += normal_mode_frames(minimum, mmff94(), 500, 10, seed)
    return label(frames, mmff94(), progress=False)


@pytest.fixture(scope="session")
def methane_frames(labelled):
    """The ten of them that are methane."""
    return labelled[10:20]


@pytest.fixture
def potential():
    """An untrained potential in float64 with lively weights: nothing in it is zero."""
    return lively_potential()


@pytest.fixture
def float32_potential():
    """The same in float32."""
    return lively_potential(torch.float32)


@pytest.fixture
def ethanol():
    """A slightly shaken ethanol molecule."""
    return shaken(ase_molecule("CH3CH2OH"))


@pytest.fixture
def water_box():
    """Two water molecules in a small periodic box of awkward shape, in which every atom sees its own images."""
    return small_water_box()


@pytest.fixture(scope="session")
def reference_data():
    """``load.py`` of the folder with real reference data, as a module; its ``folder`` is that folder."""
    folder = os.environ.get("TPAINN_REFERENCE_DATA")
    if not folder:
        pytest.skip("needs real reference data: set TPAINN_REFERENCE_DATA to the folder that has load.py and qm9/")
    spec = importlib.util.spec_from_file_location("reference_data_load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.folder = Path(folder)
    return module


def lively_potential(dtype=torch.float64, seed=0, cutoff=5.0, elements=(1, 6, 7, 8, 9)):
    """A small potential with random weights and biases, none of them zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        painn = PaiNN(**SMALL, cutoff=cutoff)
        for name, parameter in painn.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.3)
    return Potential(painn.to(dtype), {z: -10.0 * z for z in elements}, scale=2.0).eval()


def shaken(atoms, seed=0, by=0.05):
    """A copy with every atom moved a little."""
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(scale=by, size=atoms.positions.shape)
    return atoms


def small_water_box():
    """Two water molecules in a triclinic cell of about 4 Å."""
    box = Atoms(cell=[[4.2, 0.0, 0.0], [0.9, 4.0, 0.0], [-0.6, 1.1, 4.4]], pbc=True)
    for k, shift in enumerate(([0.8, 0.9, 1.0], [2.7, 3.1, 3.2])):
        water = ase_molecule("H2O")
        water.rotate(70.0 * (k + 1), (1, 2, 3))
        water.translate(shift)
        box += water
    return shaken(box)
