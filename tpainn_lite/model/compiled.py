"""PaiNN on a CPU: the same numbers as `painn.py`, many times as fast.

`painn.py` is written to be read and trained.  Here energy, forces and virial of a trained network are computed with its
backward pass written out by hand, so that no graph of operations is kept; the radial filters W(d), which depend on the
distance alone, are read from a table (`pairs.py`); and all loops are compiled by Numba, in vectors of the processor
(`vectors.py`): those over pairs in `listening.py`, those within each atom in `pointwise.py`.  With several threads the
same calls are written down once, and gone through together (`program.py`).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tpainn_lite.model import pointwise
from tpainn_lite.model.graph import AnyGraph, unpack
from tpainn_lite.model.listening import kernels
from tpainn_lite.model.painn import Interaction, Mixing, PaiNN
from tpainn_lite.model.pairs import Pairs, push, splines
from tpainn_lite.model.products import ZEROS, product
from tpainn_lite.model.program import Program
from tpainn_lite.model.vectors import LANES, padded
from tpainn_lite.model.weights import Room, Weights, aligned

ATOMS_OF_THREAD = 48  # at least; with fewer, to hand over the work would take too much of what is won
MOST_PROGRAMS = 100  # numbers of atoms for which the steps are kept


class FastPotential:
    """Energy, forces and virial, from the weights of a `Potential` (in float32, as they are now)."""

    def __init__(self, potential: Any) -> None:
        painn = potential.painn
        self.n_features, self.cutoff, self.scale = padded(painn.n_features), painn.cutoff, potential.scale.item()
        self.room, self.embedding = Room(), Weights(painn.embedding.weight)
        self.scales = np.full((1, 1), self.scale, np.float32)
        self.programs: dict[int, tuple[Program, NDArray, NDArray]] = {}  # for each number of atoms
        dense, listen, mix = self.blocks()
        self.rounds = [
            (dense(block.phi, painn, self.room), listen(painn, block, self.room), mix(mixing, painn, self.room))
            for block, mixing in zip(painn.interactions, painn.mixings, strict=True)
        ]
        self.readout = dense(painn.readout, painn, self.room)

    @staticmethod
    def blocks() -> tuple[Any, Any, Any]:
        """The classes it is made of."""
        return Dense, Listen, Mix

    def of_graph(self, graph: AnyGraph, forces: bool = True) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Local energies (N,) in float32, forces (N, 3) and virials Σ_ij r_ij ⊗ ∂E/∂r_ij (B, 3, 3) in float64, of a
        graph or a batch; eV and Å.  Without ``forces`` None in the place of the last two."""
        idx_i, idx_j, batch, n_graphs = unpack(graph)
        pairs = Pairs.of(len(batch), idx_i.numpy(), idx_j.numpy(), graph.r_ij.numpy(), self.cutoff)
        numbers = graph.atomic_numbers.numpy()
        if not forces:
            return self.local_energies(numbers, pairs), None, None
        local, on_atoms, virial = self.of_pairs(numbers, pairs, batch.numpy(), n_graphs)
        return local, torch.from_numpy(on_atoms), torch.from_numpy(virial)

    def local_energies(self, atomic_numbers: NDArray, pairs: Pairs) -> Tensor:
        """Each atom's part of the energy (N,) in eV; what the way back needs is kept in the blocks."""
        s = self.start(len(atomic_numbers))
        self.embed(atomic_numbers, s)
        return self.scaled(self.forward(s, pairs))

    def start(self, n_atoms: int) -> NDArray:
        """Deal out memory anew; the first is for the atoms' scalars (N, F)."""
        self.room.clear(n_atoms)
        return self.room(n_atoms, self.n_features)

    def embed(self, atomic_numbers: NDArray, s: NDArray) -> None:
        """What each atom knows before it listens."""
        np.take(self.embedding.plain, atomic_numbers, axis=0, out=s, mode="clip")

    def scaled(self, out: NDArray) -> Tensor:
        """Energies (N,) in eV of what the readout says."""
        return torch.from_numpy(np.float32(self.scale) * out[:, 0])

    def forward(self, s: NDArray, pairs: Pairs) -> NDArray:
        """What the readout says, (N, ·) with the energies in the first column."""
        v = self.nothing(3 * len(s))
        for phi, listen, mix in self.rounds:
            s, v = listen.forward(phi.forward(s), s, v, pairs)
            s, v = mix.forward(s, v)
        return self.readout.forward(s)

    def of_pairs(
        self, atomic_numbers: NDArray, pairs: Pairs, batch: NDArray, n_graphs: int
    ) -> tuple[Tensor, NDArray, NDArray]:
        """Local energies (N,), forces (N, 3) and virials (B, 3, 3) of several structures, as in `graph.together`."""
        n_threads = self.threads(len(batch))
        if n_threads > 1:
            local, by_place = self.shared(atomic_numbers, pairs, n_threads)
        else:
            local = self.local_energies(atomic_numbers, pairs)
            by_place = np.zeros((len(pairs.idx_j), 4), np.float32)
            self.back(pairs, by_place)
        by_positions, virial = np.zeros((len(batch), 3)), np.zeros((n_graphs, 3, 3))
        push(pairs.first, pairs.idx_j, pairs.place, by_place, batch, by_positions, virial)
        return local, -by_positions, virial

    def threads(self, n_atoms: int) -> int:
        """How many share the work: as torch may use, but each has features of its own, and enough atoms."""
        return min(torch.get_num_threads(), self.n_features // LANES, n_atoms // ATOMS_OF_THREAD)

    def shared(self, atomic_numbers: NDArray, pairs: Pairs, n_threads: int) -> tuple[Tensor, NDArray]:
        """Local energies (N,), and slopes by distances and directions (E, 4), by several threads."""
        program, s, out = self.program(len(atomic_numbers), pairs)
        self.embed(atomic_numbers, s)
        by_place = program.run(pairs, self.n_features, n_threads).sum(0)
        return self.scaled(out), by_place

    def program(self, n_atoms: int, pairs: Pairs) -> tuple[Program, NDArray, NDArray]:
        """What is to be done with so many atoms; its first scalars, and what the readout says at the end."""
        if n_atoms not in self.programs:
            if len(self.programs) >= MOST_PROGRAMS:
                self.programs.clear()
            self.room.program = program = Program(n_atoms)
            try:
                s = self.start(n_atoms)
                out = self.forward(s, pairs)
                self.back(pairs, ZEROS)
            finally:
                self.room.program = None
            self.programs[n_atoms] = program, s, out
        return self.programs[n_atoms]

    def back(self, pairs: Pairs, by_place: NDArray, to_embedding: bool = False) -> None:
        """Slopes of the energy by distances and directions, added to ``by_place`` (E, 4)."""
        last = self.room(len(pairs.first) - 1, padded(1))
        self.room.do(pointwise.set_column, last, self.scales)
        gs = self.readout.back(last, ZEROS)  # slopes of the energy
        gv = self.nothing(3 * len(gs))
        for k in reversed(range(len(self.rounds))):
            phi, listen, mix = self.rounds[k]
            gs, gv = mix.back(gs, gv)
            gx, gv = listen.back(gs, gv, pairs, by_place)
            if k or to_embedding:
                gs = phi.back(gx, gs)

    def nothing(self, n: int) -> NDArray:
        """Features of n vectors' components, or of n atoms, that are zero."""
        array = self.room(n, self.n_features)
        self.room.do(pointwise.clear_rows, array)
        return array


# --- the blocks of PaiNN: forward, and back from slopes g by what comes out to slopes by what went in ---


class Dense:
    """Linear, SiLU, Linear."""

    def __init__(self, network: nn.Sequential, painn: PaiNN, room: Room) -> None:
        first: Any
        second: Any
        first, second, f = network[0], network[2], painn.n_features
        self.w1, self.b1 = Weights(first.weight, columns=f), Weights(first.bias)
        self.w2, self.b2 = Weights(second.weight, rows=min(f, len(second.weight))), Weights(second.bias)
        if len(second.weight) > f:
            self.b2 = Weights(second.bias, columns=f)
        self.weights, self.room = (self.w1, self.b1, self.w2, self.b2), room
        self.network = (self.w1.plain, self.w2.plain, self.w1.turned, self.w2.turned, self.b1.plain, self.b2.plain)
        self.n_hidden, self.n_out, self.n_in = len(self.w1.plain), len(self.w2.plain), len(self.w1.turned)

    def forward(self, x: NDArray) -> NDArray:
        self.x, n = x, len(x)
        self.gate, self.act, out = self.room(n, self.n_hidden), self.room(n, self.n_hidden), self.room(n, self.n_out)
        self.room.do(pointwise.dense, x, self.network, self.gate, self.act, out)
        return out

    def back(self, g: NDArray, added: NDArray) -> NDArray:
        """``added`` + slopes by x."""
        self.g, n = g, len(g)
        self.gated, self.g_hidden, by_x = (self.room(n, m) for m in (self.n_hidden, self.n_hidden, self.n_in))
        work = self.gate, self.act, self.gated, self.g_hidden, by_x
        self.room.do(pointwise.dense_back, g, self.network, ZEROS, added, *work)
        return by_x


class Listen:
    """`painn.Interaction`: what each atom hears from its neighbours, added to what it knows."""

    def __init__(self, painn: PaiNN, block: Interaction, room: Room) -> None:
        self.W, self.room = Weights(block.W.weight, rows=painn.n_features), room
        self.splines = splines(painn.n_rbf, painn.cutoff).numpy()
        self.first_round = len(block.W.weight) < 3 * painn.n_features
        self.kernels, self.table = kernels(self.first_round), aligned(len(self.splines), len(self.W.plain))
        self.tabulate(slice(None))

    def tabulate(self, rows: slice) -> None:
        """The filters, in these rows of the table."""
        product(self.splines[rows], False, self.W.turned, ZEROS, self.table[rows])

    def forward(self, x: NDArray, s: NDArray, v: NDArray, pairs: Pairs) -> tuple[NDArray, NDArray]:
        self.x, self.v, s_out, v_out = x, v, self.room(*s.shape), self.room(*v.shape)
        self.room.do(self.kernels[0], x, v, self.table, s, s_out, v_out, pairs, 0, s.shape[1])
        return s_out, v_out

    def back(self, gs: NDArray, gv: NDArray, pairs: Pairs, by_place: NDArray) -> tuple[NDArray, NDArray]:
        """Slopes by x and v; those by distances and directions are added to ``by_place``."""
        self.gs, self.gv, by_x, by_v = gs, gv, self.room(*self.x.shape), self.room(*gv.shape)
        arrays = self.x, self.v, gs, gv, self.table, by_x, by_v
        self.room.do(self.kernels[1], *arrays, pairs, by_place, 0, gs.shape[1])
        return by_x, by_v


class Mix:
    """`painn.Mixing`."""

    dense: type = Dense

    def __init__(self, mixing: Mixing, painn: PaiNN, room: Room) -> None:
        self.VU, self.room = Weights(mixing.VU.weight, rows=painn.n_features), room
        self.a = self.dense(mixing.a, painn, room)

    def forward(self, s: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
        (n, f), a, room = s.shape, self.a, self.room
        VU, sl, dot = room(3 * n, 2 * f), room(n, 2 * f), room(n, f)
        gate, act, factors = room(n, a.n_hidden), room(n, a.n_hidden), room(n, 3 * f)
        s_out, v_out = room(n, f), room(3 * n, f)
        work = VU, sl, dot, gate, act, factors
        room.do(pointwise.mix, s, v, self.VU.turned, a.network, ZEROS, *work, s_out, v_out)
        self.v, self.kept = v, work
        return s_out, v_out

    def back(self, gs: NDArray, gv: NDArray) -> tuple[NDArray, NDArray]:
        (n, f), h, room = gs.shape, self.a.n_hidden, self.room
        self.gs, self.gv = gs, gv
        self.slopes_kept = room(n, 3 * f), room(n, h), room(n, h), room(n, 2 * f), room(3 * n, 2 * f)
        gs_out, gv_out = room(n, f), room(3 * n, f)
        known = self.VU.plain, self.a.network, ZEROS, self.kept
        room.do(pointwise.mix_back, gs, gv, *known, *self.slopes_kept, gs_out, gv_out)
        return gs_out, gv_out
