"""The module that metatomic compiles: no more than TorchScript understands.  Only for those who have metatomic."""

# ruff: noqa: UP006, UP035, UP045  metatomic and TorchScript compare annotations with these words of `typing`

from typing import Dict, List, Optional

import torch

from tpainn_lite.engines.scripted import torch_without_pyg

with torch_without_pyg():
    from metatensor.torch import Labels, TensorBlock, TensorMap
    from metatomic.torch import ModelOutput, NeighborListOptions, System


class MetatomicPaiNN(torch.nn.Module):
    """Energies of systems from the pairs of neighbours that an engine has made.

    Parameters
    ----------
    network
        Local energies (N,) from atomic numbers (N,), r_ij (E, 3), idx_i (E,) and idx_j (E,).
    atomref
        (elements,) eV.
    scale
        eV.
    cutoff
        Å.
    """

    atomref: torch.Tensor

    def __init__(self, network: torch.nn.Module, atomref: torch.Tensor, scale: float, cutoff: float) -> None:
        super().__init__()
        self.network, self.scale = network, scale
        self.register_buffer("atomref", atomref)
        self._neighbours = NeighborListOptions(cutoff=cutoff, full_list=True, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """All ordered pairs nearer than the cutoff."""
        return [self._neighbours]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels] = None,
    ) -> Dict[str, TensorMap]:
        """Energies, of each atom or of each system."""
        if "energy" not in outputs:
            empty: Dict[str, TensorMap] = {}
            return empty
        values: List[torch.Tensor] = []
        samples: List[torch.Tensor] = []
        for number, system in enumerate(systems):
            energies = self.of_atoms(system)
            atoms = torch.arange(energies.shape[0], device=energies.device)
            if selected_atoms is not None:
                chosen = selected_atoms.column("system") == number
                atoms = selected_atoms.column("atom")[chosen].to(torch.long)
                energies = energies[atoms]
            values.append(energies)
            samples.append(torch.stack([torch.full_like(atoms, number), atoms], dim=1))
        energy, sample = torch.cat(values).unsqueeze(1), torch.cat(samples).to(torch.int32)
        names = ["system", "atom"]
        if outputs["energy"].sample_kind != "atom":
            n_systems = len(systems)
            sums = torch.zeros((n_systems, 1), dtype=energy.dtype, device=energy.device)
            energy = sums.index_add(0, sample[:, 0].to(torch.long), energy)
            sample = torch.arange(n_systems, device=energy.device, dtype=torch.int32).reshape(-1, 1)
            names = ["system"]
        zero = torch.zeros((1, 1), dtype=torch.int32, device=energy.device)
        none = torch.jit.annotate(List[Labels], [])
        block = TensorBlock(energy, Labels(names, sample), none, Labels(["energy"], zero))
        return {"energy": TensorMap(Labels(["_"], zero), [block])}

    def of_atoms(self, system: System) -> torch.Tensor:
        """(N,) eV."""
        pairs = system.get_neighbor_list(self._neighbours)
        r_ij = pairs.values.reshape(-1, 3)
        idx_i = pairs.samples.column("first_atom").to(torch.long)
        idx_j = pairs.samples.column("second_atom").to(torch.long)
        numbers = system.types.to(torch.long)
        local = self.network(numbers, r_ij, idx_i, idx_j)
        return self.atomref[numbers] + self.scale * local
