"""Who computes a training step: PyTorch, on any device, or the compiled code for a processor.

Both join graphs to batches, and give energies, forces and stress of them, of which a loss can be differentiated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tpainn_lite.model.flat import FlatGraphs
from tpainn_lite.model.potential import Potential

Join = Callable[[Sequence[int]], Any]  # places in a list of graphs to a batch of them


class Exact:
    """`Potential.forward`, as it is written in `painn.py`."""

    def __init__(self, potential: Potential, device: torch.device | str) -> None:
        self.potential, self.device = potential, device

    def joined(self, graphs: FlatGraphs) -> Join:
        """What makes batches of these graphs."""
        return lambda chosen: graphs.batch(chosen).to(self.device)

    def outputs(self, batch: Any, forces: bool, differentiable: bool) -> dict[str, Tensor]:
        """``interaction_energy`` (B,) eV and, with ``forces``, those (N, 3) in eV/Å and ``stress`` (B, 3, 3)."""
        return self.potential(batch, forces, differentiable)


class Compiled:
    """The same by `tpainn_lite.model.compiled_training`, in float32 on the CPU."""

    def __init__(self, potential: Potential) -> None:
        from tpainn_lite.model.compiled_training import TrainingStep

        self.potential, self.step_of = potential, TrainingStep
        self.steps: dict[int, Any] = {}

    def joined(self, graphs: FlatGraphs) -> Join:
        """What makes batches of these graphs."""
        from tpainn_lite.model.pairs import FlatPairs

        return FlatPairs(graphs, self.potential.cutoff).batch

    def outputs(self, batch: Any, forces: bool, differentiable: bool) -> dict[str, Tensor]:
        """As of `Exact`; there are always forces."""
        from tpainn_lite.model.compiled_training import fast_outputs

        painn = id(self.potential.painn)  # the latest weights, or while errors are measured the averaged ones
        if painn not in self.steps:
            self.steps[painn] = self.step_of(self.potential)
        return fast_outputs(self.steps[painn], batch)
