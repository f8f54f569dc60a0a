"""A potential's weights as the engine reads them: PaiNN's parameters, row by row, in 16 bits a number.

A row travels as one step in float32, the 32,767th part of its largest number, and how many steps each number is.  That
is as short as float16 and several times as exact, for numbers of a row are alike; what the rounding does to forces is
bounded in `tests/test_live_engine.py`.  Of the embedding only the rows of the elements that occur travel.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from tpainn_lite.model.potential import Potential, WeightsError

CONFIGURATION = ("n_features", "n_interactions", "n_rbf", "cutoff")
STEPS = 32767  # from 0 to the largest number of a row


def weight_bytes(potential: Potential, elements: Sequence[int], rounded: bool = True) -> bytes:
    """All numbers of the network, in the order of its parameters.

    Parameters
    ----------
    elements
        Atomic numbers: of the embedding the rows of these travel, in this order.
    rounded
        False: in float32, as they are.

    Raises
    ------
    WeightsError
        A weight is not a finite number.

    >>> from tpainn_lite import load_pretrained
    >>> len(weight_bytes(load_pretrained("gas"), [1, 6, 8]))
    300874
    """
    parts: list[bytes] = []
    for name, parameter in potential.painn.named_parameters():
        rows = np.atleast_2d(parameter.detach().cpu().numpy()).astype("<f4")
        rows = rows[list(elements)] if name == "embedding.weight" else rows
        if not np.isfinite(rows).all():
            raise WeightsError(
                f"{name} has a weight that is not a finite number; load the potential again, or train anew"
            )
        parts += map(_in_steps, rows) if rounded else [rows.tobytes()]
    return b"".join(parts)


def _in_steps(row: NDArray) -> bytes:
    step = np.float32(np.abs(row).max(initial=0.0) / STEPS)
    steps = np.rint(row / step) if step > 0 else np.zeros_like(row)
    return step.astype("<f4").tobytes() + steps.clip(-STEPS, STEPS).astype("<i2").tobytes()


def packed(potential: Potential, numbers: NDArray) -> dict[str, Any]:
    """What a page needs of a potential for atoms of these atomic ``numbers`` (N,).

    Returns
    -------
    dict
        The network's configuration; ``scale`` in eV; the ``elements`` that it knows and the ``unknown`` ones among the
        atoms, as symbols; and its ``weights`` in bytes, none where an element is unknown.
    """
    elements = sorted(set(numbers.tolist()))
    unknown = [chemical_symbols[z] for z in elements if chemical_symbols[z] not in potential.elements]
    settings = {name: getattr(potential.painn, name) for name in CONFIGURATION}
    weights = b"" if unknown else weight_bytes(potential, elements)
    known = {"elements": potential.elements, "unknown": unknown}
    return {**settings, "scale": potential.scale.item(), **known, "weights": weights}
