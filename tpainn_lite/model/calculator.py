"""Any `Potential` as an ASE calculator: relax, vibrate, run MD with it."""

import sys

import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from tpainn_lite.model.graph import Data
from tpainn_lite.model.potential import check_potential
from tpainn_lite.structures.arguments import check_numbers
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import check_extent, check_search, in_one_order

SKIN = 0.5  # Å; pairs are searched anew only after an atom has moved half of this
WORTH_COMPILING = 60  # atoms; for less the fast way saves little, and it takes seconds to compile once
_told = set()


def compiled(potential, before=None):
    """(state of the weights, `FastPotential`): what there was before, or made anew if the weights have changed."""
    state = [(id(tensor), tensor._version) for tensor in potential.state_dict(keep_vars=True).values()]
    if before is not None and before[0] == state:
        return before
    from tpainn_lite.model.compiled import FastPotential

    return state, FastPotential(potential)


class PotentialCalculator(Calculator):
    """A potential as an ASE calculator.

    Parameters
    ----------
    potential : Potential
    skin : float
        Å.  Extra cutoff of the neighbour list, so that it serves for several steps.
    fast : bool, optional
        Take the compiled path of `tpainn_lite.model.compiled` (float32, on the processor): several times as fast, the same
        numbers to five digits.  By default for 60 atoms and more, if Numba is there and the weights are float32 on the
        CPU.

    Gives ``energy`` (eV), ``forces`` (N, 3) (eV/Å) and, for periodic structures, ``stress`` (6,) (eV/Å³).

    >>> from tpainn_lite import load_molecules, molecule
    >>> from tpainn_lite.train.transfer import new_potential
    >>> water = molecule("O")
    >>> water.calc = PotentialCalculator(new_potential(load_molecules("valid")))
    >>> water.get_forces().shape
    (3, 3)
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, potential, skin=SKIN, fast=None):
        super().__init__()
        check_potential(potential)
        check_numbers(0, skin=skin)
        self.potential, self.skin, self.fast = potential, skin, fast
        self._compiled = None  # (state of the weights, FastPotential)
        self._pairs = None  # vesin's neighbour list, made at the first step
        self._seen = None  # (numbers, cell, pbc) the structure check was last made for

    def __getstate__(self):
        """vesin's neighbour lists cannot be pickled; a copy makes its own."""
        return {**self.__dict__, "_pairs": None, "_compiled": None}

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
        if self._takes_the_fast_way(atoms):
            energy, forces, virial = self._fast(atoms)(atoms.numbers, *self._neighbours(atoms))
            stress = virial / atoms.get_volume() if atoms.pbc.all() else None
        else:
            output = self.potential(self._graph(atoms))
            energy, forces = output["energy"].item(), output["forces"].double().cpu().numpy()
            stress = output["stress"][0].double().cpu().numpy()
        self.results.update(energy=energy, forces=forces)
        if atoms.pbc.all():
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def _takes_the_fast_way(self, atoms):
        if self.fast is not None:
            return self.fast
        if len(atoms) < WORTH_COMPILING or not self.potential.suits_compiling():
            return False
        found = self.potential.can_be_compiled()
        if not found and "numba" not in _told:
            print("without Numba MD takes several times as long: pip install numba", file=sys.stderr)
            _told.add("numba")
        return found

    def _fast(self, atoms):
        self.potential.check_elements(torch.as_tensor(atoms.numbers, dtype=torch.long))
        self._compiled = compiled(self.potential, self._compiled)
        return self._compiled[1]

    def _graph(self, atoms):
        idx_i, idx_j, r_ij = self._neighbours(atoms)
        dtype, device = self.potential.dtype, self.potential.device
        return Data(
            atomic_numbers=torch.as_tensor(atoms.numbers, dtype=torch.long, device=device),
            edge_index=torch.as_tensor(np.stack([idx_j, idx_i]).astype(np.int64), device=device),
            r_ij=torch.as_tensor(r_ij, dtype=dtype, device=device),
            volume=torch.tensor([atoms.get_volume() if atoms.pbc.all() else 0.0], dtype=dtype, device=device),
        )

    def _neighbours(self, atoms):
        """idx_i, idx_j and r_ij of all pairs within the cutoff."""
        if not np.isfinite(atoms.positions).all():
            raise ValueError("a position is not a finite number: the run has exploded; use a shorter timestep")
        check_extent(atoms.positions, atoms.cell.array, atoms.pbc)
        if self._pairs is None:
            from vesin import NeighborList

            check_search(atoms, self.potential.cutoff + self.skin)
            self._pairs = NeighborList(cutoff=self.potential.cutoff, full_list=True, sorted=True, skin=self.skin)
        pairs = self._pairs.compute(atoms.positions, atoms.cell.array, atoms.pbc, "ijD")
        return in_one_order(*pairs, len(atoms)) if atoms.pbc.any() else pairs
