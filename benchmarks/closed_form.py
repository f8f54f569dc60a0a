"""Learning in closed form: ridge regression on what the atoms of a pretrained network know, instead of autotuning.

Used by `autotuning.py` and `learning_curve_qm9.py`.  A molecule is described by the sums, element by element, of its
atoms' scalar features after every round; DFT minus the pretrained prediction is fitted to them, with one energy per
element.  (`tpainn_lite.EnergyFit` takes cosines of these features, and has lower errors.)  How strongly the weights are
held back is chosen by leaving one label out at a time, also in closed form (Hastie, Tibshirani, Friedman, The Elements
of Statistical Learning, 2009, section 7.10).  Kernel means of the features of a pretrained network, for the same
purpose: Falk et al. 2023, arXiv:2306.01589.
"""

import numpy as np
import torch

from tpainn_lite.model.graph import graphs_of, together

STRENGTHS = 10.0 ** np.arange(-6, 1.5, 0.5)  # of the penalty, times the mean square of the features
NEARLY_ONE = 0.98  # a label that the fit follows as closely as this says nothing about the penalty


class RidgePotential:
    """A pretrained potential and the fitted rest; asked like a `Potential`, for energies alone."""

    def __init__(self, potential, frames):
        self.potential = potential
        self.elements = sorted({int(z) for atoms in frames for z in atoms.numbers})
        counts, features = self._counts(frames), self._features(frames)
        left = np.array([atoms.get_potential_energy() for atoms in frames]) - self.potential.predict(frames)[0]
        solved = np.linalg.lstsq(counts, np.column_stack([left, features]), rcond=None)[0]
        self.references, self.mean_features = solved[:, 0], solved[:, 1:]  # per element
        residual, centred = left - counts @ self.references, features - counts @ self.mean_features
        kernel, fixed = centred @ centred.T, counts @ np.linalg.pinv(counts)
        penalties = np.trace(kernel) / len(frames) * STRENGTHS
        penalty = min(penalties, key=lambda strength: _left_out(kernel, fixed, residual, strength))
        self.weights = centred.T @ np.linalg.solve(kernel + penalty * np.eye(len(frames)), residual)

    def predict(self, frames):
        """Energies (n,) in eV, and None."""
        counts = self._counts(frames)
        centred = self._features(frames) - counts @ self.mean_features
        return self.potential.predict(frames)[0] + counts @ self.references + centred @ self.weights, None

    def _counts(self, frames):
        return np.array([[(atoms.numbers == z).sum() for z in self.elements] for atoms in frames], float)

    def _features(self, frames):
        """(n, elements × rounds × F)"""
        said = {}
        hooks = [
            mixing.register_forward_hook(lambda _, __, out, k=k: said.update({k: out[0]}))
            for k, mixing in enumerate(self.potential.painn.mixings)
        ]
        rows = []
        with torch.no_grad():
            for graph in graphs_of(frames, self.potential.cutoff, self.potential.dtype):
                self.potential(together([graph]), forces=False)
                atomwise = torch.cat([said[k] for k in sorted(said)], dim=1).double().numpy()  # (N, rounds × F)
                numbers = graph.atomic_numbers.numpy()
                rows.append(np.concatenate([atomwise[numbers == z].sum(axis=0) for z in self.elements]))
        for hook in hooks:
            hook.remove()
        return np.array(rows)


def _left_out(kernel, fixed, residual, penalty):
    """Mean square error of each label's prediction by the fit to all others."""
    hat = kernel @ np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
    leverage = np.minimum(np.diag(hat + fixed), NEARLY_ONE)
    return np.mean(((residual - hat @ residual) / (1 - leverage)) ** 2)
