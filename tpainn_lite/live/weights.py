"""A potential's weights as the engine reads them: PaiNN's parameters one after the other, in float16.

Of the embedding only the rows of the elements that occur travel.  A weight in float16 is right to one part in 2,000;
what that does to forces is bounded in `tests/test_live_engine.py`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import DTypeLike, NDArray

from tpainn_lite.model.potential import Potential, WeightsError

CONFIGURATION = ("n_features", "n_interactions", "n_rbf", "cutoff")


def flat_weights(potential: Potential, elements: Sequence[int], dtype: DTypeLike = np.float16) -> NDArray:
    """All numbers of the network (n,), in the order of its parameters.

    Parameters
    ----------
    elements
        Atomic numbers; the embedding's rows of these come first, in this order.

    Raises
    ------
    WeightsError
        A weight is not finite, or too large for ``dtype``.

    >>> from tpainn_lite import load_pretrained
    >>> flat_weights(load_pretrained("gas"), [1, 6, 8]).shape
    (145601,)
    """
    parts = []
    for name, parameter in potential.painn.named_parameters():
        weights = parameter.detach().cpu().numpy()
        weights = weights[list(elements)] if name == "embedding.weight" else weights
        with np.errstate(over="ignore"):
            parts.append(weights.astype(dtype).ravel())
        if not np.isfinite(parts[-1]).all():
            limit = np.finfo(dtype).max
            raise WeightsError(f"{name} has a weight that is not finite, or beyond ±{limit:g}; train the potential anew")
    return np.concatenate(parts)


def packed(potential: Potential, numbers: NDArray) -> dict[str, Any]:
    """What a page needs of a potential for atoms of these atomic ``numbers`` (N,).

    Returns
    -------
    dict
        The network's configuration; ``scale`` in eV; ``elements`` that it knows and ``unknown`` ones among the atoms,
        as symbols; and, where none is unknown, ``weights`` as bytes.
    """
    elements = sorted(set(numbers.tolist()))
    unknown = [chemical_symbols[z] for z in elements if chemical_symbols[z] not in potential.elements]
    settings = {name: getattr(potential.painn, name) for name in CONFIGURATION}
    weights = b"" if unknown else flat_weights(potential, elements).astype("<f2").tobytes()
    known = {"elements": potential.elements, "unknown": unknown}
    return {**settings, "scale": potential.scale.item(), **known, "weights": weights}
