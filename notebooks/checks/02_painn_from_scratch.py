"""Checks of 02_painn_from_scratch: what a block does with random atoms, compared with the library's."""

import inspect
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from torch import nn

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number, same_array
from tpainn_lite.model.painn import Interaction, Mixing

N_ATOMS, N_FEATURES, N_RBF, CUTOFF = 7, 6, 5, 4.0
BIASES = {
    "W.bias": "W has a bias, which the fade does not reach: a message would jump at the cutoff",
    "VU.bias": "the layer of the arrows has a bias: an arrow that points somewhere, whatever the molecule does",
}

WRONG_WAY = "messages go the wrong way: atom idx_i receives, atom idx_j sends"
MISTAKES = {  # {what is wrong with a network: how the library's would do it}
    "your waves end at 5 Å, as `radial` makes them unless it is given r_c; not at `cutoff`": {"waves_to": 5.0},
    "your messages fade towards 5 Å; they should be gone at `cutoff`": {"fade_to": 5.0},
    "your waves and their fade end at 5 Å; they should end at `cutoff`": {"waves_to": 5.0, "fade_to": 5.0},
    "your waves are not multiplied by the fade": {"is_faded": False},
    "your message blocks all come before the update blocks; one of each follow each other": {"in_turn": False},
}


@exercise("02.1")
def pairs_of_ethanol(n_pairs):
    number = one_number(n_pairs)
    right = tp.to_graph(tp.molecule("CCO"), 5.0).num_edges
    if number == right / 2:
        raise Wrong(f"{number:g} counts each pair once; the list has it twice, once from either end")
    close(n_pairs, right)


@exercise("02.2")
def first_arrows(arrows, along_r, dir_ij):
    same_array(arrows, torch.einsum("ef,ex->exf", along_r, dir_ij), "your array of arrows")


@exercise("02.3")
def message_block(answer):
    with fresh_random_numbers():
        s, v, basis, dir_ij, idx_i, idx_j = inputs = random_inputs()
        theirs = Interaction(N_FEATURES, N_RBF).double()
        mine = with_weights_of(theirs, built(answer, N_FEATURES, N_RBF))
        given = two_arrays(mine, *inputs)
        right_s, right_v = theirs(*inputs)
        same_shapes(given, (s, v))
        turn = random_turn()
        turns_along(given, two_arrays(mine, s, turn @ v, basis, dir_ij @ turn.T, idx_i, idx_j), turn)
        only_new = theirs(s, torch.zeros_like(v), basis, dir_ij, idx_i, idx_j)[1]
        turned_round = theirs(s, v, basis, -dir_ij, idx_i, idx_j)
        own_arrows = with_own_arrows(theirs, inputs)
        mistakes = {
            "you return the sums of the messages; an atom keeps what it was: s + Δs and v + Δv": (
                right_s - s,
                right_v - v,
            ),
            WRONG_WAY: theirs(s, v, basis, dir_ij, idx_j, idx_i),
            "the arrows of the neighbours are not passed on": (right_s, v + only_new),
            "the new arrows point the wrong way: dir_ij points from i to j": turned_round,
            "an atom hears its own arrows, v[idx_i]; those of its neighbours are meant, v[idx_j]": (
                right_s,
                own_arrows,
            ),
        }
        not_one_of(mistakes, given)
        alone = torch.bincount(idx_i, minlength=N_ATOMS) < 2
        if torch.allclose(given[0][alone], right_s[alone]) and not torch.allclose(given[0], right_s):
            raise Wrong("an atom that receives several messages keeps one of them; it has to add them up")
        order = "; of the 3F numbers the first F are for s, then r, then v"
        same_features(given, (right_s, right_v), order)
        gradients_reach(mine, given)


@exercise("02.4")
def unchanged_numbers(answer):
    letters = [str(letter).strip().upper() for letter in answer if str(letter).strip(" ,")]
    ways = {
        "A": lambda v: v.sum(),
        "B": lambda v: (v * v).sum(0),
        "C": lambda v: v[2],
        "D": lambda v: (v[:, 0] * v[:, 1]).sum(),
    }
    if unknown := [letter for letter in letters if letter not in ways]:
        raise Wrong(f"{unknown[0]!r} is not one of the letters A, B, C and D; a list such as ['A'] is expected")
    with fresh_random_numbers():
        v, turn = torch.randn(3, 5).double(), random_turn()
        stays = {letter for letter, way in ways.items() if torch.allclose(way(v), way(turn @ v))}
    if not set(letters) <= stays:
        raise Wrong("at least one of your letters changes when the arrows turn")
    if set(letters) != stays:
        raise Wrong("yours do not change when the arrows turn, but there are more that do not")


@exercise("02.5")
def update_block(answer):
    with fresh_random_numbers():
        s, v, *_ = random_inputs()
        theirs = Mixing(N_FEATURES).double()
        mine = with_weights_of(theirs, built(answer, N_FEATURES))
        given, right = two_arrays(mine, s, v), theirs(s, v)
        same_shapes(given, (s, v))
        turn = random_turn()
        turns_along(given, two_arrays(mine, s, turn @ v), turn)
        exchanged = Mixing(N_FEATURES).double()
        exchanged.load_state_dict(theirs.state_dict() | {"VU.weight": theirs.VU.weight.roll(N_FEATURES, 0)})
        lengths_first = Mixing(N_FEATURES).double()
        lengths_first.load_state_dict(theirs.state_dict() | {"a.0.weight": theirs.a[0].weight.roll(N_FEATURES, 1)})
        mistakes = {
            "you return the changes alone; an atom keeps what it was: s + Δs and v + Δv": (right[0] - s, right[1] - v),
            "U and V are exchanged: of the 2F features of VU(v) the first F are Vv": exchanged(s, v),
            "into `a` s goes first, then the lengths": lengths_first(s, v),
        }
        not_one_of(mistakes, given)
        same_features(given, right, "; of the 3F numbers the first F are a_ss, then a_vv, then a_sv")
        gradients_reach(mine, given)
        still = torch.zeros_like(v, requires_grad=True)
        (gradient,) = torch.autograd.grad(mine(s, still)[0].sum(), still)
        if not gradient.isfinite().all():
            raise Wrong("where an arrow is zero the gradient of its length is not a number: add 1e-8 under the root")
        at_rest = zip(mine(s, 0 * v), theirs(s, 0 * v), strict=True)
        if not all(torch.allclose(*pair, rtol=0, atol=1e-9) for pair in at_rest):
            raise Wrong("where all arrows are zero your block gives something else: is 1e-8 added under the root?")


@exercise("02.6")
def network(answer):
    with fresh_random_numbers():
        theirs = tp.PaiNN(N_FEATURES, n_interactions=2, n_rbf=N_RBF, cutoff=CUTOFF).double()
        mine = with_weights_of(theirs, built(answer, N_FEATURES, 2, N_RBF, CUTOFF))
        numbers, r_ij, idx_i, idx_j = random_molecule()
        right = theirs(numbers, r_ij, idx_i, idx_j)
        given = tensor(mine(numbers, r_ij, idx_i, idx_j), "what your network returns")
        if given.ndim == 0:
            raise Wrong("your network returns one number; the local energy of each atom is expected, (N,)")
        if given.shape == (len(right), 1):
            raise Wrong("your network returns (N, 1); (N,) is expected: take its only column, [:, 0]")
        same_array(given.shape, right.shape, "the shape of what your network returns")
        turn = random_turn()
        if not torch.allclose(mine(numbers, r_ij @ turn.T, idx_i, idx_j), given, rtol=1e-8, atol=1e-10):
            raise Wrong("the energies of your network change when the molecule turns")
        for sentence, wrong in MISTAKES.items():
            if torch.allclose(given, energies_if(theirs, numbers, r_ij, idx_i, idx_j, **wrong), rtol=1e-8, atol=1e-10):
                raise Wrong(sentence)
        same_array(given, right, "with the library's weights, the array of local energies", 1e-8)
        lengths = [tp.PaiNN(N_FEATURES, n, N_RBF, CUTOFF) for n in (1, 3)]
        for longer in (net.double() for net in lengths):
            own = with_weights_of(longer, built(answer, N_FEATURES, len(longer.mixings), N_RBF, CUTOFF))
            same_array(
                own(numbers, r_ij, idx_i, idx_j),
                longer(numbers, r_ij, idx_i, idx_j),
                f"with n_interactions={len(longer.mixings)}, the array of local energies",
                1e-8,
            )
        slope, right, turned_round = (
            slope_of(net, numbers, r_ij, *ends)
            for net, *ends in ((mine, idx_i, idx_j), (theirs, idx_i, idx_j), (theirs, idx_j, idx_i))
        )
        if torch.allclose(slope, turned_round) and not torch.allclose(slope, right):
            raise Wrong(WRONG_WAY)
        same_array(slope, right, "the gradient of your energy with respect to r_ij", 1e-6)


@exercise("02.7")
def torque(answer):
    if not callable(answer):
        raise Wrong("a function (positions, forces) -> torque is expected, so that it can be tried on other forces")
    with fresh_random_numbers():
        positions, forces = torch.randn(2, N_ATOMS, 3).double()
        given, right = answer(positions, forces), torch.linalg.cross(positions, forces)
        if np.shape(given) == (N_ATOMS, 3):
            raise Wrong("your function gives a torque for each atom; the sum over the atoms is expected")
        if np.shape(given) == (3,) and np.allclose(given, -right.sum(dim=0)):
            raise Wrong("your torque has the wrong sign: r × F, not F × r")
        same_array(given, right.sum(dim=0), "your torque of random forces")


def with_own_arrows(block, inputs):
    """What the library's block would give, (N, 3, F), if each atom heard its own arrows in place of its neighbours'."""
    s, v, basis, dir_ij, idx_i, idx_j = inputs
    _, along_r, along_v = (block.phi(s)[idx_j] * block.W(basis)).split(N_FEATURES, dim=-1)  # (E, F) each
    message = along_r[:, None] * dir_ij[:, :, None] + along_v[:, None] * v[idx_i]  # (E, 3, F)
    return v.index_add(0, idx_i, message)


# --- random atoms ---


@contextmanager
def fresh_random_numbers():
    """New ones every time, and the notebook's own go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.seed()
        yield


def random_inputs():
    """(s, v, basis, dir_ij, idx_i, idx_j): a list of pairs that has no order, and atom 0 receives nothing."""
    s, v = torch.randn(N_ATOMS, N_FEATURES).double(), torch.randn(N_ATOMS, 3, N_FEATURES).double()
    idx_i = torch.cat([torch.arange(1, N_ATOMS), torch.tensor([1, 1, 2, 4])])
    idx_j = (idx_i + torch.randint(1, N_ATOMS, idx_i.shape)) % N_ATOMS
    dir_ij = nn.functional.normalize(torch.randn(len(idx_i), 3).double())
    return s, v, torch.rand(len(idx_i), N_RBF + 1).double(), dir_ij, idx_i, idx_j


def random_molecule():
    """(atomic_numbers, r_ij, idx_i, idx_j) of ethanol, its atoms moved and renumbered."""
    atoms = tp.molecule("CCO")[torch.randperm(9).tolist()]
    atoms.positions += 0.1 * torch.randn(9, 3).numpy()
    graph = tp.to_graph(atoms, CUTOFF, torch.float64)
    return graph.atomic_numbers, graph.r_ij, *graph.edge_index.flip(0)


def random_turn():
    """A rotation (3, 3), no mirror."""
    turn = torch.linalg.qr(torch.randn(3, 3).double()).Q
    return turn * turn.det()


def slope_of(network, numbers, r_ij, idx_i, idx_j):
    """The gradient of the energy with respect to r_ij, (E, 3)."""
    r_ij = r_ij.clone().requires_grad_()
    return torch.autograd.grad(network(numbers, r_ij, idx_i, idx_j).sum(), r_ij)[0]


def energies_if(network, numbers, r_ij, idx_i, idx_j, waves_to=CUTOFF, fade_to=CUTOFF, is_faded=True, in_turn=True):
    """What the library's network would give, (N,), with a mistake in it."""
    d = r_ij.norm(dim=1)
    fade = tp.painn.cosine_cutoff(d, fade_to)[:, None]
    waves = tp.painn.RadialBasis(N_RBF, waves_to).double()(d)
    basis = torch.cat([waves * fade if is_faded else waves, fade], dim=1)
    rest, s, v = (basis, r_ij / d[:, None], idx_i, idx_j), network.embedding(numbers), None
    kinds = network.interactions, network.mixings
    for block in chain(*(zip(*kinds, strict=True) if in_turn else kinds)):
        s, v = block(s, v, *rest) if isinstance(block, Interaction) else block(s, v)
    return network.readout(s)[:, 0]


# --- the learner's modules ---


def built(answer, *sizes):
    """A module of the learner's, in float64."""
    if isinstance(answer, nn.Module):
        raise Wrong("you gave a module that is built already; the class is expected, without brackets")
    if not (inspect.isclass(answer) and issubclass(answer, nn.Module)):
        raise Wrong("a class made from nn.Module is expected: class Name(nn.Module)")
    try:
        return answer(*sizes).double()
    except AttributeError as error:
        if "before Module.__init__()" not in str(error):
            raise
        raise Wrong("begin `__init__` with super().__init__(), which makes room for the layers") from None


def with_weights_of(theirs, mine):
    """The learner's module, with the weights of the library's."""
    weights, own = dict(theirs.named_parameters()), dict(mine.named_parameters())
    if missing := sorted(weights.keys() - own.keys()):
        raise Wrong(f"there is no {missing[0]} among your weights, which are: {', '.join(own) or 'none'}")
    for name in sorted(own.keys() - weights.keys()):
        raise Wrong(next((why for bias, why in BIASES.items() if name.endswith(bias)), f"{name} is not part of PaiNN"))
    with torch.no_grad():
        for name, value in weights.items():
            place = own[name]
            if name.startswith("interactions.0.") and len(place) * 2 == len(value) * 3:
                place = place[: len(value)]  # the library's first block has no numbers for arrows, which are all zero
            if place.shape != value.shape:
                raise Wrong(f"your {name} has the shape {tuple(place.shape)}; {tuple(value.shape)} is expected")
            place.copy_(value)
    return mine


def two_arrays(mine, s, v, *rest):
    """(s, v) as the learner's block gives them; it may not change what it is given."""
    before = s.clone(), v.clone()
    given = mine(s, v, *rest)
    if not (torch.equal(s, before[0]) and torch.equal(v, before[1])):
        raise Wrong("your block changes the s and v that it is given; make new ones")
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Wrong("your block's forward returns something else than two arrays; (s, v) is expected")
    return tensor(given[0], "your new s"), tensor(given[1], "your new v")


def tensor(value, called):
    if not isinstance(value, torch.Tensor):
        raise Wrong(f"{called} is a {type(value).__name__}; a tensor is expected")
    return value


def same_shapes(given, right):
    for name, mine, theirs in zip("sv", given, right, strict=True):
        if mine.shape != theirs.shape:
            raise Wrong(f"your new {name} has the shape {tuple(mine.shape)}; {tuple(theirs.shape)} is expected")


def turns_along(given, turned, turn):
    """Turned inputs must give turned outputs."""
    if not torch.allclose(turned[0], given[0]):
        raise Wrong("your new s changes when the molecule turns; scalars may not")
    if not torch.allclose(turned[1], turn @ given[1]):
        raise Wrong("your new v does not turn with the molecule")


def not_one_of(mistakes, given):
    for sentence, wrong in mistakes.items():
        if all(torch.allclose(a, b) for a, b in zip(given, wrong, strict=True)):
            raise Wrong(sentence)


def same_features(given, right, order):
    for name, mine, theirs in zip("sv", given, right, strict=True):
        try:
            same_array(mine, theirs, f"with the library's weights, your new {name}")
        except Wrong as wrong:
            raise Wrong(f"{wrong}{order}") from None


def gradients_reach(mine, given):
    total = sum(array.square().sum() for array in given)
    gradients = (
        torch.autograd.grad(total, list(mine.parameters()), allow_unused=True) if total.requires_grad else [None]
    )
    if any(gradient is None for gradient in gradients):
        raise Wrong("no gradient reaches all of your weights; detach, .data and NumPy cut it off")
