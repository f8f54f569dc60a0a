"""The library from the command line: ``tpainn label --help``.  Thin: each command is one function of the library.

What is not given stays out of the call, so that the library's own defaults hold, here as in a notebook.
"""

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tpainn_lite.cli.checking import Trust, believed, check
from tpainn_lite.cli.errors import one_line
from tpainn_lite.cli.export import export
from tpainn_lite.cli.inputs import (
    BY_PYSCF,
    Ensemble,
    FramesOf,
    TeacherName,
    calculator,
    calculator_of,
    check_checkpoint,
    check_seed,
    check_shaking,
    check_source,
    check_teacher,
    check_weights,
    check_weights_target,
    elements_of,
    given,
    has_pyscf,
    name_unseen,
    start_of,
    weights_of,
    workers,
)
from tpainn_lite.cli.notes import say, tell
from tpainn_lite.cli.teaching import receipts, regrade
from tpainn_lite.structures.files import check_folder, check_target, is_weights, save_somewhere

SHIPPED = "gas, gas_mean, gas_xtb, gas_wide, gas_wide_xtb, water, water_xtb or water_iamoeba"  # their module is slow
EnergyKey = Annotated[str | None, typer.Option(help="name of the energies in the file, where there is a choice")]
ForcesKey = Annotated[str | None, typer.Option(help="name of the forces")]
StressKey = Annotated[str | None, typer.Option(help="name of the stress, or of the virial")]
Scheduler = Annotated[
    str | None, typer.Option(help="a Dask scheduler, tcp://host:port or its file: its workers do it, not --jobs")
]
Units = Annotated[
    str | None, typer.Option(help="Hartree,Bohr, or energy=kcal/mol,forces=-kcal/mol/Å,…; eV, Å unless given")
]
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Transfer learning for machine-learned interatomic potentials."""


@app.command()
@one_line(resumes=True)
def label(
    source: Annotated[Path, typer.Argument(help="SMILES (.smi, .csv, .tsv) or structures (.extxyz, .xyz, …)")],
    target: Annotated[Path, typer.Argument(help="labelled frames: .extxyz or .extxyz.xz; must not exist yet")],
    teacher: Annotated[TeacherName, typer.Option("--with", help="auto: what suits each molecule")] = TeacherName.auto,
    frames: Annotated[int, typer.Option(help="of each SMILES, shaken along its normal modes")] = 10,
    hottest: Annotated[float, typer.Option(help="K; they are shaken at 300 K to so many")] = 1000.0,
    seed: Annotated[int, typer.Option(help="of shapes and shaking")] = 0,
    jobs: Annotated[int, typer.Option(help="processes; -1: one for each core")] = 2,
    scheduler: Scheduler = None,
    units: Units = None,
) -> None:
    """Label structures, or shaken molecules made from SMILES.  Interrupted? The same command resumes it.

    Where molecules or frames had to be left out, the others are written, and the exit code is 1.
    """
    from tpainn_lite.teachers.label_files import SUFFIXES, label_file
    from tpainn_lite.teachers.parallel import check_jobs

    check_source(source)
    check_target(target, [source], SUFFIXES)
    check_shaking(frames, hottest, seed)
    check_jobs(jobs)
    check_teacher(teacher)
    structures, levels = FramesOf(source, frames, hottest, seed, units), Counter[str]()
    todo = iter(structures)
    first = next(todo, None)
    if first is None:
        raise ValueError(f"no frames to label: {source} holds no structure, nor a SMILES of which one could be made")
    with workers(jobs, scheduler) as crew:
        n = label_file(itertools.chain([first], todo), calculator(teacher), target, crew, levels=levels)
    by = ", ".join(f"{level} for {count}" for level, count in levels.most_common())
    typer.echo(f"{n} labelled frames in {target}" + (f": {by}" if len(levels) > 1 else ""))
    if missing := structures.missing(n):
        say(f"tpainn label: {source.name}: left out: {missing}; the others are in {target}")
        raise typer.Exit(1)


@app.command()
@one_line(resumes="checkpoint")
def pretrain(
    source: Annotated[Path, typer.Argument(help="labelled frames: .extxyz or .extxyz.xz")],
    target: Annotated[Path, typer.Argument(help="weights to write: .safetensors")],
    valid: Annotated[Path | None, typer.Option(help="labelled frames that decide which weights are best")] = None,
    steps: Annotated[int | None, typer.Option(help="3000 unless given")] = None,
    batch_size: Annotated[int | None, typer.Option(help="frames per step, on all devices; 16 unless given")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="0.005 unless given")] = None,
    force_weight: Annotated[float | None, typer.Option(help="1 unless given; 0 for frames without forces")] = None,
    features: Annotated[int | None, typer.Option(help="width of the network; 64 unless given")] = None,
    interactions: Annotated[int | None, typer.Option(help="3 unless given")] = None,
    cutoff: Annotated[float | None, typer.Option(help="Å; 5 unless given")] = None,
    check_every: Annotated[int | None, typer.Option(help="steps between two lines of the history")] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="folder; the same command resumes from there")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto (unless given), cpu or gpu")] = None,
    devices: Annotated[int | None, typer.Option(help="GPUs, or processes on CPUs, of each machine; 1")] = None,
    nodes: Annotated[int | None, typer.Option(help="machines; 1")] = None,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    units: Units = None,
    trust: Trust = False,
) -> None:
    """Train PaiNN on labelled frames: on a CPU, a GPU, or several of them on several machines."""
    check_weights_target(target, source, valid)
    check_source(source, valid)
    check_checkpoint(checkpoint, target)
    check_seed(seed)
    from tpainn_lite.train import training, transfer

    stay_within_cores()
    settings = given(
        steps=steps, batch_size=batch_size, learning_rate=learning_rate, n_features=features, cutoff=cutoff, seed=seed,
        n_interactions=interactions, check_every=check_every, checkpoint=checkpoint, accelerator=accelerator,
        devices=devices, nodes=nodes, force_weight=force_weight,
    )  # fmt: skip
    keys = given(energy_key=energy_key, forces_key=forces_key, stress_key=stress_key, units=units)
    train, held_out = (believed(path, trust, **keys) if path else None for path in (source, valid))
    tell()
    potential = transfer.pretrain(train or [], held_out, **settings)
    if training.is_first_process():
        save_somewhere(potential.save, target, is_weights)
        typer.echo(f"weights in {target}")


@app.command()
@one_line(resumes="checkpoint")
def autotune(
    weights: Annotated[Path, typer.Argument(help=f"pretrained: .safetensors, or {SHIPPED}")],
    source: Annotated[Path, typer.Argument(help="frames labelled by DFT: .extxyz or .extxyz.xz")],
    target: Annotated[Path, typer.Argument(help="new weights: .safetensors")],
    valid: Annotated[Path | None, typer.Option(help="labelled frames that decide which weights are best")] = None,
    steps: Annotated[int | None, typer.Option(help="four for each frame, 200 to 3000, unless given")] = None,
    batch_size: Annotated[int | None, typer.Option(help="10 unless given")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="0.002 unless given")] = None,
    force_weight: Annotated[float | None, typer.Option(help="1 unless given; 0 for frames without forces")] = None,
    freeze: Annotated[list[str] | None, typer.Option(help="part of the network to leave as it is; repeatable")] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="each round away from the readout learns so much slower; 1 unless given")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="classical frames that are not to be forgotten")] = None,
    new_element: Annotated[
        list[str] | None, typer.Option(help="Se=S: an element that the weights do not know begins as one; repeatable")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="folder; the same command resumes from there")] = None,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    units: Units = None,
    trust: Trust = False,
) -> None:
    """Go on with few DFT labels: reference energies in closed form, then all weights, gently."""
    check_weights_target(target, weights, source, valid, replay)
    check_source(source, valid, replay)
    check_weights(weights)
    check_checkpoint(checkpoint, target)
    check_seed(seed)
    new_elements = elements_of(new_element or [])
    from tpainn_lite.model.references import with_elements
    from tpainn_lite.train import transfer

    stay_within_cores()
    settings = given(
        steps=steps, batch_size=batch_size, learning_rate=learning_rate, force_weight=force_weight,
        freeze=freeze or None, layer_decay=layer_decay, checkpoint=checkpoint, seed=seed,
    )  # fmt: skip
    keys = given(energy_key=energy_key, forces_key=forces_key, stress_key=stress_key, units=units)
    potential = weights_of(weights)
    grown = with_elements(potential, new_elements)
    train, held_out = (believed(path, trust, grown, **keys) if path else None for path in (source, valid))
    again = believed(replay, trust, grown) if replay else None
    tell()
    settings |= given(replay=again, new_elements=new_elements or None)
    tuned = transfer.autotune(potential, train or [], held_out, **settings)
    save_somewhere(tuned.save, target, is_weights)
    typer.echo(f"weights in {target}")


@app.command()
@one_line()
def evaluate(
    weights: Annotated[Path, typer.Argument(help=f"weights: .safetensors, or {SHIPPED}")],
    source: Annotated[Path, typer.Argument(help="labelled frames that were never trained on")],
    report: Annotated[Path | None, typer.Option(help="parity plots as .html, the numbers beside them as .json")] = None,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    units: Units = None,
    trust: Trust = False,
) -> None:
    """Errors on labelled frames, by kind of frame."""
    check_source(source)
    check_weights(weights)
    from tpainn_lite.show import report as reports

    stay_within_cores()
    reports.check_report(report, [weights, source])
    keys = given(energy_key=energy_key, forces_key=forces_key, stress_key=stress_key, units=units)
    potential = weights_of(weights)
    typer.echo(reports.evaluate(potential, believed(source, trust, potential, **keys), report))


@app.command()
@one_line(resumes=True)
def md(
    weights: Annotated[list[Path], typer.Argument(help="weights, one file or a committee's; then a structure or .smi")],
    target: Annotated[Path, typer.Argument(help="trajectory to write: .traj; the same command resumes it")],
    ensemble: Annotated[
        Ensemble | None, typer.Option(help="nvt (Langevin) unless given; nvt-nh: for diffusion")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="K; 300 unless given")] = None,
    pressure: Annotated[float | None, typer.Option(help="bar, of npt; 1 unless given")] = None,
    timestep: Annotated[float | None, typer.Option(help="fs; 0.5 unless given")] = None,
    steps: Annotated[int | None, typer.Option(help="1000 unless given")] = None,
    every: Annotated[int | None, typer.Option(help="steps between frames that are kept; 10 unless given")] = None,
    friction: Annotated[float | None, typer.Option(help="1/ps, of nvt; 10 unless given")] = None,
    max_disagreement: Annotated[float | None, typer.Option(help="eV/Å: stop where a committee's forces differ")] = None,
    seed: Annotated[int | None, typer.Option(help="of the velocities; 0 unless given")] = None,
    units: Units = None,
) -> None:
    """Molecular dynamics with guards that stop what has gone wrong.  Interrupted? The same command resumes it."""
    from tpainn_lite.simulate.md import check_path, run_md

    *weights, start = weights
    if not weights:
        raise ValueError("two files at least are expected before the trajectory: weights and a structure")
    if max_disagreement is not None and len(weights) < 2:
        raise ValueError("--max-disagreement needs a committee: the weights of two potentials or more")
    check_weights(*weights)
    check_seed(seed)
    atoms = start_of(start, units)
    name_unseen(weights, atoms)
    check_target(target, [*weights, start], (".traj",), lambda _: True)
    check_path(target)  # whether what is there may be gone on with
    stay_within_cores()
    settings = given(
        ensemble=ensemble and str(ensemble), temperature=temperature, pressure=pressure, friction=friction, seed=seed,
        timestep=timestep, n_steps=steps, every=every, max_disagreement=max_disagreement,
    )  # fmt: skip
    tell()
    run = run_md(atoms, calculator_of(weights), path=target, **settings)
    typer.echo(f"{run}; frames in {target}")
    if run.stopped:
        raise typer.Exit(1)


@app.command()
@one_line(resumes=True)
def run(
    source: Annotated[Path, typer.Argument(help="SMILES (.smi, .csv, .tsv) or many structures (.extxyz, …)")],
    folder: Annotated[Path | None, typer.Option(help="keeps every step; the name of the source, unless given")] = None,
    teacher: Annotated[TeacherName, typer.Option("--with", help="who makes the expensive labels")] = TeacherName.b3lyp,
    labels: Annotated[Path | None, typer.Option(help="labels made elsewhere, of the folder's to_label.extxyz")] = None,
    elsewhere: Annotated[bool, typer.Option("--elsewhere", help="choose what to label, and stop there")] = False,
    start: Annotated[
        str | None, typer.Option(help=f"pretrained: {SHIPPED}, or .safetensors; what fits unless given")
    ] = None,
    n_general: Annotated[
        int | None, typer.Option(help="shipped DFT labels that are learnt first; 200 unless given")
    ] = None,
    n_labels: Annotated[int | None, typer.Option(help="to train on, which differ most; 20 unless given")] = None,
    n_test: Annotated[int | None, typer.Option(help="to test on, picked at random; 10 unless given")] = None,
    frames: Annotated[int, typer.Option(help="structures of each SMILES to choose from")] = 100,
    hottest: Annotated[float, typer.Option(help="K; they are shaken at 300 K to so many")] = 1000.0,
    steps: Annotated[int | None, typer.Option(help="of MD, 0.5 fs each; 1000 unless given")] = None,
    seed: Annotated[int, typer.Option(help="of everything that is drawn")] = 0,
    jobs: Annotated[int, typer.Option(help="processes that label; -1: one for each core")] = 2,
    scheduler: Scheduler = None,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    units: Units = None,
    trust: Trust = False,
) -> None:
    """A potential of your own, from structures to MD.  Interrupted? The same command resumes it."""
    if labels and elsewhere:
        raise ValueError("--elsewhere chooses what to label, --labels brings the labels: one of them is expected")
    check_source(source, labels)
    check_shaking(frames, hottest, seed)
    folder = folder or source.with_suffix("")
    check_folder(folder)
    nobody = labels or elsewhere or (teacher in BY_PYSCF and not has_pyscf())
    if not nobody:
        check_teacher(teacher)
    from tpainn_lite.project.run import LabelsWanted, run_project

    stay_within_cores(1)  # molecules are too small for more, and two threads on a busy machine are slower than one
    settings = given(n_labels=n_labels, n_test=n_test, n_steps=steps, start=start, n_general=n_general, seed=seed)
    keys = given(energy_key=energy_key, forces_key=forces_key, stress_key=stress_key, units=units)
    structures = FramesOf(source, frames, hottest, seed, None if labels else units)
    seen = believed(labels, trust, **keys) if labels else None
    try:
        with workers(jobs, scheduler) as crew:
            made_by = None if nobody else calculator(teacher)
            report = run_project(structures.frames, folder, made_by, seen, n_jobs=crew, **settings)
    except LabelsWanted as wanted:
        typer.echo(str(wanted))
        raise typer.Exit(2) from None
    tell()
    for when in ("before", "after"):
        found = report[when]
        typer.echo(f"{when} your labels: {found['energy_mae']:.1f} meV/atom, {found['force_mae']:.0f} meV/Å")
    if structures.left_out:
        say(f"tpainn run: {source.name}: left out: {len(structures.left_out)} SMILES")
    in_doubt = report["structures in doubt"]
    typer.echo(f"{in_doubt} structures in doubt; MD: {report['md']}; all of it in {folder}")


app.command()(one_line()(check))
app.command()(one_line()(export))
app.command()(one_line()(receipts))
app.command()(one_line()(regrade))


def stay_within_cores(at_most: float = math.inf) -> None:
    """No more threads than cores that this process may use: torch counts the machine's, whatever a container allows."""
    import torch

    from tpainn_lite.teachers.parallel import usable_cores

    torch.set_num_threads(int(min(torch.get_num_threads(), usable_cores(), at_most)))


if __name__ == "__main__":
    app()
