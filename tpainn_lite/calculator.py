"""Any `Potential` as an ASE calculator: relax, vibrate, run MD with it."""

import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from tpainn_lite.checks import check_structure
from tpainn_lite.graph import Data

SKIN = 0.5  # Å; pairs are searched anew only after an atom has moved half of this


class PotentialCalculator(Calculator):
    """A potential as an ASE calculator.

    Parameters
    ----------
    potential : Potential
    skin : float
        Å.  Extra cutoff of the neighbour list, so that it serves for several steps.

    Gives ``energy`` (eV), ``forces`` (N, 3) (eV/Å) and, for periodic structures, ``stress`` (6,) (eV/Å³).

    >>> from tpainn_lite import load_molecules, molecule
    >>> from tpainn_lite.transfer import new_potential
    >>> water = molecule("O")
    >>> water.calc = PotentialCalculator(new_potential(load_molecules("valid")))
    >>> water.get_forces().shape
    (3, 3)
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, potential, skin=SKIN):
        super().__init__()
        self.potential, self.skin = potential.eval(), skin
        self._pairs = None  # vesin's neighbour list, made at the first step
        self._seen = None  # (numbers, cell, pbc) the structure check was last made for

    def __getstate__(self):
        """vesin's neighbour lists cannot be pickled; a copy makes its own."""
        return {**self.__dict__, "_pairs": None}

    @property
    def level(self):
        """Name of the level of theory, as stored with each label."""
        metadata = self.potential.metadata
        return f"PaiNN ({metadata.get('stage', 'potential')}, {metadata.get('level', 'unknown level')})"

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self._seen is None or self._seen != (atoms.numbers.tobytes(), atoms.cell.array.tobytes(), tuple(atoms.pbc)):
            check_structure(atoms)
            self._seen = (atoms.numbers.tobytes(), atoms.cell.array.tobytes(), tuple(atoms.pbc))
        output = self.potential(self._graph(atoms))
        self.results["energy"] = output["energy"].item()
        self.results["forces"] = output["forces"].double().cpu().numpy()
        if atoms.pbc.all():
            self.results["stress"] = full_3x3_to_voigt_6_stress(output["stress"][0].double().cpu().numpy())

    def _graph(self, atoms):
        if not np.isfinite(atoms.positions).all():
            raise ValueError("a position is not a finite number: the run has exploded; use a shorter timestep")
        if self._pairs is None:
            from vesin import NeighborList

            self._pairs = NeighborList(cutoff=self.potential.cutoff, full_list=True, sorted=True, skin=self.skin)
        idx_i, idx_j, r_ij = self._pairs.compute(atoms.positions, atoms.cell.array, atoms.pbc, "ijD")
        dtype, device = self.potential.dtype, self.potential.device
        return Data(
            atomic_numbers=torch.as_tensor(atoms.numbers, dtype=torch.long, device=device),
            edge_index=torch.as_tensor(np.stack([idx_j, idx_i]).astype(np.int64), device=device),
            r_ij=torch.as_tensor(r_ij, dtype=dtype, device=device),
            volume=torch.tensor([atoms.get_volume() if atoms.pbc.all() else 0.0], dtype=dtype, device=device),
        )
