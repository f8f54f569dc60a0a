"""How fast is our PaiNN, compared with SchNetPack's and graph-pes's at equal size, and with what the machine could do?

    python benchmarks/speed.py                  # seven minutes; makes the other environments where they are missing
    python benchmarks/speed.py --all            # SchNetPack's step of the largest box too: three minutes more
    python benchmarks/speed.py --quick          # without the largest box; prints, and writes nothing

All run the same network (64 features, 3 interactions, 20 radial functions, 5 Å, float32) on the same structures with
the same torch and as many threads, each in a process of its own, in alternation: what else runs then hurts all
alike.  Written to data/results/speed.json: ``seconds`` (and ``cpu_seconds``, the time of all cores, which a busy
machine disturbs least) are medians over the rounds; SchNetPack's largest box, half a minute a step, is run once.

| case             | system               | what is timed                                                          |
|------------------|----------------------|------------------------------------------------------------------------|
| energy + forces  | 64 H2O               | one evaluation, the neighbour list ready-made                          |
| MD step          | 64, 512, 4096 H2O    | one step of ASE's velocity Verlet, 0.5 fs, neighbour list included     |
| training step    | 32 molecules         | loss of energies and forces, its gradient, AdamW; the batch ready-made |
| labelling        | 1,000 frames         | MMFF94 labels of shaken ethanol: `label` in one process, and ASE alone |
| import           | package              | a fresh Python, up to the calculator                                   |
| growth           | 64 to 4096 H2O       | time of an MD step per molecule, and memory per pair, larger to smaller |

"tpainn_lite, painn.py" is the code that is read in the course, "tpainn_lite" what it runs (`compiled.py`,
`compiled_training.py`).  SchNetPack's MD runs through its `SpkCalculator` with its matscipy neighbour list, once built
anew at every step (its documentation's way) and once behind its `SkinNeighborList` with our skin; graph-pes's through
its calculator, with our skin.  ``machine``: measured rates of a matrix product and of copying memory, and what our
operations, counted, would take at these rates.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from speed_packages import CUTOFF, LARGE, SIZE

ROOT = Path(__file__).resolve().parents[1]
SCHNETPACK = "2.2.0" if sys.version_info >= (3, 12) else "2.1.1"  # the newest for this Python
PEERS = {"schnetpack": f"SchNetPack {SCHNETPACK}", "graph_pes": "graph-pes 1.0.2"}
NAMES = {"ours": "tpainn_lite", "ours_reference": "tpainn_lite, painn.py", **PEERS}
NAMES |= {"schnetpack_skin": f"{PEERS['schnetpack']}, skin list"}
DENSITY = 0.997  # g/cm³
MOLECULES = (
    "CCO CC=O CC(=O)C CCN CC#N CNC=O CC(C)C CCOC c1ccccc1 Cc1ccccc1 c1ccncc1 c1ccoc1 C1CC1 C1CCC1 C1CCOC1 CC(=O)O "
    "CC(=O)N NCC(=O)O CC(F)F CCF OCCO CC(O)C C=CC=C CC#C OC=O COC=O NC(=O)N CCC CCCC CC=C CN(C)C FC(F)(F)C"
)
PEER_PACKAGES = {  # SchNetPack's own list asks for a sympy older than torch does, so its packages are named here
    "schnetpack": [
        "ase matscipy h5py pyyaml hydra-core pytorch-lightning torchmetrics fasteners dirsync torch-ema rich "
        "hydra-colorlog tensorboardX protobuf tqdm progressbar",
        f"--no-deps schnetpack=={SCHNETPACK}",
    ],
    "graph_pes": ["ase graph-pes==1.0.2"],
}


OWN_PACKAGES = ("torch", "torch-geometric", "ase", "vesin", "numba")


class Case(NamedTuple):
    """What is timed, how often in a round, in how many rounds, for whom; whether its peak memory is measured too."""

    case: str
    system: str
    repeats: int
    rounds: int
    implementations: tuple
    memory: bool = False


EVERYONE = ("ours", "ours_reference", "schnetpack", "graph_pes")
CASES = [
    Case("energy + forces", "64 H2O", 6, 5, EVERYONE),
    Case("training step", "32 molecules", 8, 5, EVERYONE, memory=True),
    Case("MD step", "64 H2O", 8, 5, (*EVERYONE, "schnetpack_skin"), memory=True),
    Case("MD step", "512 H2O", 1, 3, ("ours", "schnetpack_skin", "graph_pes")),
    Case("MD step", "4096 H2O", 1, 3, ("ours",), memory=True),
]
LONGEST = Case("MD step", "4096 H2O", 1, 1, ("schnetpack_skin",))  # half a minute a step


def package_of(implementation):
    """Which worker does it."""
    return next(package for package in ("ours", *PEERS) if implementation.startswith(package))


# --- structures ---


def labelled_molecules():
    """One shaken frame of each of the 32 molecules, labelled by MMFF94."""
    from tpainn_lite import label, mmff94, molecule, normal_mode_frames

    frames = [normal_mode_frames(molecule(smiles), mmff94(), 300, 1)[0] for smiles in MOLECULES.split()]
    return label(frames, mmff94(), progress=False)


def structures(cases):
    """The boxes that the cases need, each with its name, and the molecules."""
    from tpainn_lite import water_box

    names = {case.system for case in cases if case.system.endswith("H2O")}
    boxes = {name: water_box(int(name.split()[0]), DENSITY) for name in sorted(names)}
    for name, box in boxes.items():
        box.info["system"] = name
    return [*boxes.values(), *labelled_molecules()]


# --- the processes ---


class Worker:
    """The driver's end of a worker (`speed_packages.worker`)."""

    def __init__(self, python, package, path, threads):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        environment |= {"NUMBA_NUM_THREADS": str(threads)}
        script = Path(__file__).with_name("speed_packages.py")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", script, package, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT,
        )  # fmt: skip

    def run(self, case, implementation):
        """{"seconds", "cpu_seconds", "peak_mb"}, or None if the process died (of memory, mostly)."""
        job = {"case": case.case, "system": case.system, "implementation": implementation, "repeats": case.repeats}
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            return None
        return json.loads(line) if line else None

    def close(self):
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()


def measure(pythons, path, cases, threads):
    """{(case, implementation): [(seconds, CPU seconds) of each round]}, the implementations in alternation."""
    workers = {name: Worker(python, name, path, threads) for name, python in pythons.items()}
    found = {}
    for case in cases:
        for k in range(case.rounds + 1):  # the first round is for warming up
            for name in case.implementations[:: 1 if k % 2 else -1]:
                answer = workers[package_of(name)].run(case, name)
                if k and answer:
                    found.setdefault((case, name), []).append((answer["seconds"], answer["cpu_seconds"]))
        print(f"{threads} thread{'s' * (threads > 1)}: {case.case}, {case.system}", flush=True, file=sys.stderr)
    for one in workers.values():
        one.close()
    return found


def peak_memory(pythons, path, cases):
    """{(case, implementation): MB}, each in a fresh process, two at a time."""

    def peak(case, name):
        one = Worker(pythons[package_of(name)], package_of(name), path, threads=1)
        answer = one.run(case._replace(repeats=1), name)
        one.close()
        return answer and answer["peak_mb"]

    todo = [(case, name) for case in cases for name in case.implementations]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(todo, pool.map(lambda pair: peak(*pair), todo), strict=True))


def import_times(pythons, rounds=3):
    """{implementation: [(seconds, CPU seconds)]} of a fresh Python that imports what an MD run needs."""
    here = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import speed_packages; "
    code = {
        "ours": "import tpainn_lite; tpainn_lite.PotentialCalculator",
        "schnetpack": f"{here} speed_packages.import_schnetpack().interfaces.SpkCalculator",
        "graph_pes": "from graph_pes.models import PaiNN; from graph_pes.utils.calculator import GraphPESCalculator",
    }
    seconds = {name: [] for name in pythons}
    for _ in range(rounds):
        for name in pythons:
            started, before = time.perf_counter(), _cpu_of_children()
            subprocess.run([pythons[name], "-W", "ignore", "-c", code[name]], check=True, cwd=ROOT)
            seconds[name].append((time.perf_counter() - started, _cpu_of_children() - before))
    return seconds


def _cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def make_peer(package, python):
    """Make the environment of a peer in ``.peers/`` where it is missing."""
    import torch

    folder = Path(python).parents[1]
    print(f"Making {folder}: {PEERS[package]}, torch {torch.__version__}, some minutes, 1.5 GB ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [python, "-m", "pip", "install", "--quiet"]
    if subprocess.run([*pip, f"torch=={torch.__version__}"]).returncode:
        subprocess.run([*pip, f"torch=={torch.__version__.split('+')[0]}"], check=True)
    for words in PEER_PACKAGES[package]:
        subprocess.run([*pip, f"torch=={torch.__version__}", f"numpy=={np.__version__}", *words.split()], check=True)


def labelling_rows(rounds=5, n=1000):
    """Seconds for classical labels of ``n`` frames: ours, and a loop over ASE's calculator calls."""
    from tpainn_lite import label, mmff94, molecule, normal_mode_frames

    frames, teacher = normal_mode_frames(molecule("CCO"), mmff94(), 300, n), mmff94()

    def ase_alone():
        for atoms in frames:
            atoms.calc = teacher
            atoms.get_potential_energy(), atoms.get_forces()

    ways, found = {NAMES["ours"]: lambda: label(frames, teacher, progress=False), "ASE, one by one": ase_alone}, {}
    for k in range(rounds + 1):
        for name, way in ways.items():
            started, before = time.perf_counter(), time.process_time()
            way()
            if k:
                found.setdefault(name, []).append((time.perf_counter() - started, time.process_time() - before))
    row = {"case": "labelling", "system": f"{n} frames", "n_atoms": 9, "threads": 1, "device": "cpu", "peak_mb": None}
    return [{**row, "implementation": name, **summary(values)} for name, values in found.items()]


def growth_rows(rows, frames):
    """From the smallest box to the largest: times the linear growth, and kB of memory for each further pair."""
    from tpainn_lite.model.graph import to_graph

    pairs = {f.info["system"]: to_graph(f, CUTOFF).edge_index.shape[1] for f in frames if "system" in f.info}
    steps = {(r["implementation"], r["system"]): r for r in rows if r["case"] == "MD step" and r["threads"] == 1}
    for name in dict.fromkeys(implementation for implementation, _ in steps):
        if not all((name, system) in steps for system in ("64 H2O", "4096 H2O")):
            continue
        small, large = steps[name, "64 H2O"], steps[name, "4096 H2O"]
        if large["peak_mb"] is None:
            continue
        linear = large["seconds"] / small["seconds"] * small["n_atoms"] / large["n_atoms"]
        more = 1000 * (large["peak_mb"] - small["peak_mb"]) / (pairs["4096 H2O"] - pairs["64 H2O"])
        row = {"case": "growth", "system": "64 to 4096 H2O", "n_atoms": large["n_atoms"], "threads": 1, "device": "cpu"}
        yield {**row, "implementation": name, "times_linear": round(linear, 3), "kb_per_pair": round(more, 2)}


# --- the machine's own limit ---


def machine_rates(threads):
    """Measured GFLOP/s of a float32 matrix product, and GB/s of copying memory (read and written)."""
    import torch

    torch.set_num_threads(threads)
    a, big = torch.rand(1536, 1536), torch.rand(50_000_000)
    target = torch.empty_like(big)
    product = min(_seconds(lambda: a @ a) for _ in range(5))
    copy = min(_seconds(lambda: target.copy_(big)) for _ in range(5))
    return {"gflop_per_s": 2e-9 * 1536**3 / product, "gb_per_s": 2e-9 * big.nbytes / copy}


def _seconds(once):
    started = time.perf_counter()
    once()
    return time.perf_counter() - started


def counted_operations(box):
    """GFLOP and MB of energy and forces of a box: the networks of each atom, and the loops over pairs.

    Networks: 2 per weight and row, forward and back.  Loops: for each direction of a pair and each feature, with
    filters of cubic pieces, 34 forward and 77 back; 21 and 46 in the first round, in which no atom has vectors.  (The
    loops in `listening.py` interpolate once for both directions, and need a quarter less.)  MB: every pair's index,
    distance and direction read in each round, forward and back; every atom's scalars, vectors and filters' inputs
    written and read.
    """
    from tpainn_lite.model.graph import to_graph

    f, rounds, pairs = SIZE["n_features"], SIZE["n_interactions"], to_graph(box, CUTOFF).edge_index.shape[1]
    phi, mixing = 4 * f * f - f * f / rounds, 3 * 2 * f * f + 5 * f * f  # weights × rows per atom and round
    networks = 2 * 2 * len(box) * (rounds * (phi + mixing) + f * f / 2)
    loops = pairs * f * ((rounds - 1) * (34 + 77) + 21 + 46)
    moved = 2 * rounds * (pairs * (8 + 4 + 12) + 2 * len(box) * 7 * f * 4)  # bytes
    return {"networks_gflop": 1e-9 * networks, "loops_gflop": 1e-9 * loops, "megabytes": 1e-6 * moved, "pairs": pairs}


def machine_rows(threads):
    """What the counted operations of 64 H2O would take at the measured rates, the slower of arithmetic and memory."""
    from tpainn_lite import water_box

    rates, counted = machine_rates(threads), counted_operations(water_box(64, DENSITY))
    seconds = max(
        (counted["networks_gflop"] + counted["loops_gflop"]) / rates["gflop_per_s"],
        1e-3 * counted["megabytes"] / rates["gb_per_s"],
    )
    row = {"case": "energy + forces", "system": "64 H2O", "n_atoms": 192, "threads": threads, "device": "cpu"}
    numbers = {name: round(value, 4) for name, value in {**rates, **counted}.items()}
    return {**row, "implementation": "machine's limit", "seconds": round(seconds, 6), **numbers}


# --- results ---


def summary(values):
    """Medians of (seconds, CPU seconds) pairs, and the fastest."""
    wall, of_cpu = zip(*values, strict=True)
    numbers = {"seconds": statistics.median(wall), "cpu_seconds": statistics.median(of_cpu), "fastest": min(wall)}
    return {name: round(value, 5) for name, value in numbers.items()}


def rows_of(found, peaks, sizes, threads):
    """Flat rows of results."""
    rows = []
    for (case, name), values in found.items():
        row = {"case": case.case, "system": case.system, "n_atoms": sizes[case.system], "threads": threads}
        peak = peaks.get((case, name))
        row |= {"device": "cpu", "implementation": NAMES[name], **summary(values), "peak_mb": peak and round(peak)}
        rows.append(row)
    return rows


def versions_of_peers(pythons):
    """{package: version} in the other environments."""
    found = {}
    for name, package in {"schnetpack": "schnetpack", "graph_pes": "graph-pes"}.items():
        code = f"import importlib.metadata as m; print(m.version('{package}'), m.version('torch'))"
        answer = subprocess.run([pythons[name], "-c", code], capture_output=True, check=True, text=True).stdout.split()
        found |= {package: answer[0], f"torch of {package}": answer[1]}
    return found


def processor():
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def print_table(rows):
    """One line per case and thread count, with the ratio of each to ours."""
    head = f"{'case':<16} {'system':<13} {'threads':>7} {'implementation':<28}"
    print(f"{head} {'ms':>9} {'CPU ms':>9} {'ours':>7} {'MB':>6}")
    key = lambda row: (row["case"], row["system"], row["threads"])  # noqa: E731
    timed = [row for row in rows if "seconds" in row]
    ours = {key(row): row["seconds"] for row in timed if row["implementation"] == NAMES["ours"]}
    for row in sorted(timed, key=lambda row: (row["threads"], row["case"], row["n_atoms"], row["seconds"])):
        name = f"{row['case']:<16} {row['system']:<13} {row['threads']:>7} {row['implementation']:<28}"
        times = row["seconds"] / ours[key(row)]
        print(f"{name} {1e3 * row['seconds']:>9.1f} {1e3 * row.get('cpu_seconds', 0):>9.1f}", end="")
        print(f" {times:>6.2f}× {row.get('peak_mb') or '–':>6}")
    for row in rows:
        if row["case"] == "growth":
            words = f"{row['times_linear']:.2f} × linear, {row['kb_per_pair']:.2f} kB a pair"
            print(f"growth, {row['system']}: {row['implementation']:<28} {words}")


def main():
    from ase.io import write
    from results import save_results

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--all", action="store_true", help="SchNetPack's step of the largest box too")
    parser.add_argument("--quick", action="store_true", help="without the largest box")
    arguments = parser.parse_args()
    started, pythons = time.time(), {"ours": sys.executable}
    for package in PEERS:
        pythons[package] = str(ROOT / ".peers" / package / "bin" / "python")
        if not Path(pythons[package]).exists():
            make_peer(package, pythons[package])
    cases = [*CASES, LONGEST] if arguments.all else CASES
    cases = [case for case in cases if not (arguments.quick and case.system == "4096 H2O")]
    frames = structures(cases)
    sizes = {frame.info["system"]: len(frame) for frame in frames if "system" in frame.info}
    sizes["32 molecules"] = sum(len(frame) for frame in frames if "system" not in frame.info)
    with tempfile.TemporaryDirectory() as folder:
        path, rows = Path(folder) / "structures.extxyz", []
        write(path, frames, format="extxyz")
        peaks = peak_memory(pythons, path, [case for case in cases if case.memory])
        for threads in arguments.threads:
            chosen = [case for case in cases if threads == 1 or case.system not in LARGE]
            rows += rows_of(measure(pythons, path, chosen, threads), peaks, sizes, threads)
            rows.append(machine_rows(threads))
    rows += [*growth_rows(rows, frames), *labelling_rows()]
    for name, seconds in import_times(pythons).items():
        row = {"case": "import", "system": "package", "n_atoms": 0, "threads": 1, "device": "cpu", "peak_mb": None}
        rows.append({**row, **summary(seconds), "implementation": NAMES[name]})
    command, spent = " ".join(["python benchmarks/speed.py", *sys.argv[1:]]), time.time() - started
    more = {"peers": versions_of_peers(pythons), "processor": processor()}
    if not arguments.quick:
        save_results("speed", rows, command, spent, OWN_PACKAGES, max(arguments.threads), **more)
    print_table(rows)


if __name__ == "__main__":
    main()
