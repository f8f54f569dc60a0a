"""How a potential is trained: every setting of a run in one object that refuses what makes no sense."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tpainn_lite.structures.arguments import check_counts, check_numbers

ACCELERATORS = ("auto", "cpu", "gpu", "cuda")
LONGEST_AVERAGE = 0.999  # of weights; at a high learning rate the mean of far-apart weights is no good network
STRESS_WEIGHT = 0.1  # where frames have a stress and no other weight is given
OPTIONAL = ("batch_atoms", "stress_weight", "ema_decay", "patience", "replay_size", "fast")
PLACES = ("accelerator", "devices", "nodes")  # settings of where it runs; the others decide what comes out


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of `tpainn_lite.train.training.fit`.

    Parameters
    ----------
    steps
        Optimiser steps, of ``batch_size`` structures each, on all devices together.
    batch_atoms
        Fill each batch up to so many atoms instead, where sizes differ much: equal work and memory at each step.
    learning_rate
        The highest one, after the warm-up.
    energy_weight, force_weight
        With a force weight of 0 the frames need no forces (QM9 has none).
    stress_weight
        By default 0.1 where boxes have a stress, of those that have one; else 0.
    weight_decay
        Of AdamW.
    ema_decay
        Of the average over the weights that is checked and kept; by default it looks back over about the last twentieth
        of the run and at most a thousand steps.  0 keeps the weights as they are.
    check_every
        Steps between two evaluations of ``valid`` and two rows of the history.
    patience
        Stop early after so many evaluations of ``valid`` without a better force error.
    rates
        Factors of the learning rate for parts of the network, by the beginning of their names: ``{"embedding": 0}``
        leaves the embedding as it is.  See `tpainn_lite.train.training.parts_of`.
    replay_size
        Replayed frames in every batch, in addition to its own; by default ``batch_size``.
    seed
        Of the order of the frames.
    accelerator
        "auto" takes a GPU when there is one, "cpu" never does.
    devices, nodes
        GPUs (or processes on CPUs) per machine, and machines, for scripts only (the command ``tpainn pretrain`` is
        one).  Each takes its share of every batch; the losses are those of one device.
    fast
        Whether to take the compiled training step of `tpainn_lite.model.compiled_training` (float32, on the CPU): twice
        as fast, the same slopes to five digits.  By default where it is worth the seconds of compiling.

    Raises
    ------
    ValueError
        A number that cannot be meant.

    >>> Settings(steps=100).average_decay
    0.8
    """

    steps: int
    batch_size: int = 32
    batch_atoms: int | None = None
    learning_rate: float = 1e-3
    energy_weight: float = 0.3
    force_weight: float = 1.0
    stress_weight: float | None = None
    weight_decay: float = 1e-4
    ema_decay: float | None = None
    check_every: int = 100
    patience: int | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    replay_size: int | None = None
    seed: int = 0
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    fast: bool | None = None

    @classmethod
    def of(cls, **settings: Any) -> "Settings":
        """From keywords; TypeError lists what there is where one is unknown or missing."""
        names = [each.name for each in fields(cls)]
        unknown = [name for name in settings if name not in names]
        if unknown or "steps" not in settings:
            what = f"has no setting {unknown[0]!r}" if unknown else "needs the number of steps"
            raise TypeError(f"training {what}; its settings are {', '.join(names)}")
        return cls(**settings)

    def __post_init__(self) -> None:
        given = {n: value for n, value in asdict(self).items() if value is not None or n not in OPTIONAL}
        sizes = ("steps", "batch_size", "batch_atoms", "check_every", "patience", "devices", "nodes")
        check_counts(**{name: given[name] for name in sizes if name in given})
        check_counts(0, **{name: given[name] for name in ("replay_size", "seed") if name in given})
        weights = ("energy_weight", "force_weight", "stress_weight", "weight_decay", "ema_decay")
        check_numbers(0, **{name: given[name] for name in weights if name in given})
        check_numbers(above=0, learning_rate=self.learning_rate)
        if self.ema_decay is not None and self.ema_decay >= 1:
            raise ValueError(f"ema_decay is {self.ema_decay}; a number of at least 0 and below 1 is expected")
        if not self.energy_weight + self.force_weight + (self.stress_weight or 0):
            raise ValueError("energy_weight, force_weight and stress_weight are all 0: nothing is left to learn")
        if self.accelerator not in ACCELERATORS:
            raise ValueError(f"accelerator {self.accelerator!r} is not one of {ACCELERATORS}")
        if not isinstance(self.rates, Mapping):
            raise ValueError(f"rates is {self.rates!r}; a dict of parts of the network and numbers is expected")
        if self.fast not in (None, True, False):
            raise ValueError(f"fast is {self.fast!r}; True, False or None is expected")
        check_numbers(0, **{f"the rate of {part}": rate for part, rate in self.rates.items()})

    @property
    def average_decay(self) -> float:
        """How much of the averaged weights is kept at each step."""
        if self.ema_decay is not None:
            return self.ema_decay
        return min(max(0.0, 1 - 20 / self.steps), LONGEST_AVERAGE)

    def that_decide(self) -> dict[str, Any]:
        """The settings that change what comes out, other than the number of steps."""
        return {name: value for name, value in asdict(self).items() if name not in ("steps", *PLACES)}
