"""What a GPU does with our PaiNN: does it agree with the CPU, and how fast is it?

    python benchmarks/gpu.py                          # under five minutes; writes data/results/gpu.json
    python benchmarks/gpu.py --device cpu --quick     # the same, smaller, in seconds; prints, and writes nothing

The networks are the shipped ones (64 features, 3 interactions, 5 Å), in float32 unless a row says otherwise.

| case          | system            | what is measured                                                               |
|---------------|-------------------|--------------------------------------------------------------------------------|
| agreement     | 64 H2O            | energy, forces and stress, compared with `painn.py` in float64 on the CPU      |
| agreement     | 32 molecules      | the slopes of one training step by all weights, compared likewise              |
| MD step       | 64, 4096 H2O      | one step of ASE's velocity Verlet, 0.5 fs, neighbour list included             |
| training step | 32 molecules      | loss of energies and forces, its gradient, AdamW; the batch ready-made         |
| many          | 4096 molecules    | one step of Langevin MD of all of them with torch-sim, in batches that fit     |

SchNetPack's training step is timed on the same card where ``.peers/schnetpack`` (made by `speed.py`) or this Python has
it; with torch for CUDA there, too.  The exit code is 1 where the numbers do not agree.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from speed_packages import SKIN, SchNetPack, _dynamics, labels, loss

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / ".peers" / "schnetpack" / "bin" / "python"
PACKAGES = ("torch", "ase", "numpy", "vesin")
LIMITS = {  # how far from `painn.py` in float64: meV/atom, meV/Å, GPa, and a fraction of the length of all slopes
    "float32": {"energy": 0.1, "forces": 1.0, "stress": 0.01, "slopes": 1e-3},
    "float64": {"energy": 1e-5, "forces": 1e-5, "stress": 1e-7, "slopes": 1e-7},
}
PEER_SECONDS = 90  # for SchNetPack, its import included


def seconds_of(step, device, budget):
    """Of one step, as often as it fits into so many seconds, after some for warming up; and how many steps."""
    for _ in range(3):
        step()
    _settled(device)
    n, started = 0, time.perf_counter()
    while n < 3 or time.perf_counter() - started < budget:
        step()
        n += 1
        if n % 10 == 0:
            _settled(device)  # a GPU has only been asked so far
    _settled(device)
    return (time.perf_counter() - started) / n, n


def _settled(device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


# --- does it agree? ---


def on(potential, device, dtype):
    """A copy of a potential, elsewhere and in another precision."""
    return deepcopy(potential).to(device=device, dtype=dtype)


def answers(potential, box, fast=None):
    """Energy per atom (meV), forces (meV/Å) and stress (GPa) of a box."""
    from ase.units import GPa

    from tpainn_lite import PotentialCalculator

    calculator = PotentialCalculator(potential, fast=fast)
    energy, forces, stress = (calculator.get_property(name, box) for name in ("energy", "forces", "stress"))
    return {"energy": 1e3 * energy / len(box), "forces": 1e3 * forces, "stress": stress / GPa}


def training(potential, molecules):
    """A function that gives the loss of a batch of these molecules, of which slopes can be taken."""
    from tpainn_lite.model.flat import FlatGraphs
    from tpainn_lite.model.graph import graphs_of
    from tpainn_lite.train.steps import Exact

    engine = Exact(potential, potential.device)
    batch = engine.joined(FlatGraphs(graphs_of(molecules, potential.cutoff, potential.dtype)))(range(len(molecules)))
    energy, forces, n_atoms = (each.to(potential.device, potential.dtype) for each in labels(molecules))

    def loss_now():
        output = engine.outputs(batch, True, differentiable=True)
        interaction = output["interaction_energy"]
        return loss(interaction - energy.to(interaction.dtype), output["forces"] - forces, n_atoms)

    return loss_now


def slopes(potential, molecules):
    """Of the loss by all weights, in one row."""
    loss_now = training(potential, molecules)
    weights = [weight for weight in potential.painn.parameters() if weight.requires_grad]
    found = torch.autograd.grad(loss_now(), weights, allow_unused=True)
    return np.concatenate([s.detach().cpu().double().numpy().ravel() for s in found if s is not None])


def agreement_rows(box, molecules, potentials, device):
    """How far the device is from `painn.py` in float64 on the CPU."""
    water, gas = potentials
    exact = answers(on(water, "cpu", torch.float64), box, fast=False)
    exact_slopes = slopes(on(gas, "cpu", torch.float64), molecules)
    for dtype in (torch.float32, torch.float64):
        there = answers(on(water, device, dtype), box)
        off = {name: float(np.abs(there[name] - value).max()) for name, value in exact.items()}
        there_slopes = slopes(on(gas, device, dtype), molecules)
        off["slopes"] = float(np.linalg.norm(there_slopes - exact_slopes) / np.linalg.norm(exact_slopes))
        name = str(dtype).removeprefix("torch.")
        agrees = all(off[what] <= limit for what, limit in LIMITS[name].items())
        row = {"case": "agreement", "system": f"{len(box) // 3} H2O, {len(molecules)} molecules", "n_atoms": len(box)}
        yield {**row, "precision": name, "agrees": agrees, **{f"off_{what}": value for what, value in off.items()}}


# --- how fast is it? ---


def md_rows(boxes, water, device, budget):
    """Steps of velocity Verlet."""
    from tpainn_lite import PotentialCalculator

    for box in boxes:
        dynamics = _dynamics(box, PotentialCalculator(on(water, device, torch.float32), skin=SKIN))
        seconds, n = seconds_of(lambda dynamics=dynamics: dynamics.run(1), device, budget)
        row = {"case": "MD step", "system": box.info["system"], "n_atoms": len(box), "implementation": "tpainn_lite"}
        yield {**row, "seconds": seconds, "steps": n}


def training_rows(molecules, gas, device, budget):
    """Training steps, ours and SchNetPack's."""
    trained = on(gas, device, torch.float32)
    loss_now, optimiser = training(trained, molecules), torch.optim.AdamW(trained.painn.parameters(), lr=1e-6)

    def step():
        optimiser.zero_grad()
        loss_now().backward()
        optimiser.step()

    seconds, n = seconds_of(step, device, budget)
    row = {"case": "training step", "system": f"{len(molecules)} molecules", "n_atoms": sum(map(len, molecules))}
    yield {**row, "implementation": "tpainn_lite, painn.py", "seconds": seconds, "steps": n}
    found = schnetpack_there(molecules, device, budget)
    if found:
        yield {**row, **found}


def schnetpack_there(molecules, device, budget):
    """SchNetPack's row, from a process of its own; None, and a line that says why, where there is none."""
    from ase.io import write

    here = importlib.util.find_spec("schnetpack") is not None
    python = str(PEER) if PEER.exists() else sys.executable
    if not here and not PEER.exists():
        return print(
            "SchNetPack is not on this machine: python benchmarks/speed.py makes .peers/schnetpack from the net"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "molecules.extxyz"
        write(path, molecules, format="extxyz")
        command = [python, "-W", "ignore", __file__, "--schnetpack", path, "--device", device, "--seconds", str(budget)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_SECONDS, check=True)
            return json.loads(done.stdout.splitlines()[-1])
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
            return print(f"SchNetPack did not run on {device}: {' '.join(map(str, why))}")


def schnetpack_row(path, device, budget):
    """In the other process: SchNetPack's training step, all of it on the device."""
    from importlib.metadata import version

    from ase.io import read

    molecules = read(path, ":", format="extxyz")
    done = SchNetPack({"64 H2O": molecules[0]}, molecules)
    done.trained.to(device)
    done.batch = {name: value.to(device) for name, value in done.batch.items()}
    done.labels = tuple(each.to(device) for each in done.labels)
    seconds, n = seconds_of(done.training_step(None), device, budget)
    return {"implementation": f"SchNetPack {version('schnetpack')}", "seconds": seconds, "steps": n}


def many_rows(molecules, gas, device, copies, n_steps):
    """A step of Langevin MD of many molecules, in batches that the memory holds."""
    if importlib.util.find_spec("torch_sim") is None:
        return print("torch-sim is not on this machine: pip install 'tpainn_lite[batched]'")
    from tpainn_lite.simulate.many import run_many

    frames, potential, took = molecules * copies, on(gas, device, torch.float32), []
    settings = {"timestep": 0.25, "temperature": 300, "stop_when_broken": False}
    for n in (1, 1, 1 + n_steps):  # for warming up; all but the steps; all
        started, batches = time.perf_counter(), []
        run_many(frames, potential, n_steps=n, every=n, **settings, watch=batches.append)
        _settled(device)
        took.append(time.perf_counter() - started)
    row = {"case": "many", "system": f"{len(frames)} molecules", "n_atoms": sum(map(len, frames))}
    row |= {"implementation": "tpainn_lite, torch-sim", "seconds": (took[2] - took[1]) / n_steps, "steps": n_steps}
    yield {**row, "batches": len(batches), "seconds_before": took[1]}


# --- all of it ---


def rows_of(device, quick):
    """Every row, as it comes."""
    from speed import DENSITY, labelled_molecules

    from tpainn_lite import load_pretrained, water_box

    sizes, budget = ((8, 27), 0.2) if quick else ((64, 4096), 15)
    boxes = [water_box(n, DENSITY) for n in sizes]
    for box, n in zip(boxes, sizes, strict=True):
        box.info["system"] = f"{n} H2O"
    molecules = labelled_molecules()[: 4 if quick else None]
    water, gas = load_pretrained("water"), load_pretrained("gas")
    yield from agreement_rows(boxes[-1] if quick else boxes[0], molecules, (water, gas), device)
    yield from training_rows(molecules, gas, device, budget)
    yield from many_rows(molecules, gas, device, *((2, 20) if quick else (128, 20)))
    yield from md_rows(boxes, water, device, budget)


def said(row):
    """A row, as it is printed."""
    head = f"{row['case']:<14} {row['system']:<22} "
    if row["case"] == "agreement":
        off = ", ".join(f"{name.removeprefix('off_')} {v:.1e}" for name, v in row.items() if name.startswith("off_"))
        return f"{head}{row['precision']}: {'agrees' if row['agrees'] else 'DIFFERS'}, off by {off}"
    times = f"{1e3 * row['seconds']:.2f} ms, {1 / row['seconds']:.1f} steps/s"
    batches = f", {row['batches']} batches" if "batches" in row else ""
    return f"{head}{row['implementation']:<24} {times} ({row['steps']} steps{batches})"


def main():
    """The whole table; or, in another Python, SchNetPack's part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda unless given")
    parser.add_argument("--quick", action="store_true", help="small systems, in seconds; writes nothing")
    parser.add_argument("--schnetpack", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=1.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.schnetpack:
        return print(json.dumps(schnetpack_row(arguments.schnetpack, arguments.device, arguments.seconds)))
    is_gpu = torch.device(arguments.device).type == "cuda"
    if is_gpu and not torch.cuda.is_available():
        raise SystemExit("there is no GPU that torch can use here: --device cpu is expected, or torch for CUDA")
    started, rows = time.time(), []
    name = torch.cuda.get_device_name(arguments.device) if is_gpu else "cpu"
    for row in rows_of(arguments.device, arguments.quick):
        rows.append({**row, "device": name})
        print(said(row), flush=True)
    if is_gpu and not arguments.quick:
        from results import save_results

        save_results("gpu", rows, "python benchmarks/gpu.py", time.time() - started, PACKAGES, gpu=name)
    print(f"{time.time() - started:.0f} s on {name}")
    raise SystemExit(0 if all(row.get("agrees", True) for row in rows) else 1)


if __name__ == "__main__":
    main()
