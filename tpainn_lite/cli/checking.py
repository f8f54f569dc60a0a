"""Labels that come from elsewhere are tested before anything is made of them; ``tpainn check`` does nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ase import Atoms

from tpainn_lite.cli.inputs import check_source, check_weights, given, labelled, weights_of
from tpainn_lite.cli.notes import say
from tpainn_lite.reading.frames import write_frames
from tpainn_lite.reading.oddities import MIXTURE, REFUSED, unwrapped
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.files import check_target

if TYPE_CHECKING:
    from tpainn_lite.model.check import DataCheck
    from tpainn_lite.model.potential import Potential

Trust = Annotated[bool, typer.Option("--trust", help="take labels and lengths as they are, whatever the check says")]
SUFFIXES = (".extxyz", ".extxyz.xz")


def believed(path: Path, trust: bool = False, potential: "Potential | None" = None, **how: str) -> list[Atoms]:
    """Labelled frames of a file, as of `labelled`; what is odd about them is said, and what cannot be right refused.

    Raises
    ------
    DatasetError
        Units or signs of the labels are others, by the evidence, and ``trust`` is false.
    """
    frames = labelled(path, **how)
    if trust:
        return frames
    check = checked(frames, potential)
    if check.verdict == REFUSED:
        raise DatasetError(f"{path.name}: {refusal(check, how.get('units'))}")
    for reason in check.reasons:
        say(f"{path.name}: look at this: {reason}")
    return frames


def checked(frames: Sequence[Atoms], potential: "Potential | None" = None) -> "DataCheck":
    """The check of frames: against the shipped potential that knows their elements, else against the one given."""
    from tpainn_lite.model.answers import potential_for
    from tpainn_lite.model.check import check_data

    return check_data(frames, None if potential_for(frames)[0] else potential)


def refusal(check: "DataCheck", units: str | None = None) -> str:
    """Why labels, to which ``units`` were applied, are refused, and what to do, in one sentence."""
    reasons = "; ".join(check.reasons)
    if any(row.test == MIXTURE and row.verdict == REFUSED for row in check.rows):
        advice = "a file for each of them is expected"
    elif units is not None:
        reasons, advice = f"after --units {units}, {reasons}", "leave --units out, or give others"
    elif check.units:
        several = any(row.verdict == REFUSED and " or " in row.found for row in check.rows)
        advice = f"--units {check.units} converts them" + ", if the first of those named is right" * several
    else:
        advice = "--units says in which units they are"
    return f"{reasons}: {advice}, --trust takes them as they are (tpainn check shows the evidence)"


def check(
    source: Annotated[Path, typer.Argument(help="labelled frames, of any format")],
    weights: Annotated[Path | None, typer.Option(help="to compare with; the shipped ones for these elements")] = None,
    write: Annotated[Path | None, typer.Option(help="clean copy: in eV and Å, without duplicates")] = None,
    unwrap: Annotated[
        bool, typer.Option("--unwrap", help="no molecule is cut by the walls of its cell, in it")
    ] = False,
    figure: Annotated[Path | None, typer.Option(help="labels against the potential's: .html")] = None,
    energy_key: Annotated[str | None, typer.Option(help="name of the energies in the file")] = None,
    forces_key: Annotated[str | None, typer.Option(help="name of the forces")] = None,
    stress_key: Annotated[str | None, typer.Option(help="name of the stress, or of the virial")] = None,
    units: Annotated[str | None, typer.Option(help="that the labels are in: Hartree,Bohr …")] = None,
    trust: Trust = False,
) -> None:
    """Units, signs and oddities of labelled frames, by evidence.  Exit code 1: refused."""
    check_source(source)
    if weights is not None:
        check_weights(weights)
    for target, endings in ((write, SUFFIXES), (figure, (".html",))):
        if target is not None:
            check_target(target, [source], endings)
    if unwrap and write is None:
        raise ValueError("--unwrap changes the copy that --write names; none is named")
    keys = given(energy_key=energy_key, forces_key=forces_key, stress_key=stress_key, units=units)
    frames = labelled(source, ("decided",), **keys)
    from tpainn_lite.model.check import check_data

    found = check_data(frames, weights_of(weights)) if weights is not None else check_data(frames)
    typer.echo(repr(found))
    if figure is not None:
        from tpainn_lite.show.plots import data_check

        data_check(found).write_html(figure)
    if found.verdict == REFUSED and not trust:
        raise DatasetError(f"{source.name}: {refusal(found, units)}")
    if write is not None:
        write_clean(frames, found, write, unwrap)


def write_clean(frames: Sequence[Atoms], found: "DataCheck", target: Path, unwrap: bool = False) -> None:
    """Write frames without those that are copies of others; with whole molecules, if ``unwrap``."""
    doubles = {k for row in found.rows if row.test == "duplicates" for k in row.frames}
    kept = [atoms for k, atoms in enumerate(frames) if k not in doubles]
    write_frames(target, unwrapped(kept) if unwrap else kept)
    typer.echo(f"{len(kept)} frames in {target}")
