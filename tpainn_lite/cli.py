"""The library from the command line: ``tpainn label --help``.  Thin: each command is one function of the library."""

import itertools
import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SMILES_FILES = (".smi", ".csv", ".txt")
SHIPPED = "gas, gas_xtb, water, water_xtb or water_iamoeba"  # recipes, whose module is slow to import
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


class Teacher(StrEnum):
    """Who labels."""

    auto = "auto"
    mmff94 = "mmff94"
    uff = "uff"
    q_tip4p_f = "q-tip4p-f"
    spc_fw = "spc-fw"
    iamoeba = "iamoeba"
    gfn2_xtb = "gfn2-xtb"
    b3lyp = "b3lyp"
    revpbe_d3 = "revpbe-d3"


class Ensemble(StrEnum):
    """What MD holds constant."""

    nve = "nve"
    nvt = "nvt"
    nvt_nh = "nvt-nh"
    npt = "npt"


@app.callback()
def main():
    """Transfer learning for machine-learned interatomic potentials."""


@app.command()
def label(
    source: Annotated[Path, typer.Argument(help="SMILES (.smi, .csv: first column) or structures (.extxyz, .xyz, …)")],
    target: Annotated[Path, typer.Argument(help="labelled frames: .extxyz or .extxyz.xz; must not exist yet")],
    teacher: Annotated[Teacher, typer.Option("--with", help="auto: what suits the first frame")] = Teacher.auto,
    frames: Annotated[int, typer.Option(help="of each SMILES, shaken along its normal modes")] = 10,
    hottest: Annotated[float, typer.Option(help="K; they are shaken at 300 K to so many")] = 1000.0,
    seed: Annotated[int, typer.Option(help="of shapes and shaking")] = 0,
    jobs: Annotated[int, typer.Option(help="processes")] = 2,
):
    """Label structures, or shaken molecules made from SMILES.  Interrupted? The same command goes on."""
    from tpainn_lite.label_files import label_file

    try:
        todo = _frames_of(source, frames, hottest, seed)
        first = next(todo, None)
        todo = itertools.chain([first] if first else [], todo)
        n = label_file(todo, calculator(teacher, first), target, n_jobs=jobs)
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"tpainn label: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{n} labelled frames in {target}")


@app.command()
def pretrain(
    files: Annotated[list[Path], typer.Argument(help="labelled frames (not with --recipe), and weights to write")],
    recipe: Annotated[str | None, typer.Option(help=f"{SHIPPED}: makes the labels too")] = None,
    valid: Annotated[Path | None, typer.Option(help="labelled frames that decide which weights are best")] = None,
    steps: Annotated[int | None, typer.Option(help="3000, or the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="frames per step, on all devices; 32, or the recipe's")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="0.002, or the recipe's")] = None,
    features: Annotated[int, typer.Option(help="width of the network")] = 64,
    interactions: int = 3,
    cutoff: Annotated[float, typer.Option(help="Å")] = 5.0,
    check_every: Annotated[int | None, typer.Option(help="steps between two lines of the history")] = None,
    seed: int = 0,
    checkpoint: Annotated[Path | None, typer.Option(help="folder; the same command goes on from there")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu")] = "auto",
    devices: Annotated[int, typer.Option(help="GPUs, or processes on CPUs, of each machine")] = 1,
    nodes: Annotated[int, typer.Option(help="machines")] = 1,
):
    """Train PaiNN on labelled frames: on a CPU, a GPU, or several of them on several machines."""
    from tpainn_lite import datasets, recipes, training, transfer

    stay_within_cores()
    chosen = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "check_every": check_every}
    settings = {"n_features": features, "n_interactions": interactions, "cutoff": cutoff, "checkpoint": checkpoint}
    settings |= {"accelerator": accelerator, "devices": devices, "nodes": nodes}
    settings |= {name: value for name, value in chosen.items() if value is not None}
    if len(files) != (1 if recipe else 2):
        raise typer.BadParameter("two files are expected, frames and weights; with --recipe one, the weights")
    try:
        check_target(files[-1], *files[:-1], valid)
        if recipe:
            potential = recipes.follow(recipe, seed, **settings)
        else:
            frames, held_out = datasets.read_frames(files[0]), datasets.read_frames(valid) if valid else None
            defaults = {"steps": 3000, "batch_size": 32, "learning_rate": 2e-3, "check_every": 100}
            potential = transfer.pretrain(frames, held_out, seed=seed, **{**defaults, **settings})
    except (ValueError, OSError) as error:
        typer.echo(f"tpainn pretrain: {error}", err=True)
        raise typer.Exit(1) from None
    if training.is_first_process():
        potential.save(files[-1])
        typer.echo(f"weights in {files[-1]}")


@app.command()
def autotune(
    weights: Annotated[Path, typer.Argument(help=f"pretrained: .safetensors, or {SHIPPED}")],
    source: Annotated[Path, typer.Argument(help="frames labelled by DFT: .extxyz or .extxyz.xz")],
    target: Annotated[Path, typer.Argument(help="new weights: .safetensors")],
    valid: Annotated[Path | None, typer.Option(help="labelled frames that decide which weights are best")] = None,
    steps: Annotated[int | None, typer.Option(help="four for each frame, 200 to 3000, unless given")] = None,
    batch_size: Annotated[int | None, typer.Option(help="10 unless given")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="0.002 unless given")] = None,
    force_weight: Annotated[float, typer.Option(help="0 for frames without forces")] = 1.0,
    freeze: Annotated[list[str] | None, typer.Option(help="part of the network to leave as it is; repeatable")] = None,
    layer_decay: Annotated[float, typer.Option(help="each round away from the readout learns so much slower")] = 1.0,
    replay: Annotated[Path | None, typer.Option(help="classical frames that are not to be forgotten")] = None,
    seed: int = 0,
    checkpoint: Annotated[Path | None, typer.Option(help="folder; the same command goes on from there")] = None,
):
    """Go on with few DFT labels: reference energies in closed form, then all weights, gently."""
    from tpainn_lite import datasets, transfer

    stay_within_cores()
    chosen = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    settings = {name: value for name, value in chosen.items() if value is not None}
    settings |= {"force_weight": force_weight, "freeze": freeze or (), "layer_decay": layer_decay}
    settings |= {"checkpoint": checkpoint, "seed": seed}
    need = ("energy", "forces") if force_weight else ("energy",)
    try:
        check_target(target, weights, source, valid, replay)
        frames, held_out = (datasets.read_frames(path, need) if path else None for path in (source, valid))
        again = datasets.read_frames(replay, need) if replay else ()
        tuned = transfer.autotune(weights_of(weights), frames, held_out, replay=again, **settings)
        tuned.save(target)
    except (ValueError, OSError) as error:
        typer.echo(f"tpainn autotune: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"weights in {target}")


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help=f"weights: .safetensors, or {SHIPPED}")],
    source: Annotated[Path, typer.Argument(help="labelled frames that were never trained on")],
    report: Annotated[Path | None, typer.Option(help="parity plots as .html, the numbers beside them as .json")] = None,
):
    """Errors on labelled frames, by kind of frame."""
    from tpainn_lite import datasets, reports

    stay_within_cores()
    try:
        table = reports.evaluate(weights_of(weights), datasets.read_frames(source), report)
    except (ValueError, OSError) as error:
        typer.echo(f"tpainn evaluate: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(table)


@app.command()
def md(
    weights: Annotated[list[Path], typer.Argument(help="weights, one file or a committee's; then a structure or .smi")],
    target: Annotated[Path, typer.Argument(help="trajectory to write: .traj; the same command goes on with it")],
    ensemble: Annotated[Ensemble, typer.Option(help="nvt: Langevin; nvt-nh: for diffusion")] = Ensemble.nvt,
    temperature: Annotated[float, typer.Option(help="K")] = 300.0,
    pressure: Annotated[float, typer.Option(help="bar, of npt")] = 1.0,
    timestep: Annotated[float, typer.Option(help="fs")] = 0.5,
    steps: int = 10_000,
    every: Annotated[int, typer.Option(help="steps between frames that are kept")] = 20,
    friction: Annotated[float, typer.Option(help="1/ps, of nvt")] = 10.0,
    max_disagreement: Annotated[float | None, typer.Option(help="eV/Å: stop where a committee's forces differ")] = None,
    seed: Annotated[int, typer.Option(help="of the velocities")] = 0,
):
    """Molecular dynamics from a structure, with guards that stop what has gone wrong.  Interrupted? It goes on."""
    from tpainn_lite.md import run_md

    stay_within_cores()
    *weights, start = weights
    settings = {"ensemble": str(ensemble), "temperature": temperature, "pressure": pressure, "friction": friction}
    settings |= {"timestep": timestep, "n_steps": steps, "every": every, "max_disagreement": max_disagreement}
    try:
        calculator = calculator_of(weights)
        if max_disagreement is not None and len(weights) < 2:
            raise ValueError("--max-disagreement needs a committee: the weights of two potentials or more")
        run = run_md(_start(start), calculator, path=target, seed=seed, **settings)
    except (ValueError, OSError) as error:
        typer.echo(f"tpainn md: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{run}; frames in {target}")
    if run.stopped:
        raise typer.Exit(1)


@app.command()
def run(
    source: Annotated[Path, typer.Argument(help="SMILES (.smi, .csv: first column) or many structures (.extxyz, …)")],
    folder: Annotated[Path | None, typer.Option(help="keeps every step; the name of the source, unless given")] = None,
    teacher: Annotated[Teacher, typer.Option("--with", help="who makes the dear labels")] = Teacher.b3lyp,
    labels: Annotated[Path | None, typer.Option(help="labels made elsewhere, of the folder's to_label.extxyz")] = None,
    elsewhere: Annotated[bool, typer.Option("--elsewhere", help="choose what to label, and stop there")] = False,
    n_labels: Annotated[int, typer.Option(help="frames to train on, picked by disagreement")] = 20,
    n_test: Annotated[int, typer.Option(help="frames to test on, picked at random")] = 10,
    frames: Annotated[int, typer.Option(help="structures of each SMILES to choose from")] = 100,
    hottest: Annotated[float, typer.Option(help="K; they are shaken at 300 K to so many")] = 1000.0,
    steps: Annotated[int, typer.Option(help="of molecular dynamics, 0.5 fs each")] = 1000,
    seed: int = 0,
    jobs: Annotated[int, typer.Option(help="processes that label")] = 2,
):
    """A potential of your own: structures, what to label, DFT labels, autotuning, errors, MD.  It goes on."""
    from tpainn_lite.project import LabelsWanted, run_project

    stay_within_cores(1)  # molecules are too small for more, and two threads on a busy machine are slower than one
    folder = folder or source.with_suffix("")
    settings = {"n_labels": n_labels, "n_test": n_test, "n_steps": steps, "seed": seed, "n_jobs": jobs}
    try:
        nobody = labels or elsewhere or (teacher == Teacher.b3lyp and not _has_pyscf())
        who = None if nobody else calculator(teacher)
        report = run_project(_frames_of(source, frames, hottest, seed), folder, who, labels, **settings)
    except LabelsWanted as wanted:
        typer.echo(str(wanted))
        raise typer.Exit(2) from None
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"tpainn run: {error}", err=True)
        raise typer.Exit(1) from None
    for when in ("before", "after"):
        found = report[when]
        typer.echo(f"{when} your labels: {found['energy_mae']:.1f} meV/atom, {found['force_mae']:.0f} meV/Å")
    typer.echo(f"{report['structures in doubt']} structures in doubt; MD: {report['md']}; all of it in {folder}")


@app.command()
def receipts(files: Annotated[list[Path], typer.Argument(help="what students handed in: receipt-….json, or folders")]):
    """For teachers: who solved which exercises, by the receipts that were handed in."""
    from tpainn_lite.receipts import receipt_table

    typer.echo(receipt_table(files))


def _has_pyscf():
    from importlib.util import find_spec

    return find_spec("pyscf") is not None


def calculator_of(weights):
    """For MD: of one potential, or of a committee of several."""
    from tpainn_lite.calculator import PotentialCalculator
    from tpainn_lite.committee import Committee

    if not weights:
        raise ValueError("two files at least are expected before the trajectory: weights and a structure")
    potentials = [weights_of(path) for path in weights]
    return PotentialCalculator(potentials[0]) if len(potentials) == 1 else Committee(potentials).calculator()


def calculator(teacher, first=None):
    """The calculator of this name; for "auto" the best classical one for the first frame."""
    from tpainn_lite import classical_water, cp2k, dft, forcefields

    if teacher == Teacher.auto and first is not None:
        return forcefields.forcefield_for(first)
    if teacher == Teacher.gfn2_xtb:
        return forcefields.gfn2_xtb()
    return {
        Teacher.auto: forcefields.mmff94,
        Teacher.mmff94: forcefields.mmff94,
        Teacher.uff: forcefields.uff,
        Teacher.q_tip4p_f: classical_water.water,
        Teacher.spc_fw: lambda: classical_water.water("SPC/Fw"),
        Teacher.iamoeba: lambda: classical_water.water("iAMOEBA"),
        Teacher.b3lyp: dft.PySCFCalculator,
        Teacher.revpbe_d3: cp2k.CP2KCalculator,
    }[teacher]()


def stay_within_cores(at_most=math.inf):
    """No more threads than cores that this process may use: torch counts the machine's, whatever a container allows."""
    import torch

    from tpainn_lite.label_work import usable_cores

    torch.set_num_threads(min(torch.get_num_threads(), usable_cores(), at_most))


def check_target(target, *sources):
    """Raise ValueError where weights would be written over what is read, or under a name that is not theirs."""
    if target.suffix != ".safetensors":
        raise ValueError(f"weights cannot go to {target}: a name that ends in .safetensors is expected")
    if target.resolve() in {source.resolve() for source in sources if source}:
        raise ValueError(f"{target} is read here, and would be overwritten: another name is expected")


def weights_of(name):
    """The potential in a file; for the name of a recipe, where there is no such file, the shipped one."""
    from tpainn_lite import potential, recipes

    if name.is_file():
        return potential.Potential.load(name)
    if str(name) not in recipes.RECIPES:
        raise FileNotFoundError(f"no weights file {name}; a .safetensors or one of {', '.join(recipes.RECIPES)}")
    return recipes.load_pretrained(str(name))


def _frames_of(source, n_frames, hottest, seed):
    """Frames of a file, one after the other."""
    from tpainn_lite.sampling import shaken_molecules

    if not source.exists():
        raise FileNotFoundError(f"no file {source}")
    if source.suffix in SMILES_FILES:
        return shaken_molecules(read_smiles(source), n_frames, (300, hottest), seed)
    return _structures(source)


def _structures(source):
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    try:
        yield from iread(source, index=":")
    except UnknownFileTypeError:
        raise ValueError(
            f"{source} is empty or no structure file that ASE knows; .xyz, .extxyz, .cif, ... or a .smi are expected"
        ) from None


def _start(source):
    """The last structure of a file, or the molecule of its first SMILES."""
    from tpainn_lite.forcefields import molecule

    if not source.exists():
        raise FileNotFoundError(f"no file {source}")
    if source.suffix in SMILES_FILES:
        smiles = read_smiles(source)
        if not smiles:
            raise ValueError(f"{source} holds no SMILES; one in each line is expected")
        return molecule(smiles[0])
    *_, last = _structures(source)
    return last


def read_smiles(source):
    """The first word of every line, up to a comma; empty lines, comments and a head that says "smiles" are left out."""
    lines = (line.strip() for line in source.read_text(encoding="utf-8").splitlines())
    words = [line.split(",")[0].split()[0] for line in lines if line and not line.startswith("#")]
    return list(dict.fromkeys(word for word in words if word.lower() != "smiles"))


if __name__ == "__main__":
    app()
