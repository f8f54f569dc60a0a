"""Error bars of a potential: how wrong its energies and forces may be, with a promise that labels have tested.

There is no committee.  Only the last layer may differ, which is linear in its features f: its weights could change,
without the training labels noticing, in directions that these labels have hardly excited.  So the spread of an energy
is √(fᵀ H⁻¹ f), where H is the sum of f fᵀ over the training labels, and that of a force component the same with the
change of f along the coordinate (Bigi, Chong, Ceriotti, Grasselli 2024, arXiv:2403.02251).  How many times this spread
errors are is learnt from labelled frames that nothing was trained on, such that the wanted share of theirs lies within
(split conformal prediction with normalised residuals: Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
How well the promise holds elsewhere is measured in ``benchmarks/uncertainty.py``.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.model.graph import graphs_of, together, unpack
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.structures.arguments import check_numbers
from tpainn_lite.structures.checks import check_labels, label_of

STRENGTH = 1e-6  # of the penalty that lets H be inverted, times its mean diagonal
LEAST = {"energy": 1e-4, "forces": 1e-3}  # eV per atom, eV/Å: a smaller spread is chance, or symmetry
Spread = tuple[NDArray, list[NDArray], NDArray, list[NDArray]]  # energies, forces, and the spread of both


class LastLayer:
    """A potential, and how far its last layer could change without the labels of these frames noticing.

    >>> from tpainn_lite import load_molecules, load_pretrained
    >>> frames = load_molecules("train")[:3]
    >>> energies, forces, of_energies, of_forces = LastLayer(load_pretrained("gas"), frames).predict(frames)
    >>> of_forces[0].shape == forces[0].shape
    True
    """

    def __init__(self, potential: Potential, train: Sequence[Atoms]) -> None:
        check_potential(potential)
        self.potential = potential
        width = int(potential.painn.readout[2].in_features)  # type: ignore[arg-type]
        matrix = np.zeros((width, width))
        for atoms in train:
            of_energy, of_forces = self._features(atoms)
            matrix += of_forces @ of_forces.T + np.outer(of_energy, of_energy) / len(atoms) ** 2
        self.inverse = np.linalg.inv(matrix + STRENGTH * np.trace(matrix) / width * np.eye(width))

    def predict(self, frames: Sequence[Atoms]) -> Spread:
        """Energies (n,) in eV, forces [(N, 3)] in eV/Å, and the spread of both, whose unit has no meaning."""
        energies, forces = self.potential.predict(frames)
        of_energies, of_forces = [], []
        for atoms in frames:
            e, f = self._features(atoms)
            of_energies.append(math.sqrt(e @ self.inverse @ e))
            of_forces.append(np.sqrt(np.einsum("fc,fg,gc->c", f, self.inverse, f)).reshape(-1, 3))
        return energies, forces or [], np.array(of_energies), of_forces

    def _features(self, atoms: Atoms) -> tuple[NDArray, NDArray]:
        """What the last layer sees: its sum over atoms (f,), and how that changes with each coordinate (f, 3N)."""
        graph = together(graphs_of([atoms], self.potential.cutoff, self.potential.dtype)).to(self.potential.device)
        r_ij = graph.r_ij.detach().requires_grad_()
        idx_i, idx_j, _, _ = unpack(graph)
        s, _ = self.potential.painn.features(graph.atomic_numbers, r_ij, idx_i, idx_j)
        total = self.potential.painn.readout[:-1](s).sum(dim=0)  # (f,)
        one_each = torch.eye(len(total), dtype=total.dtype, device=total.device)
        (slopes,) = torch.autograd.grad(total, r_ij, one_each, is_grads_batched=True)  # (f, E, 3)
        on_atoms = slopes.new_zeros(len(total), len(atoms), 3).index_add(1, idx_i, slopes).index_add(1, idx_j, -slopes)
        return total.detach().double().cpu().numpy(), on_atoms.flatten(1).double().cpu().numpy()


class ErrorBars:
    """A potential that says how wrong it may be.

    Parameters
    ----------
    potential
        Of any training.
    train
        Labelled frames that it was trained on last.
    held_out
        Some twenty labelled frames that it was not trained on, as like as may be to those that it will be asked about:
        the promise is for frames that are drawn as these were.
    share
        Of the errors, that are to lie within.

    Raises
    ------
    ValueError, TypeError
        Frames without labels; a share that is not between 0 and 1.

    >>> from tpainn_lite import load_molecules, load_pretrained
    >>> frames = load_molecules("valid")
    >>> bars = ErrorBars(load_pretrained("gas_xtb"), frames[:200:20], frames[10:200:20])
    >>> energies, forces, energy_bars, force_bars = bars.predict(frames[300:302])
    >>> bool((force_bars[0] > 0).all())
    True
    """

    def __init__(
        self, potential: Potential, train: Sequence[Atoms], held_out: Sequence[Atoms], share: float = 0.9
    ) -> None:
        check_labels(train, need=("energy", "forces"))
        check_labels(held_out, need=("energy", "forces"))
        check_numbers(above=0, share=share)
        if share >= 1:
            raise ValueError(f"share is {share:g}; a number between 0 and 1 is expected, such as 0.9")
        self.model = LastLayer(potential, train)
        scores = relative(self.model.predict(held_out), held_out)
        self.factors = {name: quantile(values, share) for name, values in scores.items()}

    def predict(self, frames: Sequence[Atoms]) -> Spread:
        """Energies (n,) in eV, forces [(N, 3)] in eV/Å, and half the width of their error bars, in the same units."""
        energies, forces, of_energies, of_forces = at_least(self.model.predict(frames), frames)
        return energies, forces, self.factors["energy"] * of_energies, [self.factors["forces"] * f for f in of_forces]


def at_least(predicted: Spread, frames: Sequence[Atoms]) -> Spread:
    """The same, no spread smaller than `LEAST`.

    >>> at_least((np.zeros(1), [np.zeros((1, 3))], np.zeros(1), [np.zeros((1, 3))]), [Atoms("H")])[2]
    array([0.0001])
    """
    energies, forces, of_energies, of_forces = predicted
    sizes = np.array([len(atoms) for atoms in frames])
    widths = [np.maximum(width, LEAST["forces"]) for width in of_forces]
    return energies, forces, np.maximum(of_energies, LEAST["energy"] * sizes), widths


def relative(predicted: Spread, frames: Sequence[Atoms]) -> dict[str, NDArray]:
    """{"energy": (n,), "forces": (3ΣN,)}: errors of labelled frames, divided by the spread.

    >>> from ase.calculators.singlepoint import SinglePointCalculator
    >>> atom = Atoms("H")
    >>> atom.calc = SinglePointCalculator(atom, energy=0.0, forces=np.zeros((1, 3)))
    >>> said = np.array([0.2]), [np.zeros((1, 3))], np.array([0.1]), [np.ones((1, 3))]
    >>> relative(said, [atom])["energy"]
    array([2.])
    """
    energies, forces, of_energies, of_forces = at_least(predicted, frames)
    missed = np.abs(energies - [label_of(atoms, "energy") for atoms in frames])
    parts = [
        np.abs(mine - label_of(atoms, "forces")) / width
        for mine, width, atoms in zip(forces, of_forces, frames, strict=True)
    ]
    joined = np.concatenate([part.ravel() for part in parts])
    return {"energy": missed / of_energies, "forces": joined}


def quantile(scores: NDArray, share: float) -> float:
    """What the wanted share of further scores will lie below, by these; the largest, where they are too few.

    >>> quantile(np.arange(1.0, 20.0), 0.9)
    18.0
    """
    rank = min(math.ceil((len(scores) + 1) * share), len(scores))
    return float(np.sort(scores)[rank - 1])
