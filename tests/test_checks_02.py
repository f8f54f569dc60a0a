"""The checks of notebook 02 take what is right however it is written, and say what is wrong with the rest."""

from pathlib import Path

import pytest
import torch
from torch import nn

import tpainn_lite as tp
from tpainn_lite.course.checks import checks_of, verdict
from tpainn_lite.course.teach import solutions

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKS = checks_of("02", NOTEBOOKS / "checks")
SOLUTIONS = solutions(NOTEBOOKS / "solutions" / "02_painn_from_scratch.py")


@pytest.fixture(autouse=True)
def float64():
    """As the notebook sets it."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def radial(d, n_rbf=20, r_c=5.0):
    return tp.painn.RadialBasis(n_rbf, r_c).double()(d)


def solved(*numbers, changes=()):
    """What the solutions of these exercises define, with ``{old: new}`` changed in the last."""
    names = {"torch": torch, "nn": nn, "tp": tp, "radial": radial}
    for number in numbers:
        code = SOLUTIONS[number]
        for old, new in dict(changes if number == numbers[-1] else ()).items():
            assert old in code, f"{old!r} is not in the solution of {number}"
            code = code.replace(old, new)
        exec(code, names)
    return names


# --- small ones ---


@pytest.mark.parametrize("right", [72, 72.0, torch.tensor(72), tp.to_graph(tp.molecule("CCO"), 5.0).num_edges])
def test_all_pairs_of_ethanol_are_counted_from_both_ends(right):
    assert verdict(CHECKS["02.1"], right) is None


@pytest.mark.parametrize(
    ("wrong", "words"), [(36, "once from either end"), (81, "too large"), (8, "too small"), ("x", "a number")]
)
def test_a_wrong_count_is_called_so(wrong, words):
    assert words in verdict(CHECKS["02.1"], wrong)


def test_arrows_of_the_first_round():
    along_r, dir_ij = torch.randn(5, 4), torch.randn(5, 3)
    given = {"along_r": along_r, "dir_ij": dir_ij}
    for right in (along_r[:, None] * dir_ij[:, :, None], torch.stack([along_r * x[:, None] for x in dir_ij.T], 1)):
        assert verdict(CHECKS["02.2"], right, **given) is None
    for wrong, words in (
        ((along_r[:, None] * dir_ij[:, :, None]).transpose(1, 2), "has the shape (5, 4, 3); (5, 3, 4) is expected"),
        (torch.zeros(5, 3, 4), "is off by"), (along_r, "has the shape"), ("no", "an array of numbers is expected"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["02.2"], wrong, **given)


@pytest.mark.parametrize("right", [["B", "D"], ["D", "B"], ("b", "d"), {"B", "D"}, "BD", "b, d"])
def test_letters_come_in_any_order(right):
    assert verdict(CHECKS["02.4"], right) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(["A", "B"], "changes when"), (["B"], "there are more"), ([], "there are more"), (["E"], "not one of the letters"),
     ("B", "there are more"), (["B", "C", "D"], "changes when"), (3, "TypeError")],
)  # fmt: skip
def test_wrong_letters(wrong, words):
    assert words in verdict(CHECKS["02.4"], wrong)


RIGHT_TORQUES = [
    lambda positions, forces: torch.linalg.cross(positions, forces).sum(dim=0),
    lambda r, f: -torch.cross(f, r, dim=1).sum(0).numpy(),
    lambda r, f: [float((r[:, a] * f[:, b] - r[:, b] * f[:, a]).sum()) for a, b in ((1, 2), (2, 0), (0, 1))],
]
WRONG_TORQUES = [
    (torch.zeros(3), "a function (positions, forces) -> torque is expected"),
    (lambda r, f: torch.zeros(3), "is off by"),
    (lambda r, f: torch.linalg.cross(f, r).sum(0), "wrong sign"),
    (lambda r, f: torch.linalg.cross(r, f), "a torque for each atom"),
    (lambda r, f: (r * f).sum(), "has the shape ()"),
]


@pytest.mark.parametrize("right", RIGHT_TORQUES)
def test_a_torque_is_tried_on_random_forces(right):
    assert verdict(CHECKS["02.7"], right) is None


@pytest.mark.parametrize(("wrong", "words"), WRONG_TORQUES)
def test_a_torque_that_is_zero_or_none_is_found_out(wrong, words):
    assert words in verdict(CHECKS["02.7"], wrong)


# --- the message block ---


class LoopingMessage(nn.Module):
    """As slow as can be, pair by pair."""

    def __init__(self, n_features, n_rbf):
        super().__init__()
        self.n = n_features
        self.phi = nn.Sequential(nn.Linear(n_features, n_features), nn.SiLU(), nn.Linear(n_features, 3 * n_features))
        self.W = nn.Linear(n_rbf + 1, 3 * n_features, bias=False)

    def forward(self, s, v, basis, dir_ij, idx_i, idx_j):
        new_s, new_v = list(s), list(v)
        for e, (i, j) in enumerate(zip(idx_i.tolist(), idx_j.tolist(), strict=True)):
            to_s, to_r, to_v = (self.phi(s[j]) * self.W(basis[e])).split(self.n)
            new_s[i] = new_s[i] + to_s
            new_v[i] = new_v[i] + torch.outer(dir_ij[e], to_r) + to_v * v[j]
        return [torch.stack(new_s), torch.stack(new_v)]


WRONG_MESSAGES = [
    ({"s.index_add": "(0 * s).index_add", "v.index_add": "(0 * v).index_add"}, "keeps what it was"),
    ({"index_add(0, idx_i": "index_add(0, idx_j", "[idx_j]": "[idx_i]"}, "the wrong way"),
    ({" + along_v[:, None] * v[idx_j]": ""}, "not passed on"),
    ({"along_v[:, None] * v[idx_j]": "along_v[:, None] * v[idx_i]"}, "an atom hears its own arrows"),
    ({"along_r[:, None] * dir_ij": "-along_r[:, None] * dir_ij"}, "dir_ij points from i to j"),
    ({"to_s, along_r, along_v =": "along_r, to_s, along_v ="}, "of the 3F numbers the first F are for s"),
    ({"s.index_add(0, idx_i, to_s)": "s.index_put((idx_i,), s[idx_i] + to_s)",
      "v.index_add(0, idx_i, arrows)": "v.index_put((idx_i,), v[idx_i] + arrows)"}, "has to add them up"),
    ({"v.index_add(0, idx_i, arrows)": "v.index_add(0, idx_i, arrows + 0.1)"}, "does not turn with the molecule"),
    ({"s.index_add(0, idx_i, to_s)": "s.index_add_(0, idx_i, to_s.detach())"}, "changes the s and v that it is given"),
    ({"s.index_add(0, idx_i, to_s)": "s.index_add(0, idx_i, to_s).detach()",
      "v.index_add(0, idx_i, arrows)": "v.index_add(0, idx_i, arrows).detach()"}, "no gradient reaches"),
    ({", bias=False": ""}, "W has a bias"),
    ({"super().__init__()": "pass"}, "begin `__init__` with super().__init__()"),
    ({"self.W": "self.filters"}, "there is no W.weight among your weights"),
    ({"nn.Linear(n_rbf + 1,": "nn.Linear(n_rbf,"}, "your W.weight has the shape"),
    ({"return s.index": "return s, s.index"}, "(s, v) is expected"),
    ({"dir_ij[:, :, None]": "dir_ij"}, "it raised RuntimeError"),
]  # fmt: skip


@pytest.mark.parametrize("right", [solved("02.3")["MyMessage"], LoopingMessage])
def test_a_message_block_may_be_written_in_any_way(right):
    assert verdict(CHECKS["02.3"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_MESSAGES)
def test_a_wrong_message_block(changes, words):
    assert words in verdict(CHECKS["02.3"], solved("02.3", changes=changes)["MyMessage"])


@pytest.mark.parametrize(("wrong", "words"), [(3, "nn.Module is expected"), (LoopingMessage(4, 5), "without brackets")])
def test_what_is_no_class_is_no_block(wrong, words):
    assert words in verdict(CHECKS["02.3"], wrong)


# --- the update block ---


class EinsumUpdate(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.n = n_features
        self.VU = nn.Linear(n_features, 2 * n_features, bias=False)
        self.a = nn.Sequential(nn.Linear(2 * n_features, n_features), nn.SiLU(), nn.Linear(n_features, 3 * n_features))

    def forward(self, s, v):
        V, U = self.VU.weight[: self.n], self.VU.weight[self.n :]
        Vv, Uv = torch.einsum("gf,nxf->nxg", V, v), torch.einsum("gf,nxf->nxg", U, v)
        lengths = (1e-8 + torch.einsum("nxf,nxf->nf", Vv, Vv)) ** 0.5
        ss, vv, sv = self.a(torch.hstack([s, lengths])).reshape(len(s), 3, self.n).unbind(1)
        return s + ss + torch.einsum("nf,nxf,nxf->nf", sv, Uv, Vv), v + torch.einsum("nf,nxf->nxf", vv, Uv)


WRONG_UPDATES = [
    ({"return s + a_ss": "return a_ss", ", v + a_vv": ", a_vv"}, "keeps what it was"),
    ({"Vv, Uv =": "Uv, Vv ="}, "U and V are exchanged"),
    ({"cat([s, length]": "cat([length, s]"}, "s goes first, then the lengths"),
    ({"a_ss, a_vv, a_sv =": "a_ss, a_sv, a_vv ="}, "the first F are a_ss, then a_vv, then a_sv"),
    ({", bias=False": ""}, "has a bias: an arrow that points somewhere"),
    ({"torch.sqrt((Vv**2).sum(dim=1) + 1e-8)": "Vv.sum(dim=1)"}, "your new s changes when the molecule turns"),
    ({"a_sv * (Uv * Vv).sum(dim=1)": "a_sv"}, "your new s is off by"),
    ({" + 1e-8": ""}, "add 1e-8 under the root"),
    ({"torch.sqrt((Vv**2).sum(dim=1) + 1e-8)": "Vv.norm(dim=1)"}, "is 1e-8 added under the root"),
    ({"1e-8": "1e-12"}, "is 1e-8 added under the root"),
    ({"a_vv[:, None] * Uv": "a_vv[:, None] * Uv.abs()"}, "your new v does not turn"),
    ({"sum(dim=1), v": "sum(dim=1)[None], v"}, "your new s has the shape"),
]


@pytest.mark.parametrize("right", [solved("02.5")["MyUpdate"], EinsumUpdate])
def test_an_update_block_may_be_written_in_any_way(right):
    assert verdict(CHECKS["02.5"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_UPDATES)
def test_a_wrong_update_block(changes, words):
    assert words in verdict(CHECKS["02.5"], solved("02.5", changes=changes)["MyUpdate"])


# --- the network ---


class BorrowingPaiNN(tp.PaiNN):
    """The library's blocks in a loop of its own."""

    def forward(self, atomic_numbers, r_ij, idx_i, idx_j):
        d = torch.linalg.norm(r_ij, dim=-1, keepdim=True)
        fade = tp.painn.cosine_cutoff(d, self.cutoff)
        basis = torch.hstack([self.radial_basis(d[:, 0]) * fade, fade])
        s, v = self.embedding(atomic_numbers), None
        for k in range(len(self.mixings)):
            s, v = self.mixings[k](*self.interactions[k](s, v, basis, r_ij / d, idx_i, idx_j))
        return self.readout(s).flatten()


WRONG_NETWORKS = [
    ({"return self.readout(s)[:, 0]": "return self.readout(s).sum()"}, "the local energy of each atom is expected"),
    ({"return self.readout(s)[:, 0]": "return self.readout(s)"}, "take its only column, [:, 0]"),
    ({"return self.readout(s)[:, 0]": "return self.readout(s)[1:, 0]"}, "the shape of what your network returns"),
    ({"return self.readout(s)[:, 0]": "return self.readout(s)[:, 0] + r_ij[0, 0]"}, "change when the molecule turns"),
    ({"s, v = mixing(s, v)": "pass"}, "is off by"),
    ({"radial(d, self.n_rbf, self.cutoff) * fade": "radial(d, self.n_rbf, self.cutoff)"}, "not multiplied by the fade"),
    ({"radial(d, self.n_rbf, self.cutoff)": "radial(d, self.n_rbf)"}, "your waves end at 5 Å, as `radial` makes them"),
    ({"cosine_cutoff(d, self.cutoff)": "cosine_cutoff(d, 5.0)"}, "fade towards 5 Å"),
    ({"self.n_rbf, self.cutoff = n_rbf, cutoff": "self.n_rbf, self.cutoff = n_rbf, 5.0"}, "and their fade end at 5 Å"),
    (
        {
            ", mixing in zip(self.interactions, self.mixings, strict=True)": " in self.interactions",
            "            s, v = mixing(s, v)": "        for mixing in self.mixings:\n            s, v = mixing(s, v)",
        },
        "all come before the update blocks",
    ),
    ({"r_ij / d[:, None], idx_i, idx_j": "r_ij / d[:, None], idx_j, idx_i"}, "messages go the wrong way"),
    ({"d = r_ij.norm(dim=1)": "r_ij = r_ij.detach(); d = r_ij.norm(dim=1)"}, "it raised RuntimeError"),
    ({"range(n_interactions)": "range(3)"}, "is not part of PaiNN"),
    ({"self.embedding": "self.elements"}, "there is no embedding.weight"),
]


@pytest.mark.parametrize("right", [solved("02.3", "02.5", "02.6")["MyPaiNN"], BorrowingPaiNN])
def test_a_network_may_be_written_in_any_way(right):
    assert verdict(CHECKS["02.6"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_NETWORKS)
def test_a_wrong_network(changes, words):
    assert words in verdict(CHECKS["02.6"], solved("02.3", "02.5", "02.6", changes=changes)["MyPaiNN"])


def test_a_check_leaves_the_random_numbers_of_the_notebook_alone():
    torch.manual_seed(0)
    first = torch.randn(3)
    torch.manual_seed(0)
    verdict(CHECKS["02.3"], LoopingMessage)
    assert torch.equal(torch.randn(3), first)
