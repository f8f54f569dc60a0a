"""SchNetPack's PaiNN weights, put into ours.

Same network, three differences in how it is written down:

* SchNetPack's filters are (linear(radial basis) + bias) · cutoff, all interactions in one matrix; ours are linear in
  (radial basis · cutoff, cutoff): the bias is the weight of the last column.
* In the first round no atom has vectors, so the third message is zero; ours leaves it and its weights out.
* Names.  The order of the chunks is the same: messages to s, along r, along v; a_ss, a_vv, a_sv; V, U.
"""

import torch

from tpainn_lite.model.painn import PaiNN


def painn_from_schnetpack(weights, dtype):
    """Our `PaiNN` with the weights {SchNetPack's name: numpy.ndarray}."""
    weights = {name.removeprefix("representation."): torch.as_tensor(value) for name, value in weights.items()}
    n_features, n_rbf = weights["embedding.weight"].shape[1], len(weights["radial_basis.freqs"])
    n_interactions = len(weights["filter_net.weight"]) // (3 * n_features)
    painn = PaiNN(n_features, n_interactions, n_rbf, weights["cutoff_fn.cutoff"].item()).to(dtype)
    state = painn.state_dict()
    for name, tensor in our_state(weights, n_features, n_interactions).items():
        state[name][: len(tensor)] = tensor.to(dtype)  # embeddings of elements not tested stay as they are
    painn.load_state_dict(state)
    return painn


def our_state(weights, n_features, n_interactions):
    """{our name: tensor}."""
    state = {"embedding.weight": weights["embedding.weight"], "radial_basis.frequencies": weights["radial_basis.freqs"]}
    filters = torch.cat([weights["filter_net.weight"], weights["filter_net.bias"][:, None]], dim=1)  # (3FK, n_rbf + 1)
    for k, of_round in enumerate(filters.split(3 * n_features)):
        kept = (2 if k == 0 else 3) * n_features
        state[f"interactions.{k}.W.weight"] = of_round[:kept]
        state |= _two_layers(weights, f"interactions.{k}.interatomic_context_net", f"interactions.{k}.phi", kept)
        state |= _two_layers(weights, f"mixing.{k}.intraatomic_context_net", f"mixings.{k}.a")
        state[f"mixings.{k}.VU.weight"] = weights[f"mixing.{k}.mu_channel_mix.weight"]
    return state | _two_layers(weights, "output_modules.0.outnet", "readout")


def _two_layers(weights, theirs, ours, kept=None):
    return {
        f"{ours}.{layer}.{kind}": weights[f"{theirs}.{number}.{kind}"][: kept if number == 1 else None]
        for number, layer in ((0, 0), (1, 2))
        for kind in ("weight", "bias")
    }
