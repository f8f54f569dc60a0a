"""AdamW and the running average of the weights, on long vectors.

torch's own AdamW, `clip_grad_norm_` and average do the same; on small networks their bookkeeping takes longer than
their arithmetic, and the first step loads torch's compiler (75 MB).
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from tpainn_lite.train.parts import groups_of, joined

LARGEST_SLOPE = 10.0  # norm of the slopes of a step by all weights; longer ones are shortened to it
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8  # torch's, and the paper's
MEMORY = ("means", "squares")


class AveragedAdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), which shortens long slopes, and the average.

    Parameters
    ----------
    painn
        Its weights become parts of long vectors, one for each learning rate.
    rates
        Factors of the learning rate for parts of the network (`tpainn_lite.train.parts.rate_of`).
    weight_decay, average_decay
        How much of a weight goes at a learning rate of 1; how much of the average is kept at each step.

    >>> network = nn.Linear(2, 1)
    >>> optimiser = AveragedAdamW(network, {}, weight_decay=0.0, average_decay=0.9)
    >>> before = network.weight.detach().clone()
    >>> network(torch.ones(1, 2)).backward()
    >>> optimiser.take_step(1, learning_rate=0.1)
    >>> [round(moved, 3) for moved in (before - network.weight.detach()).flatten().tolist()]
    [0.1, 0.1]
    """

    def __init__(self, painn: nn.Module, rates: Mapping[str, float], weight_decay: float, average_decay: float) -> None:
        self.weight_decay, self.average_decay = weight_decay, average_decay
        self.average = deepcopy(painn)
        self.factors, groups = zip(*groups_of(painn, rates), strict=True)
        self.weights = [joined(group) for group in groups]
        self.averages = [joined(group) for _, group in groups_of(self.average, rates)]
        self.means = [torch.zeros_like(weights.data) for weights in self.weights]
        self.squares = [torch.zeros_like(weights.data) for weights in self.weights]

    @property
    def slopes(self) -> list[Tensor]:
        """Of the loss, by the weights, to which `backward` adds."""
        return [weights.grad for weights in self.weights if weights.grad is not None]

    def forget_slopes(self) -> None:
        """Before each `backward`."""
        for slopes in self.slopes:
            slopes.zero_()

    @torch.no_grad()
    def take_step(self, step: int, learning_rate: float) -> None:
        """The ``step``-th, counted from 1."""
        length = torch.stack([torch.linalg.vector_norm(slopes) for slopes in self.slopes]).square().sum().sqrt()
        shortening = (LARGEST_SLOPE / (length + 1e-6)).clamp(max=1)
        mean_share, square_share = 1 - MEAN_DECAY**step, 1 - SQUARE_DECAY**step  # of all steps: their slopes' weights
        for group, factor in enumerate(self.factors):
            weights, rate = self.weights[group], factor * learning_rate
            slopes, mean, square = self.slopes[group].mul_(shortening), self.means[group], self.squares[group]
            mean.lerp_(slopes, 1 - MEAN_DECAY)
            square.mul_(SQUARE_DECAY).addcmul_(slopes, slopes, value=1 - SQUARE_DECAY)
            weights.mul_(1 - rate * self.weight_decay)
            weights.addcdiv_(mean, square.div(square_share).sqrt_().add_(EPSILON), value=-rate / mean_share)
            # the average begins as the weights after the first step
            self.averages[group].lerp_(weights, 1 - self.average_decay if step > 1 else 1.0)

    def state_dict(self) -> dict[str, Any]:
        """What it remembers of the slopes, and the averaged weights."""
        return {**{name: getattr(self, name) for name in MEMORY}, "average": self.average.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As it was; errors of torch's where the state is of another network."""
        for name in MEMORY:
            for own, kept in zip(getattr(self, name), state[name], strict=True):
                if own.shape != kept.shape or not math.isfinite(kept.sum()):
                    raise ValueError(f"{name} of shape {tuple(kept.shape)}; finite, {tuple(own.shape)} is expected")
                own.copy_(kept)
        self.average.load_state_dict(state["average"])
