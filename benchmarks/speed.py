"""How fast is our PaiNN, beside SchNetPack's at equal size?

    python benchmarks/speed.py                  # some five minutes; makes the other environment where it is missing

Both run the same network (64 features, 3 interactions, 20 radial functions, 5 Å, float32) on the same structures with
the same torch and as many threads, each in a process of its own, by turns: what else the machine does then hurts both
alike.  Written to data/results/speed.json: ``seconds`` (and ``cpu_seconds``, the time of all cores, which a busy
machine disturbs least) are medians over the rounds.

| case             | system        | what is timed                                                          |
|------------------|---------------|------------------------------------------------------------------------|
| energy + forces  | 64 H2O        | one evaluation, the neighbour list ready-made                          |
| MD step          | 64 H2O        | one step of ASE's velocity Verlet, 0.5 fs, neighbour list included     |
| training step    | 32 molecules  | loss of energies and forces, its gradient, AdamW; the batch ready-made |
| import           | package       | a fresh Python, up to the calculator                                   |

SchNetPack's MD runs through its `SpkCalculator` with its matscipy neighbour list, once built anew at every step (its
documentation's way) and once behind its `SkinNeighborList` with our skin.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import typing
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "data" / "results" / "speed.json"
PEER = "SchNetPack 2.1.1"
NAMES = {"ours": "tpainn_lite", "peer": PEER, "peer_skin": f"{PEER}, skin list"}
CUTOFF, SKIN, TIMESTEP = 5.0, 0.5, 0.5  # Å, Å, fs
DENSITY = 0.997  # g/cm³
CASES = {  # case: (system, repeats per round, implementations)
    "energy + forces": ("64 H2O", 6, ("ours", "peer")),
    "MD step": ("64 H2O", 8, ("ours", "peer", "peer_skin")),
    "training step": ("32 molecules", 8, ("ours", "peer")),
}
MOLECULES = (
    "CCO CC=O CC(=O)C CCN CC#N CNC=O CC(C)C CCOC c1ccccc1 Cc1ccccc1 c1ccncc1 c1ccoc1 C1CC1 C1CCC1 C1CCOC1 CC(=O)O "
    "CC(=O)N NCC(=O)O CC(F)F CCF OCCO CC(O)C C=CC=C CC#C OC=O COC=O NC(=O)N CCC CCCC CC=C CN(C)C FC(F)(F)C"
)
PEER_PACKAGES = (
    "ase matscipy h5py pyyaml hydra-core pytorch-lightning torchmetrics fasteners dirsync torch-ema rich "
    "hydra-colorlog tensorboardX protobuf tqdm"
)


# --- structures ---


def water_box(n_side=4, seed=0):
    """``n_side``³ water molecules, turned at random, on a simple cubic lattice at 0.997 g/cm³."""
    from ase import Atoms, units
    from ase.build import molecule

    rng, water = np.random.default_rng(seed), molecule("H2O")
    spacing = (water.get_masses().sum() / units._Nav / DENSITY) ** (1 / 3) * 1e8  # Å
    box = Atoms(cell=[n_side * spacing] * 3, pbc=True)
    for corner in np.ndindex(n_side, n_side, n_side):
        one = water.copy()
        one.rotate(rng.uniform(0, 360), rng.normal(size=3), center="com")
        one.translate(spacing * (np.array(corner) + 0.5) - one.get_center_of_mass())
        box += one
    return box


def labelled_molecules():
    """One shaken frame of each of the 32 molecules, labelled by MMFF94."""
    from tpainn_lite import label, mmff94, molecule, normal_mode_frames

    frames = [normal_mode_frames(molecule(smiles), mmff94(), 300, 1)[0] for smiles in MOLECULES.split()]
    return label(frames, mmff94(), progress=False)


def loss(energy_error, force_error, n_atoms):
    """The same loss for both: energy errors per √atoms, lengths of force errors."""
    return 0.3 * (energy_error.abs() / n_atoms.sqrt()).mean() + force_error.norm(dim=-1).mean()


# --- the two implementations, as functions that do one step ---


class Ours:
    """{case: a function that does it once} for tpainn_lite."""

    def __init__(self, box, molecules):
        import torch

        from tpainn_lite.graph import collate, to_graph, to_graphs
        from tpainn_lite.painn import PaiNN
        from tpainn_lite.potential import Potential

        torch.manual_seed(0)
        self.potential = Potential(PaiNN(64, 3, 20, CUTOFF), dict.fromkeys((1, 6, 7, 8, 9), 0.0), scale=0.01)
        self.trained = Potential(PaiNN(64, 3, 20, CUTOFF), dict.fromkeys((1, 6, 7, 8, 9), 0.0)).train()
        self.optimiser = torch.optim.AdamW(self.trained.parameters(), lr=1e-4)
        self.box, self.graph = box, to_graph(box, CUTOFF)
        self.batch = collate(to_graphs(molecules, CUTOFF))
        self.n_atoms = torch.bincount(self.batch.batch).float()

    def energy_forces(self):
        self.potential.eval()(self.graph)["forces"]

    def training_step(self):
        self.optimiser.zero_grad()
        output = self.trained(self.batch)
        energy_error = output["interaction_energy"] - self.batch.energy.float()
        loss(energy_error, output["forces"] - self.batch.forces, self.n_atoms).backward()
        self.optimiser.step()

    def calculator(self, _):
        from tpainn_lite.calculator import PotentialCalculator

        return PotentialCalculator(self.potential, skin=SKIN)


class Peer:
    """The same for SchNetPack."""

    def __init__(self, box, molecules):
        spk = _import_schnetpack()
        import torch

        torch.manual_seed(0)
        self.spk, self.box, self.list = spk, box, spk.transform.MatScipyNeighborList(cutoff=CUTOFF)
        self.model, self.trained = self._model(scale=0.01).eval(), self._model().train()
        self.optimiser = torch.optim.AdamW(self.trained.parameters(), lr=1e-4)
        converter = spk.interfaces.AtomsConverter(neighbor_list=self.list)
        self.inputs, self.batch = converter(box), converter(molecules)
        self.energy = torch.tensor([atoms.get_potential_energy() for atoms in molecules])
        self.forces = torch.tensor(np.concatenate([atoms.get_forces() for atoms in molecules])).float()

    def _model(self, scale=1.0):
        spk = self.spk
        basis = spk.nn.BesselRBF(n_rbf=20, cutoff=CUTOFF)
        model = spk.model.NeuralNetworkPotential(
            representation=spk.representation.PaiNN(64, 3, basis, spk.nn.CosineCutoff(CUTOFF)),
            input_modules=[spk.atomistic.PairwiseDistances()],
            output_modules=[spk.atomistic.Atomwise(n_in=64, output_key="energy"), spk.atomistic.Forces()],
        )
        model.output_modules[0].outnet[1].weight.data *= scale
        return model

    def energy_forces(self):
        self.model(_fresh(self.inputs))["forces"]

    def training_step(self):
        self.optimiser.zero_grad()
        output = self.trained(_fresh(self.batch))
        energy_error = output["energy"] - self.energy
        loss(energy_error, output["forces"] - self.forces, self.batch["_n_atoms"].float()).backward()
        self.optimiser.step()

    def calculator(self, implementation):
        class InMemory(self.spk.interfaces.SpkCalculator):
            def _load_model(self, model):
                return model

        pairs = self.spk.transform.MatScipyNeighborList(cutoff=CUTOFF)
        if implementation == "peer_skin":
            pairs = self.spk.transform.SkinNeighborList(pairs, cutoff_skin=SKIN)
        return InMemory(self.model, pairs, energy_unit="eV")


def _fresh(inputs):
    """SchNetPack writes into its inputs; give it a new dictionary and new positions each time."""
    return {**inputs, "_positions": inputs["_positions"].detach().clone()}


def _import_schnetpack():
    import torch.utils.data.dataloader as dataloader

    if not hasattr(dataloader, "T_co"):  # SchNetPack 2.1.1 takes this name from an older torch
        dataloader.T_co = typing.TypeVar("T_co", covariant=True)
    import schnetpack

    return schnetpack


# --- a worker: one implementation in a process of its own ---


def worker(implementation, structures):
    """Answer {"case", "implementation", "repeats"} lines with {"seconds", "cpu_seconds", "peak_mb"} lines."""
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    import torch
    from ase.io import read

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    frames = read(structures, ":", format="extxyz")
    done = (Ours if implementation == "ours" else Peer)(frames[0], frames[1:])
    runs = {}
    for line in sys.stdin:
        job = json.loads(line)
        key = job["case"], job["implementation"]
        if key not in runs:
            runs[key] = _step(done, *key)
        started = time.perf_counter(), time.process_time()
        runs[key](job["repeats"])
        seconds = (time.perf_counter() - started[0]) / job["repeats"]
        of_cpu = (time.process_time() - started[1]) / job["repeats"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
        reply.write(json.dumps({"seconds": seconds, "cpu_seconds": of_cpu, "peak_mb": peak}) + "\n")
        reply.flush()


def _step(done, case, implementation):
    """A function that does the case n times, warmed up."""
    if case == "MD step":
        step = _dynamics(done.box, done.calculator(implementation)).run
    else:
        once = done.energy_forces if case == "energy + forces" else done.training_step

        def step(n):
            for _ in range(n):
                once()

    step(3)
    return step


def _dynamics(box, calculator):
    from ase import units
    from ase.md.velocitydistribution import thermalize_momenta
    from ase.md.verlet import VelocityVerlet

    atoms = box.copy()
    atoms.calc = calculator
    thermalize_momenta(atoms, 300.0, rng=np.random.default_rng(0))
    return VelocityVerlet(atoms, TIMESTEP * units.fs)


class Worker:
    """The driver's end of a worker."""

    def __init__(self, python, implementation, structures, threads):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        command = [python, "-W", "ignore", __file__, "--worker", implementation, "--structures", str(structures)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT
        )

    def run(self, case, implementation, repeats):
        self.process.stdin.write(
            json.dumps({"case": case, "implementation": implementation, "repeats": repeats}) + "\n"
        )
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {NAMES[implementation]} died in {case!r}; its message is above")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# --- the driver ---


def measure(pythons, structures, threads, rounds):
    """{(case, implementation): [(seconds, CPU seconds) of each round]}, the implementations by turns."""
    workers = {name: Worker(python, name, structures, threads) for name, python in pythons.items()}
    seconds = {}
    for k in range(rounds + 1):  # the first round is for warming up
        for case, (_, repeats, implementations) in CASES.items():
            for name in implementations[:: 1 if k % 2 else -1]:
                answer = workers[name.split("_")[0]].run(case, name, repeats)
                if k:
                    seconds.setdefault((case, name), []).append((answer["seconds"], answer["cpu_seconds"]))
        print(f"\r{threads} thread{'s' * (threads > 1)}: round {k} of {rounds}", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    for one in workers.values():
        one.close()
    return seconds


def peak_memory(pythons, structures):
    """{(case, implementation): MB}, each in a fresh process."""
    peaks = {}
    for case, (_, _, implementations) in CASES.items():
        for name in implementations:
            one = Worker(pythons[name.split("_")[0]], name.split("_")[0], structures, threads=1)
            peaks[case, name] = one.run(case, name, 3)["peak_mb"]
            one.close()
    return peaks


def import_times(pythons, rounds):
    """{implementation: [(seconds, CPU seconds)]} of a fresh Python that imports what an MD run needs."""
    code = {
        "ours": "import tpainn_lite; tpainn_lite.PotentialCalculator",
        "peer": f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import speed; "
        "speed._import_schnetpack().interfaces.SpkCalculator",
    }
    seconds = {name: [] for name in code}
    for _ in range(rounds):
        for name in code:
            started, before = time.perf_counter(), _cpu_of_children()
            subprocess.run([pythons[name], "-W", "ignore", "-c", code[name]], check=True, cwd=ROOT)
            seconds[name].append((time.perf_counter() - started, _cpu_of_children() - before))
    return seconds


def _cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def make_peer(python):
    """Make the environment of ``.peers/schnetpack`` where it is missing."""
    import torch

    folder = Path(python).parents[1]
    print(f"Making {folder}: SchNetPack 2.1.1 and torch {torch.__version__}, some minutes, 1.5 GB ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [python, "-m", "pip", "install", "--quiet"]
    if subprocess.run([*pip, f"torch=={torch.__version__}"]).returncode:
        subprocess.run([*pip, f"torch=={torch.__version__.split('+')[0]}"], check=True)
    subprocess.run([*pip, f"numpy=={np.__version__}", *PEER_PACKAGES.split()], check=True)
    # its own list of packages asks for a sympy older than torch does
    subprocess.run([*pip, "--no-deps", "schnetpack==2.1.1"], check=True)


def summary(values):
    """Medians of (seconds, CPU seconds) pairs, and the fastest."""
    wall, of_cpu = zip(*values, strict=True)
    numbers = {"seconds": statistics.median(wall), "cpu_seconds": statistics.median(of_cpu), "fastest": min(wall)}
    return {name: round(value, 5) for name, value in numbers.items()}


def rows_of(seconds, peaks, sizes, threads):
    """Flat rows of results."""
    return [
        {
            "case": case,
            "system": CASES[case][0],
            "n_atoms": sizes[CASES[case][0]],
            "threads": threads,
            "device": "cpu",
            "implementation": NAMES[name],
            **summary(values),
            "peak_mb": round(peaks[case, name]),
        }
        for (case, name), values in seconds.items()
    ]


def versions(pythons):
    """{package: version} of both environments."""
    from importlib.metadata import version

    code = "import json, importlib.metadata as m; print(json.dumps({p: m.version(p) for p in ('schnetpack', 'torch')}))"
    peer = json.loads(subprocess.run([pythons["peer"], "-c", code], capture_output=True, check=True, text=True).stdout)
    ours = {package: version(package) for package in ("tpainn-lite", "torch", "torch-geometric", "ase", "vesin")}
    return {**ours, "python": platform.python_version(), "schnetpack": peer["schnetpack"], "its torch": peer["torch"]}


def processor():
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def print_table(rows):
    """One line per case and thread count, with the ratio to the faster of SchNetPack's ways."""
    head = f"{'case':<16} {'threads':>7} {'implementation':<28} {'ms':>8} {'CPU ms':>8}"
    print(f"{head} {'of SchNetPack':>14} {'peak MB':>8}")
    order = {"tpainn_lite": 0, PEER: 1}
    for row in sorted(rows, key=lambda r: (r["threads"], r["case"], order.get(r["implementation"], 2))):
        key = row["case"], row["threads"]
        peers = [r for r in rows if (r["case"], r["threads"]) == key and r["implementation"].startswith(PEER)]
        ratio = row["seconds"] / min(r["seconds"] for r in peers)
        name = f"{row['case']:<16} {row['threads']:>7} {row['implementation']:<28}"
        print(f"{name} {1e3 * row['seconds']:>8.1f} {1e3 * row['cpu_seconds']:>8.1f}", end="")
        print(f" {ratio:>13.2f}× {row['peak_mb'] or '–':>8}")


def main():
    from ase.io import write

    from tpainn_lite.datasets import write_text

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=str(ROOT / ".peers" / "schnetpack" / "bin" / "python"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    started, pythons = time.time(), {"ours": sys.executable, "peer": arguments.peer_python}
    if not Path(pythons["peer"]).exists():
        make_peer(pythons["peer"])
    frames, rows = [water_box(), *labelled_molecules()], []
    sizes = {"64 H2O": len(frames[0]), "32 molecules": sum(map(len, frames[1:]))}
    with tempfile.TemporaryDirectory() as folder:
        structures = Path(folder) / "structures.extxyz"
        write(structures, frames, format="extxyz")
        peaks = peak_memory(pythons, structures)
        for threads in arguments.threads:
            rows += rows_of(measure(pythons, structures, threads, arguments.rounds), peaks, sizes, threads)
    for name, seconds in import_times(pythons, min(arguments.rounds, 5)).items():
        row = {"case": "import", "system": "package", "n_atoms": 0, "threads": 1, "device": "cpu", "peak_mb": None}
        rows.append({**row, **summary(seconds), "implementation": NAMES[name]})
    result = {
        "command": "python benchmarks/speed.py " + " ".join(sys.argv[1:]),
        "created": time.strftime("%Y-%m-%d"),
        "versions": versions(pythons),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "seconds": round(time.time() - started),
        "rows": rows,
    }
    write_text(arguments.output, json.dumps(result, indent=1) + "\n")
    print_table(rows)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(sys.argv[sys.argv.index("--worker") + 1], sys.argv[sys.argv.index("--structures") + 1])
    else:
        main()
