"""The parts of the network, and how fast each of them learns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from tpainn_lite.model.potential import Potential, check_potential

SMALLEST_DECAY = 1e-3  # of the learning rate from one round to the next; 0 is what ``freeze`` is for


def parts_of(potential: Potential) -> dict[str, int]:
    """{part of the network: number of its weights}, in the order in which a graph passes through them.

    >>> from tpainn_lite import load_pretrained
    >>> list(parts_of(load_pretrained("gas")))[:3]
    ['embedding', 'interactions.0', 'mixings.0']
    """
    rounds = range(len(potential.painn.interactions))
    order = ["embedding", *(f"{block}.{k}" for k in rounds for block in ("interactions", "mixings")), "readout"]
    return {part: sum(p.numel() for p in potential.painn.get_submodule(part).parameters()) for part in order}


def check_parts(potential: Potential, parts: Iterable[str]) -> None:
    """Raise ValueError unless all of these are parts of the network: "embedding", "interactions", "mixings.0", ...

    >>> from tpainn_lite import load_pretrained
    >>> check_parts(load_pretrained("gas"), ["embedding", "mixings.0"])
    """
    check_potential(potential)
    names = [name for name, _ in potential.painn.named_parameters()]
    if not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{list(parts)!r} are no names of parts; there are {list(parts_of(potential))}")
    for part in parts:
        if not any(name.startswith(f"{part}.") or name == part for name in names):
            raise ValueError(f"{part!r} is no part of the network; there are {list(parts_of(potential))}")


@contextmanager
def frozen(potential: Potential, rates: Mapping[str, float]) -> Iterator[None]:
    """Parts with a rate of 0 need no slope while this lasts."""
    check_parts(potential, rates)
    still = [p for name, p in potential.painn.named_parameters() if rate_of(name, rates) == 0]
    if len(still) == len(list(potential.painn.parameters())):
        raise ValueError("every part of the network has the rate 0: nothing is left to train")
    for parameter in still:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in still:
            parameter.requires_grad_(True)


def rate_of(name: str, rates: Mapping[str, float]) -> float:
    """The learning rate's factor for a weight or part: of the longest beginning of its name that is listed, else 1.

    >>> rate_of("mixings.0", {"mixings": 0.5})
    0.5
    """
    fitting = [part for part in rates if name == part or name.startswith(f"{part}.")]
    return float(rates[max(fitting, key=len)]) if fitting else 1.0


def groups_of(painn: nn.Module, rates: Mapping[str, float]) -> list[tuple[float, list[nn.Parameter]]]:
    """[(factor of the learning rate, weights that have it)], without those that stay as they are."""
    parameters = dict(painn.named_parameters())
    rate = {name: rate_of(name, rates) for name in parameters}
    return [(f, [parameters[n] for n in rate if rate[n] == f]) for f in sorted({*rate.values()} - {0.0})]


def joined(weights: Sequence[nn.Parameter]) -> nn.Parameter:
    """One long vector, of which these weights and their slopes are parts from now on: an optimiser's step on it costs a
    tenth of one on many short arrays."""
    whole, sizes = nn.Parameter(torch.cat([weight.data.flatten() for weight in weights])), [w.numel() for w in weights]
    whole.grad = torch.zeros_like(whole)
    for weight, values, slopes in zip(weights, whole.data.split(sizes), whole.grad.split(sizes), strict=True):
        weight.data, weight.grad = values.view_as(weight), slopes.view_as(weight)
    return whole


def parted(network: nn.Module) -> None:
    """Undo `joined`: every weight has memory of its own, and no slope."""
    for weight in network.parameters():
        weight.data, weight.grad = weight.data.clone(), None


def layer_rates(potential: Potential, decay: float) -> dict[str, float]:
    """{part of the network: factor of the learning rate}: 1 at the readout, ``decay`` once more for each round back.

    >>> from tpainn_lite import load_pretrained
    >>> layer_rates(load_pretrained("gas"), 0.5)["mixings.2"]
    0.5
    """
    if not isinstance(decay, (int, float)) or not SMALLEST_DECAY <= decay <= 1:
        raise ValueError(f"layer_decay is {decay!r}; a number of at least {SMALLEST_DECAY:g} and up to 1 is expected")
    check_potential(potential)
    last = len(potential.painn.interactions)
    rounds = {f"{block}.{k}": decay ** (last - k) for k in range(last) for block in ("interactions", "mixings")}
    return {"embedding": decay ** (last + 1), **rounds, "readout": 1.0} if decay < 1 else {}


def rates_table(potential: Potential, rates: Mapping[str, float]) -> str:
    """Which part learns how fast, as text.

    >>> from tpainn_lite import load_pretrained
    >>> print(rates_table(load_pretrained("gas"), {}).splitlines()[0])
    embedding          6,464 weights   × 1
    """
    rows = [f"{part:15s} {n:8,d} weights   × {rate_of(part, rates):g}" for part, n in parts_of(potential).items()]
    trained = sum(n for part, n in parts_of(potential).items() if rate_of(part, rates) > 0)
    return "\n".join([*rows, f"{'trained':15s} {trained:8,d} weights   × learning rate"])
