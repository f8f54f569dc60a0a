"""``tpainn export``: a potential for OpenMM, i-PI, torch-sim, metatomic or LAMMPS."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tpainn_lite.cli.inputs import check_source, check_weights, start_of, weights_of


class EngineName(StrEnum):
    """Who runs the potential."""

    openmm = "openmm"
    ipi = "ipi"
    torch_sim = "torch-sim"
    metatomic = "metatomic"
    lammps = "lammps"


def export(
    weights: Annotated[Path, typer.Argument(help="weights: .safetensors, or the name of shipped ones")],
    to: Annotated[EngineName, typer.Option("--to", help="the program that is to run it")],
    folder: Annotated[Path | None, typer.Option(help="for all its files; WEIGHTS_for_PROGRAM unless given")] = None,
    start: Annotated[Path | None, typer.Option(help="structure or .smi to begin with; small, unless given")] = None,
    check: Annotated[bool, typer.Option(help="compare with ours, where the program is installed")] = True,
) -> None:
    """A folder from which another program runs this potential, and proof that it computes the same there."""
    check_weights(weights)
    if start is not None:
        check_source(start)
    from tpainn_lite.engines.export import export as write

    potential = weights_of(weights)
    folder = folder or Path(f"{weights.stem}_for_{to.value.replace('-', '_')}")
    proof = write(potential, str(to), folder, start_of(start) if start is not None else None, check)
    typer.echo(f"{proof}; all of it in {folder}")
