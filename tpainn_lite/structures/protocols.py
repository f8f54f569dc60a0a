"""What the library expects of a teacher and of a model, and what it keeps in ``atoms.info``.

| key of ``atoms.info`` | holds | unit |
|---|---|---|
| ``smiles`` | the bonds, as SMILES in the order of the atoms | |
| ``molecules`` | of a box: how many of each SMILES, one molecule after the other, as "60 O, 4 CO" | |
| ``id`` | name of the structure in its set | |
| ``config_type`` | kind: "relaxed", "normal_modes", "thermal", "rattled", "dimer", "cluster", "liquid" … | |
| ``part`` | of its set or project: "train", "valid", "test" … | |
| ``level`` | level of theory of its labels | |
| ``source``, ``sampled_with`` | where it comes from; the force field or potential that sampled it | |
| ``charge``, ``multiplicity`` | of the whole structure; all that is built from SMILES has them | e, 2S + 1 |
| ``total_charge``, ``net_charge``, ``spin``, ``total_spin`` | other programs' words for these | e, 2S + 1 or 2S |
| ``temperature``, ``density`` | state that it was sampled at | K, g/cm³ |
| ``kinetic_temperature`` | of its atoms' velocities, in MD of water | K |
| ``time`` | in the simulation that it comes from; in the files of the water set in ps | fs |
| ``trajectory``, ``box`` | name of that simulation; which of the boxes a cluster was cut out of | |
| ``coordinate`` | of a scan | Å or degrees |
| ``energy_above_lowest`` | of a conformer, in its force field | eV |
| ``U0``, ``zpve`` | of QM9: internal energy at 0 K, zero-point energy | eV |
| ``scf_cycles``, ``scf_steps``, ``seconds`` | what its DFT label cost (PySCF, CP2K) | s |
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ase import Atoms
from numpy.typing import NDArray


@runtime_checkable
class Teacher(Protocol):
    """An ASE calculator that labels structures; ``level`` names its level of theory, and is kept with each label.

    >>> from tpainn_lite import mmff94
    >>> isinstance(mmff94(), Teacher)
    True
    """

    @property
    def level(self) -> str: ...

    def get_potential_energy(self, atoms: Atoms | None = None) -> float:
        """eV."""

    def get_forces(self, atoms: Atoms | None = None) -> NDArray:
        """(N, 3) in eV/Å."""


@runtime_checkable
class Model(Protocol):
    """What predicts energies and forces of many structures: potentials, committees.

    >>> from tpainn_lite import load_pretrained
    >>> isinstance(load_pretrained("gas"), Model)
    True
    """

    def predict(self, frames: Sequence[Atoms], batch_size: int = 64) -> tuple[NDArray, list[NDArray] | None]:
        """Energies (n,) in eV, and forces, one (N, 3) array in eV/Å per structure."""
