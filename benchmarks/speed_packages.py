"""The same PaiNN in three packages, as functions that do one step; `speed.py` runs each in a process of its own."""

import json
import os
import resource
import sys
import time
import typing

import numpy as np

CUTOFF, SKIN, TIMESTEP = 5.0, 0.5, 0.5  # Å, Å, fs
SIZE = {"n_features": 64, "n_interactions": 3, "n_rbf": 20, "cutoff": CUTOFF}
LARGE = ("512 H2O", "4096 H2O")  # warmed up for one step, and timed on one thread


def loss(energy_error, force_error, n_atoms):
    """The same loss for all: energy errors per √atoms, lengths of force errors."""
    return 0.3 * (energy_error.abs() / n_atoms.sqrt()).mean() + force_error.norm(dim=-1).mean()


def labels(molecules):
    """Energies (B,), forces (N, 3) and numbers of atoms (B,) as tensors."""
    import torch

    energy = torch.tensor([atoms.get_potential_energy() for atoms in molecules]).float()
    forces = torch.tensor(np.concatenate([atoms.get_forces() for atoms in molecules])).float()
    return energy, forces, torch.tensor([float(len(atoms)) for atoms in molecules])


class Ours:
    """tpainn_lite; ``ours_reference`` is `painn.py` as it is read, ``ours`` its compiled twin."""

    def __init__(self, boxes, molecules):
        import torch

        from tpainn_lite.model.flat import FlatGraphs
        from tpainn_lite.model.graph import graphs_of, to_graph
        from tpainn_lite.model.painn import PaiNN
        from tpainn_lite.model.potential import Potential

        torch.manual_seed(0)
        self.potential = Potential(PaiNN(**SIZE), dict.fromkeys((1, 6, 7, 8, 9), 0.0), scale=0.01)
        self.trained = Potential(PaiNN(**SIZE), dict.fromkeys((1, 6, 7, 8, 9), 0.0))
        self.optimiser = torch.optim.AdamW(self.trained.parameters(), lr=1e-4)
        self.boxes, self.graph = boxes, to_graph(boxes["64 H2O"], CUTOFF)
        self.graphs, self.labels = FlatGraphs(graphs_of(molecules, CUTOFF)), labels(molecules)

    def energy_forces(self, implementation):
        if implementation == "ours_reference":
            return lambda: self.potential(self.graph)["forces"]
        evaluator = self.potential.evaluator(fast=True)
        return lambda: evaluator.of_graph(self.graph, compiled=True)

    def training_step(self, implementation):
        from tpainn_lite.train.steps import Compiled, Exact

        engine = Exact(self.trained, "cpu") if implementation == "ours_reference" else Compiled(self.trained)
        batch = engine.joined(self.graphs)(range(len(self.graphs)))
        energy, forces, n_atoms = self.labels

        def step():
            self.optimiser.zero_grad()
            output = engine.outputs(batch, True, differentiable=True)
            loss(output["interaction_energy"] - energy, output["forces"] - forces, n_atoms).backward()
            self.optimiser.step()

        return step

    def calculator(self, implementation):
        from tpainn_lite.model.calculator import PotentialCalculator

        return PotentialCalculator(self.potential, skin=SKIN, fast=implementation == "ours")


class SchNetPack:
    """SchNetPack; ``schnetpack_skin`` has its skin list, with our skin."""

    def __init__(self, boxes, molecules):
        spk = import_schnetpack()
        import torch

        torch.manual_seed(0)
        self.spk, self.boxes = spk, boxes
        self.model, self.trained = self._model(scale=0.01).eval(), self._model().train()
        self.optimiser = torch.optim.AdamW(self.trained.parameters(), lr=1e-4)
        converter = spk.interfaces.AtomsConverter(neighbor_list=spk.transform.MatScipyNeighborList(cutoff=CUTOFF))
        self.inputs, self.batch, self.labels = converter(boxes["64 H2O"]), converter(molecules), labels(molecules)

    def _model(self, scale=1.0):
        spk = self.spk
        basis = spk.nn.BesselRBF(n_rbf=SIZE["n_rbf"], cutoff=CUTOFF)
        n_features, n_interactions = SIZE["n_features"], SIZE["n_interactions"]
        model = spk.model.NeuralNetworkPotential(
            representation=spk.representation.PaiNN(n_features, n_interactions, basis, spk.nn.CosineCutoff(CUTOFF)),
            input_modules=[spk.atomistic.PairwiseDistances()],
            output_modules=[spk.atomistic.Atomwise(n_in=n_features, output_key="energy"), spk.atomistic.Forces()],
        )
        model.output_modules[0].outnet[1].weight.data *= scale
        return model

    @staticmethod
    def _fresh(inputs):
        """SchNetPack writes into its inputs; give it a new dictionary and new positions each time."""
        return {**inputs, "_positions": inputs["_positions"].detach().clone()}

    def energy_forces(self, _):
        return lambda: self.model(self._fresh(self.inputs))["forces"]

    def training_step(self, _):
        energy, forces, n_atoms = self.labels

        def step():
            self.optimiser.zero_grad()
            output = self.trained(self._fresh(self.batch))
            loss(output["energy"] - energy, output["forces"] - forces, n_atoms).backward()
            self.optimiser.step()

        return step

    def calculator(self, implementation):
        class InMemory(self.spk.interfaces.SpkCalculator):
            def _load_model(self, model):
                return model

        pairs = self.spk.transform.MatScipyNeighborList(cutoff=CUTOFF)
        if implementation == "schnetpack_skin":
            pairs = self.spk.transform.SkinNeighborList(pairs, cutoff_skin=SKIN)
        return InMemory(self.model, pairs, energy_unit="eV")


class GraphPES:
    """graph-pes, with our skin."""

    def __init__(self, boxes, molecules):
        import torch
        from graph_pes.atomic_graph import AtomicGraph, to_batch
        from graph_pes.models import PaiNN

        torch.manual_seed(0)
        size = {"channels": SIZE["n_features"], "layers": SIZE["n_interactions"], "radial_features": SIZE["n_rbf"]}
        self.model, self.trained = PaiNN(**size, cutoff=CUTOFF).eval(), PaiNN(**size, cutoff=CUTOFF).train()
        self.optimiser = torch.optim.AdamW(self.trained.parameters(), lr=1e-4)
        self.boxes, self.graph = boxes, AtomicGraph.from_ase(boxes["64 H2O"], CUTOFF)
        self.batch = to_batch([AtomicGraph.from_ase(atoms, CUTOFF) for atoms in molecules])
        self.labels = labels(molecules)

    def energy_forces(self, _):
        return lambda: self.model.predict(self.graph, ["energy", "forces"])

    def training_step(self, _):
        energy, forces, n_atoms = self.labels

        def step():
            self.optimiser.zero_grad()
            output = self.trained.predict(self.batch, ["energy", "forces"])
            loss(output["energy"] - energy, output["forces"] - forces, n_atoms).backward()
            self.optimiser.step()

        return step

    def calculator(self, _):
        for parameter in self.model.read_out.parameters():
            parameter.data *= 0.01
        return self.model.ase_calculator(skin=SKIN)


PACKAGES = {"ours": Ours, "schnetpack": SchNetPack, "graph_pes": GraphPES}


def import_schnetpack():
    """SchNetPack 2.1.1 with a torch that is younger than it."""
    import torch.utils.data.dataloader as dataloader

    if not hasattr(dataloader, "T_co"):  # it takes this name from an older torch
        dataloader.T_co = typing.TypeVar("T_co", covariant=True)
    import schnetpack

    return schnetpack


def worker(package, structures):
    """Answer {"case", "system", "implementation", "repeats"} lines with {"seconds", "cpu_seconds", "peak_mb"} lines."""
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    import torch
    from ase.io import read

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    frames = read(structures, ":", format="extxyz")
    boxes = {frame.info["system"]: frame for frame in frames if frame.pbc.all()}
    done = PACKAGES[package](boxes, [frame for frame in frames if not frame.pbc.all()])
    runs = {}
    for line in sys.stdin:
        job = json.loads(line)
        key = job["case"], job["system"], job["implementation"]
        if key not in runs:
            runs[key] = _warm(done, *key)
        started = time.perf_counter(), time.process_time()
        runs[key](job["repeats"])
        seconds = (time.perf_counter() - started[0]) / job["repeats"]
        of_cpu = (time.process_time() - started[1]) / job["repeats"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
        reply.write(json.dumps({"seconds": seconds, "cpu_seconds": of_cpu, "peak_mb": peak}) + "\n")
        reply.flush()


def _warm(done, case, system, implementation):
    """A function that does the case n times, warmed up."""
    if case == "MD step":
        step = _dynamics(done.boxes[system], done.calculator(implementation)).run
    else:
        once = (done.energy_forces if case == "energy + forces" else done.training_step)(implementation)

        def step(n):
            for _ in range(n):
                once()

    step(1 if system in LARGE else 3)
    return step


def _dynamics(box, calculator):
    from ase import units
    from ase.md.velocitydistribution import thermalize_momenta
    from ase.md.verlet import VelocityVerlet

    atoms = box.copy()
    atoms.calc = calculator
    thermalize_momenta(atoms, 300.0, rng=np.random.default_rng(0))
    return VelocityVerlet(atoms, TIMESTEP * units.fs)


if __name__ == "__main__":
    worker(*sys.argv[1:])
