"""What the library asks of a teacher and of a model, and what it keeps in ``atoms.info``.

| key of ``atoms.info`` | holds | unit |
|---|---|---|
| ``smiles`` | the bonds, as SMILES in the order of the atoms | |
| ``id`` | name of the structure in its set | |
| ``config_type`` | what kind of structure it is: "relaxed", "liquid", "dimer" … | |
| ``level`` | level of theory of its labels | |
| ``source`` | where it comes from, when it is not ours | |
| ``charge``, ``multiplicity`` | of the whole structure | e, 2S + 1 |
| ``temperature``, ``density`` | state that it was sampled at | K, g/cm³ |
| ``time`` | in the simulation that it comes from | fs |
| ``trajectory`` | name of that simulation | |
| ``coordinate`` | of a scan | Å or degrees |
| ``energy_above_lowest`` | of a conformer, in its force field | eV |
| ``U0``, ``zpve`` | of QM9: internal energy at 0 K, zero-point energy | eV |
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ase import Atoms


@runtime_checkable
class Teacher(Protocol):
    """An ASE calculator that labels structures; ``level`` names its level of theory, and is kept with each label."""

    @property
    def level(self) -> str: ...

    def get_potential_energy(self, atoms: Atoms) -> float:
        """eV."""

    def get_forces(self, atoms: Atoms) -> np.ndarray:
        """(N, 3) in eV/Å."""


@runtime_checkable
class Model(Protocol):
    """What predicts energies and forces of many structures, and gives a calculator for MD: potentials, committees."""

    def predict(self, frames: Sequence[Atoms], batch_size: int = 64) -> tuple[np.ndarray, list[np.ndarray] | None]:
        """Energies (n,) in eV, and forces, one (N, 3) array in eV/Å per structure."""

    def calculator(self, **settings: Any) -> Teacher:
        """For ASE: relaxation, vibrations, MD."""
