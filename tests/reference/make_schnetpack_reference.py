"""Numbers that our PaiNN must reproduce, computed by SchNetPack's PaiNN (Schütt et al. 2023, doi:10.1063/5.0138367).

Run with a Python that has SchNetPack 2.1.1 (``python benchmarks/speed.py`` makes one in ``.peers/schnetpack``):

    .peers/schnetpack/bin/python tests/reference/make_schnetpack_reference.py

Writes ``schnetpack_painn.npz`` beside this file: random weights (float32 numbers, biases not zero), structures, and
energies (eV), forces (eV/Å) and stresses (eV/Å³) computed in float64.
"""

import typing
from pathlib import Path

import numpy as np
import torch
import torch.utils.data.dataloader
from ase import Atoms
from ase.build import molecule

if not hasattr(torch.utils.data.dataloader, "T_co"):  # SchNetPack 2.1.1 takes this name from an older torch
    torch.utils.data.dataloader.T_co = typing.TypeVar("T_co", covariant=True)

import schnetpack as spk
import schnetpack.transform as trn
from schnetpack.interfaces import AtomsConverter

N_FEATURES, N_INTERACTIONS, N_RBF, CUTOFF, SEED = 32, 3, 20, 5.0, 2021
HEAVIEST = 9  # F; the embeddings of heavier elements are not kept


def structures():
    """{name: ase.Atoms}: molecules, a lone atom, periodic boxes of awkward shape, and a slab."""
    rng = np.random.default_rng(SEED)
    frames = {"ethanol": molecule("CH3CH2OH"), "trifluoroacetonitrile": molecule("CF3CN"), "one atom": Atoms("O")}
    frames["water box"] = water_box(rng)
    cell = [[3.1, 0.0, 0.0], [1.2, 3.3, 0.0], [-0.9, 1.4, 2.9]]  # every atom sees its own images
    fractions = [[0, 0, 0], [0.3, 0.3, 0.3], [0.6, 0.5, 0.5]]
    frames["triclinic"] = Atoms("NHO", scaled_positions=fractions, cell=cell, pbc=True)
    frames["slab"] = Atoms("CFOH", [[0, 0, 5], [1.9, 1.6, 5.5], [0.2, 1.5, 6.4], [1.2, 0.2, 4.2]])
    frames["slab"].set_cell([[3.6, 0.0, 0.0], [0.7, 3.4, 0.0], [0.0, 0.0, 12.0]])
    frames["slab"].pbc = (True, True, False)
    for atoms in frames.values():
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return frames


def water_box(rng):
    """Eight molecules, turned at random, on a 2 × 2 × 2 lattice in a periodic cube of 6.4 Å."""
    box = Atoms(cell=[6.4] * 3, pbc=True)
    for corner in np.ndindex(2, 2, 2):
        water = molecule("H2O")
        water.rotate(rng.uniform(0, 360), rng.normal(size=3))
        water.translate(3.2 * (np.array(corner) + 0.5))
        box += water
    return box


def model(with_stress):
    """SchNetPack's PaiNN with its usual readout; the same weights at every call."""
    torch.manual_seed(SEED)
    radial_basis = spk.nn.BesselRBF(n_rbf=N_RBF, cutoff=CUTOFF)
    painn = spk.representation.PaiNN(N_FEATURES, N_INTERACTIONS, radial_basis, spk.nn.CosineCutoff(CUTOFF))
    readout = spk.atomistic.Atomwise(n_in=N_FEATURES, output_key="energy")
    network = spk.model.NeuralNetworkPotential(
        representation=painn,
        input_modules=[spk.atomistic.Strain()] * with_stress + [spk.atomistic.PairwiseDistances()],
        output_modules=[readout, spk.atomistic.Forces(calc_stress=with_stress)],
    )
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
        parameter.data = parameter.data.float().double()
    return network.eval()


def compute(atoms):
    """{energy, forces, and stress where periodic in all directions} of one structure."""
    converter = AtomsConverter(trn.ASENeighborList(cutoff=CUTOFF), dtype=torch.float64)
    output = model(with_stress=bool(atoms.pbc.all()))(converter(atoms))
    return {key: value.detach().numpy() for key, value in output.items()}


def main():
    torch.set_default_dtype(torch.float64)
    content = {}
    for name, tensor in model(with_stress=False).state_dict().items():
        content[f"weights/{name}"] = tensor.numpy().astype(np.float64 if "freqs" in name else np.float32)
    embedding = "weights/representation.embedding.weight"
    content[embedding] = content[embedding][: HEAVIEST + 1]
    for name, atoms in structures().items():
        structure = {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}
        for key, value in {**structure, **compute(atoms)}.items():
            content[f"{name}/{key}"] = value
    path = Path(__file__).with_name("schnetpack_painn.npz")
    np.savez_compressed(path, **content)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, SchNetPack {spk.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
