"""Energies in closed form: what a pretrained network knows of each atom, and one linear solve in place of training.

After every round of the network an atom has scalar features; x_i are those of all rounds, of mean 0 and deviation 1
over the labelled frames.  With random directions w_k and phases b_k

    E = E_cheap + Σ_i [ ε(Z_i) + Σ_k c_k(Z_i) cos(w_k · x_i + b_k) ]

is linear in ε and c, and, for enough k, as flexible as a Gaussian process over atoms (random Fourier features: Rahimi
and Recht 2007, NIPS 20; on a foundation model, for forces: Novelli et al. 2025, arXiv:2505.05652).  E_cheap is
the energy of the pretrained potential or, for Δ-learning, of the method that it has learnt from.  How strongly the c
are held back is chosen by leaving one label out at a time, also in closed form.

On energies of relaxed molecules this has lower errors than training has (``docs/what_pretraining_buys.md``).  Where
there are labels of forces, `autotune` and `delta_learn` are better.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from tpainn_lite.model.graph import graphs_of, together, unpack
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.structures.arguments import check_counts
from tpainn_lite.structures.checks import DatasetError, check_frames, check_labels, label_of
from tpainn_lite.structures.geometry import composition
from tpainn_lite.teachers.label import label

N_WAVES = 2048  # cosines of each element
WIDTH = 3.0  # distance over which they change, by the root of the number of features; 1.5 and 6 did much the same
STRENGTHS = 10.0 ** np.arange(-8, 1, 0.5)  # of the penalty, times the mean square of the cosines' sums
AT_ONCE = 64  # structures
LEAST = 1e-10  # part of a label that the fit to all others does not fix: below it, nothing can be said

Rounds = tuple[Tensor, Tensor, Tensor]  # whose an atom is (N,), its number (N,), its features (N, rounds × F)


class EnergyFit:
    """Energies of molecules from few labels without forces, fitted in seconds; asked like a `Potential`.

    Parameters
    ----------
    frames
        Labelled with energies; up to some thousands, as the work grows with the cube of their number.
    start
        A pretrained potential; its weights stay as they are.
    teacher
        The cheap method that is asked at every prediction too, best the one that ``start`` has learnt from.  By default
        ``start`` itself.
    seed
        Of the random directions.

    Attributes
    ----------
    left_out_error : float
        eV: mean error of each of the frames' energies, predicted from all others.  New molecules that are less like
        the frames than these are like each other have a larger one.

    Raises
    ------
    DatasetError, ValueError, TypeError
        Frames without energies, or with fewer than two more of them than there are elements; what is no potential.

    >>> from tpainn_lite import load_molecules, load_pretrained
    >>> frames = load_molecules("valid")[:60:3]
    >>> fit = EnergyFit(frames[:15], load_pretrained("gas_xtb"))
    >>> fit.predict(frames[15:])[0].shape
    (5,)
    """

    def __init__(
        self, frames: Sequence[Atoms], start: Potential, teacher: Calculator | None = None, seed: int = 0
    ) -> None:
        check_labels(frames, need=("energy",))
        check_potential(start)
        check_counts(least=0, seed=seed)
        self.start, self.teacher = start, teacher
        self.elements, counts = composition(frames)  # (elements,), (n, elements)
        if len(frames) < len(self.elements) + 2:
            raise DatasetError(
                f"{len(frames)} frames with {len(self.elements)} elements were given; an energy for each element and "
                f"more is fitted, so at least {len(self.elements) + 2} frames are needed"
            )
        rounds = list(self._rounds(frames))
        self._set_waves(rounds, seed)
        sums = self._sums(rounds)  # (n, elements × waves)
        rest = np.array([label_of(atoms, "energy") for atoms in frames]) - self._cheap(frames)  # (n,) eV
        self.mean_sums = np.linalg.lstsq(counts, sums, rcond=1e-8)[0]  # of each element
        sums -= counts @ self.mean_sums
        shares, self.left_out_error = _solve(sums @ sums.T, counts, rest)
        self.weights = sums.T @ shares  # (elements × waves,) eV
        self.atomref = np.linalg.lstsq(counts, rest - sums @ self.weights, rcond=1e-8)[0]  # (elements,) eV

    def predict(self, frames: Sequence[Atoms]) -> tuple[NDArray, None]:
        """Energies (n,) in eV, and None in the place of forces, which this fit has not.

        Raises
        ------
        ValueError
            An element that was in none of the labelled frames; a structure that the teacher cannot do.
        """
        check_frames(frames)
        elements, there = composition(frames)
        unknown = [chemical_symbols[z] for z in elements if z not in self.elements]
        if unknown:
            raise ValueError(f"no frame that was fitted to has {', '.join(unknown)}; label some that have")
        counts = np.zeros((len(frames), len(self.elements)))
        counts[:, [self.elements.index(z) for z in elements]] = there
        sums = self._sums(self._rounds(frames)) - counts @ self.mean_sums
        return self._cheap(frames) + counts @ self.atomref + sums @ self.weights, None

    def _cheap(self, frames):
        """Energies (n,) that the fit is added to."""
        if self.teacher is None:
            return self.start.predict(frames, forces=False)[0]
        labelled = label(frames, self.teacher, progress=False)
        if len(labelled) < len(frames):
            raise ValueError(f"the teacher could label only {len(labelled)} of {len(frames)} frames; see above")
        return np.array([label_of(atoms, "energy") for atoms in labelled])

    def _set_waves(self, rounds, seed):
        """Directions and phases, for features as large as they are here."""
        x = torch.cat([features for _, _, features in rounds])  # (ΣN, rounds × F)
        mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-6 * x.std()
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(x.shape[1], N_WAVES, generator=generator, dtype=torch.float64)
        self.directions = random / (WIDTH * x.shape[1] ** 0.5) / deviation[:, None]
        self.phases = 2 * torch.pi * torch.rand(N_WAVES, generator=generator, dtype=torch.float64)
        self.phases -= mean @ self.directions

    def _sums(self, rounds: Iterable[Rounds]) -> NDArray:
        """Σ_i cos(w_k · x_i + b_k) over the atoms of each element, (n, elements × waves)."""
        rows = []
        for place, atomic_numbers, x in rounds:
            cosines = torch.cos(x @ self.directions + self.phases)  # (N, waves)
            of_each = [
                cosines.new_zeros(int(place[-1]) + 1, N_WAVES).index_add(0, place[mine], cosines[mine])
                for mine in (atomic_numbers == z for z in self.elements)
            ]
            rows.append(torch.cat(of_each, dim=1).numpy())
        return np.concatenate(rows)

    def _rounds(self, frames: Sequence[Atoms]) -> Iterator[Rounds]:
        """What the network knows of the atoms of these structures, `AT_ONCE` after the other."""
        said: dict[int, Tensor] = {}
        mixings = list(self.start.painn.mixings)
        hooks = [
            mixing.register_forward_hook(lambda _, __, out, k=k: said.update({k: out[0]}))
            for k, mixing in enumerate(mixings)
        ]
        try:
            for first in range(0, len(frames), AT_ONCE):
                graphs = graphs_of(frames[first : first + AT_ONCE], self.start.cutoff, self.start.dtype)
                batch = together(graphs).to(self.start.device)
                self.start(batch, forces=False)
                x = torch.cat([said[k] for k in range(len(mixings))], dim=1).detach().double().cpu()
                yield unpack(batch)[2].cpu(), batch.atomic_numbers.cpu(), x
        finally:
            for hook in hooks:
                hook.remove()


def _solve(kernel, counts, rest):
    """What each label weighs (n,), and the mean error (eV) of labels that are left out, with the best penalty.

    Energies per element are not held back.  G = (kernel + penalty)⁻¹ without the directions of the counts is P; then
    the weights are P rest, and the errors of labels that are left out, one at a time, P rest / diag P.
    """
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0) + 1e-300
    best = None
    for strength in STRENGTHS:
        inverse = 1 / (values + strength * values.mean())
        along = vectors @ (inverse[:, None] * (vectors.T @ counts))  # G counts
        taken = along @ np.linalg.pinv(counts.T @ along, rcond=1e-8)
        shares = vectors @ (inverse * (vectors.T @ rest))
        shares = shares - taken @ (along.T @ rest)
        own = vectors**2 @ inverse
        left = own - np.einsum("ne,ne->n", taken, along)  # diag P
        fixed = left > LEAST * own
        error = np.abs(shares[fixed] / left[fixed]).mean() if fixed.any() else np.inf
        if best is None or error < best[1]:
            best = shares, float(error)
    return best
