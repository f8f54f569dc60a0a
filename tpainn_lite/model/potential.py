"""`Potential`: PaiNN plus what a bare network lacks: reference energies, a unit, and a memory of how it was made.

E = Σ_i [ atomref(Z_i) + scale · local_energy_i ] + a q + b q²,   F_i = −∂E/∂R_i,   stress = (1/V) Σ_ij r_ij ⊗ ∂E/∂r_ij

The energy depends on the structure only through the pair vectors r_ij = R_j − R_i.  So one derivative with
respect to those, ∂E/∂r_ij, gives the forces *and* the stress.  The network is not given the charge q; a and b, which
are 0 unless frames of several charges were trained on, take up what an ion differs by whatever its shape.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor, nn

from tpainn_lite.model.evaluator import PREDICTIONS, Evaluator
from tpainn_lite.model.graph import AnyGraph, stress_of, unpack
from tpainn_lite.model.painn import MAX_ATOMIC_NUMBER, PaiNN
from tpainn_lite.structures.arguments import check_numbers
from tpainn_lite.structures.charges import total_charge
from tpainn_lite.structures.files import write_bytes

FORMAT = 2  # of the weights file; raised when old readers would misread a new file


class WeightsError(ValueError):
    """A weights file is missing, damaged, or not one of ours; the message says what to do."""


class Potential(nn.Module):
    """A machine-learned interatomic potential: graph in; energy, forces and stress out.

    Parameters
    ----------
    painn
        The network.
    atomref
        {atomic number: eV}, the energy of one reference atom; its keys are the elements the potential knows.
    scale
        eV that the network's "1" stands for.
    metadata
        How it was made: level of theory, seed, training-set size, errors to expect.  Saved with the weights.

    >>> from tpainn_lite import load_pretrained, molecule
    >>> energies, forces = load_pretrained("gas").predict([molecule("O"), molecule("C")])
    >>> energies.shape, forces[1].shape
    ((2,), (5, 3))
    """

    scale: Tensor
    atomref: Tensor  # (elements,) eV
    of_charge: Tensor  # (2,) eV: a and b

    def __init__(
        self, painn: PaiNN, atomref: Mapping[int, float], scale: float = 1.0, metadata: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        kinds = (painn, PaiNN), (atomref, dict), (metadata, (dict, type(None)))
        if not all(isinstance(given, kind) for given, kind in kinds):
            names = ", ".join(type(given).__name__ for given, _ in kinds)
            raise TypeError(
                f"{names} were given; a PaiNN, a dict of reference energies and a dict or None are expected"
            )
        check_numbers(above=0, scale=scale.item() if isinstance(scale, Tensor) else scale)
        self.painn, self.metadata = painn, dict(metadata or {})
        self.register_buffer("scale", torch.tensor(float(scale), dtype=torch.float64))
        self.register_buffer("atomref", torch.full((MAX_ATOMIC_NUMBER + 1,), torch.nan, dtype=torch.float64))
        self.register_buffer("of_charge", torch.zeros(2, dtype=torch.float64))
        self.set_atomref(atomref)

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.painn.cutoff

    @property
    def elements(self) -> list[str]:
        """Chemical symbols the potential was made for."""
        return [chemical_symbols[z] for z in torch.nonzero(~self.atomref.isnan()).flatten().tolist()]

    def set_atomref(self, atomref: Mapping[int, float]) -> None:
        """Replace the reference energies, {atomic number: eV}."""
        unknown = [z for z in atomref if not isinstance(z, (int, np.integer)) or not 1 <= z <= MAX_ATOMIC_NUMBER]
        if unknown:
            raise ValueError(f"atomic numbers {unknown} in atomref; 1 to {MAX_ATOMIC_NUMBER} are expected")
        self.atomref.fill_(torch.nan)
        check_numbers(**{f"the reference energy of {chemical_symbols[z]}": energy for z, energy in atomref.items()})
        for z, energy in atomref.items():
            self.atomref[z] = energy

    def _apply(self, change: Callable, recurse: bool = True) -> "Potential":
        """As of every module, `float` and `to` included; reference energies and scale stay in float64."""
        exact = {name: getattr(self, name) for name in ("scale", "atomref", "of_charge")}
        super()._apply(change, recurse)
        for name, value in exact.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self

    def forward(self, graph: AnyGraph, forces: bool = True, differentiable: bool = False) -> dict[str, Tensor]:
        """Energy, forces and stress of a graph or of a batch of B graphs.

        Parameters
        ----------
        forces
            False: energies alone, at a third of the cost.
        differentiable
            Whether a loss that is made of the forces or the stress can be differentiated, as training does.

        Returns
        -------
        dict
            ``energy`` (B,) eV in float64, ``forces`` (N, 3) eV/Å, ``stress`` (B, 3, 3) eV/Å³ (0 for molecules) and
            ``interaction_energy`` (B,) eV: the energy without the reference energies, in the network's precision.
        """
        idx_i, idx_j, batch, n_graphs = unpack(graph)
        self.check_elements(graph.atomic_numbers)
        with torch.enable_grad():
            r_ij = graph.r_ij.detach().requires_grad_(forces)  # (E, 3)
            local = self.scale.to(r_ij.dtype) * self.painn(graph.atomic_numbers, r_ij, idx_i, idx_j)  # (N,) eV
            interaction = local.new_zeros(n_graphs).index_add(0, batch, local)  # (B,)
        total = self.reference_energies(graph) + interaction.double()  # (B,) eV
        energies = {"energy": total, "interaction_energy": interaction}
        if not forces:
            return energies
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(local.sum(), r_ij, create_graph=differentiable)  # (E, 3) ∂E/∂r_ij
        on_atoms = slope.new_zeros(len(local), 3)  # (N, 3)
        on_atoms = on_atoms.index_add(0, idx_i, slope).index_add(0, idx_j, -slope)  # r_ij = R_j − R_i
        virial = slope.new_zeros(n_graphs, 3, 3)  # eV
        virial = virial.index_add(0, batch[idx_i], r_ij.detach().unsqueeze(2) * slope.unsqueeze(1))
        stress = stress_of(virial, graph.volume)  # (B, 3, 3)
        return {**energies, "forces": on_atoms, "stress": stress}

    def reference_energies(self, graph: AnyGraph) -> Tensor:
        """What the atoms of each structure count without each other, (B,) in eV."""
        _, _, batch, n_graphs = unpack(graph)
        atomref = self.atomref.to(batch.device)
        return atomref.new_zeros(n_graphs).index_add(0, batch, atomref[graph.atomic_numbers])

    def charge_energies(self, frames: Sequence[Atoms]) -> NDArray:
        """a q + b q² of each structure, (n,) in eV; what a structure says of its charge q matters only where these
        weights have learnt from several charges.  Part of `predict` and of MD's energies, none of `forward`'s."""
        a, b = self.of_charge.tolist()
        charges = np.array([total_charge(atoms) if a or b else 0 for atoms in frames])
        return a * charges + b * charges**2

    def evaluator(self, fast: bool | None = None, evaluations: int = PREDICTIONS) -> Evaluator:
        """What computes many structures, or one many times, by the shortest way: see `Evaluator`."""
        return Evaluator(self, fast, evaluations)

    def predict(
        self, frames: Sequence[Atoms], batch_size: int = 64, forces: bool = True
    ) -> tuple[NDArray, list[NDArray] | None]:
        """Energies and forces of a list of structures.

        Parameters
        ----------
        batch_size
            Structures that are computed together.
        forces
            False: energies alone, at a third of the cost.

        Returns
        -------
        tuple
            Energies (n,) in eV, and forces, one (N, 3) array in eV/Å per structure, or None.

        Raises
        ------
        ValueError, TypeError
            A structure that makes no sense (with its number), or elements that the potential does not know.
        """
        return self.evaluator().predict(frames, batch_size, forces)

    @property
    def dtype(self) -> torch.dtype:
        """torch.float32 or torch.float64, of the network's weights."""
        return self.painn.embedding.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.painn.embedding.weight.device

    def save(self, path: Path | str) -> None:
        """Write weights and everything needed to use them to one ``.safetensors`` file, whole or not at all."""
        from safetensors.torch import save

        import tpainn_lite

        painn = self.painn
        configuration = {k: getattr(painn, k) for k in ("n_features", "n_interactions", "n_rbf", "cutoff")}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        if not self.of_charge.any():  # as older readers know it
            del tensors["of_charge"]
        header = {"format": FORMAT if "of_charge" in tensors else 1, "version": tpainn_lite.__version__}
        header |= {"painn": configuration, "metadata": self.metadata}
        write_bytes(path, save(tensors, {"tpainn_lite": json.dumps(header)}))

    @classmethod
    def load(cls, path: Path | str) -> "Potential":
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises
        ------
        WeightsError
            Missing, truncated or foreign file, or one from a newer version of the library.
        """
        header, tensors = _read_weights(Path(path))
        try:
            _check_size(header["painn"], tensors)
            potential = cls(PaiNN(**header["painn"]), {}, metadata=header["metadata"])
            dtype = tensors["painn.embedding.weight"].dtype
            potential.to(torch.float32 if dtype == torch.float16 else dtype)  # 16 bits are for files
            potential.load_state_dict({"of_charge": potential.of_charge, **tensors})
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise WeightsError(f"{path}: the weights do not fit the network the file describes ({error})") from error
        odd = [name for name, weight in potential.painn.state_dict().items() if not torch.isfinite(weight).all()]
        of_none = torch.cat([potential.atomref.nan_to_num(0.0), potential.of_charge])
        if odd or not of_none.isfinite().all() or not 0 < potential.scale.item() < np.inf:
            where = odd[0] if odd else "scale, or a reference energy"
            raise WeightsError(f"{path}: {where} is not a finite number; get the file again, or train anew")
        return potential.eval()

    def check_elements(self, atomic_numbers: Tensor) -> None:
        """Raise ValueError where one of the atomic numbers (N,) is none the potential was made for."""
        known = atomic_numbers.clamp(0, MAX_ATOMIC_NUMBER)
        bad = self.atomref[known].isnan() | (known != atomic_numbers)
        if bad.any():
            unknown = sorted({chemical_symbols[z] for z in atomic_numbers[bad].tolist()})
            raise ValueError(
                f"the potential was not made for {', '.join(unknown)}; it knows {', '.join(self.elements)}. "
                "Train one on data that contains every element you need"
            )


def check_potential(potential: Potential) -> None:
    """Raise TypeError for what is no `Potential`."""
    if not isinstance(potential, Potential):
        raise TypeError(f"potential is a {type(potential).__name__}; a Potential is expected")


def _check_size(configuration, tensors):
    """Raise ValueError where a network of this configuration would be of another size than its weights."""
    size = {
        "n_features": tensors["painn.embedding.weight"].shape[1],
        "n_interactions": sum("VU.weight" in name for name in tensors),
        "n_rbf": tensors["painn.radial_basis.frequencies"].numel(),
    }
    if any(configuration[name] != n for name, n in size.items()):
        raise ValueError(f"{configuration} is described, and weights of {size} are there")
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        raise ValueError("numbers that are not floating-point are there")


def _read_weights(path):
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise WeightsError(f"no weights file {path}; make one with potential.save(path)")
    if not path.is_file():
        raise WeightsError(f"{path} is no file; weights that Potential.save wrote are expected")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("tpainn_lite", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged, truncated or no safetensors file ({error}); get it again") from error
    if header is None:
        raise WeightsError(f"{path} holds weights of another program; a file written by Potential.save is expected")
    kinds = {"format": int, "version": str, "painn": dict, "metadata": dict}
    whole = isinstance(header, dict) and all(isinstance(header.get(name), kind) for name, kind in kinds.items())
    if not whole or header["format"] < 1:
        raise WeightsError(f"{path}: what it says of its weights is damaged; get it again")
    if header["format"] > FORMAT:
        raise WeightsError(
            f"{path} was written by tpainn_lite {header['version']} in format {header['format']}; this version reads "
            f"up to {FORMAT}: upgrade tpainn_lite"
        )
    return header, tensors
