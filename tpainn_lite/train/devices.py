"""Where a training runs: on one device, or on several that average their slopes.

Several devices, nodes and their launchers are Lightning's Fabric's work, which one device does not wait for (140 MB).
"""

import os
import sys
from typing import Any

import torch
from torch import Tensor

from tpainn_lite.train.settings import Settings

CLUSTERS = ("MASTER_ADDR", "SLURM_NTASKS", "LSB_JOBID", "OMPI_COMM_WORLD_SIZE", "KUBERNETES_SERVICE_HOST")
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


class OneDevice:
    """What `lightning.fabric.Fabric` is for several."""

    global_rank, world_size, is_global_zero = 0, 1, True

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def all_reduce(self, value: Tensor, reduce_op: str = "mean") -> Tensor:
        """The value itself."""
        return value


def devices_of(settings: Settings) -> Any:
    """`OneDevice`, or Lightning's Fabric, launched: one process for each device.

    Raises ValueError where they are not there.

    >>> devices_of(Settings(steps=1, accelerator="cpu")).device
    device(type='cpu')
    """
    accelerator = settings.accelerator
    if accelerator == "auto" and not torch.cuda.is_available():
        accelerator = "cpu"  # Apple's GPU knows no float64, which the energies need
    if settings.devices * settings.nodes > 1:
        return _several(settings, accelerator)
    if accelerator != "cpu" and not torch.cuda.is_available():
        raise ValueError(
            f"accelerator is {settings.accelerator!r}, and torch finds no GPU here: 'auto' or 'cpu' is expected"
        )
    return OneDevice("cpu" if accelerator == "cpu" else "cuda")


def is_first_process() -> bool:
    """Whether this is the process that writes files: of several that train together, the first.

    >>> is_first_process()
    True
    """
    if "lightning.fabric" not in sys.modules and not any(name in os.environ for name in RANKS):
        return True
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return getattr(rank_zero_only, "rank", None) in (None, 0)


def _several(settings, accelerator):
    from lightning.fabric import Fabric

    if settings.nodes > 1 and not any(name in os.environ for name in CLUSTERS):
        raise ValueError(
            f"nodes is {settings.nodes}, and nothing says where the others are: start it with srun or torchrun, or set "
            "MASTER_ADDR and NODE_RANK on each of them"
        )
    places = {"accelerator": accelerator, "devices": settings.devices, "num_nodes": settings.nodes}
    try:
        fabric = Fabric(**places, strategy="ddp")
    except (RuntimeError, ValueError) as error:  # Lightning's two names for hardware that is not there
        raise ValueError(
            f"accelerator is {settings.accelerator!r}, for {settings.devices} devices: {error} 'auto' or 'cpu', or "
            "fewer devices, are expected"
        ) from None
    fabric.launch()
    return fabric
