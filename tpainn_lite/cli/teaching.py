"""For teachers: ``tpainn receipts`` and ``tpainn regrade``."""

from pathlib import Path
from typing import Annotated

import typer

from tpainn_lite.structures.files import check_target, write_bytes


def receipts(files: Annotated[list[Path], typer.Argument(help="receipt-….json of students, or folders")]) -> None:
    """For teachers: who solved which exercises, by the receipts that were handed in."""
    from tpainn_lite.course.receipts import receipt_table

    typer.echo(receipt_table(files))


def regrade(
    hand_ins: Annotated[list[Path], typer.Argument(help="notebooks and receipts of students, or folders of them")],
    notebooks: Annotated[Path, typer.Option(help="the folder of the course")] = Path("notebooks"),
    csv: Annotated[Path | None, typer.Option(help="every exercise of every student, for a spreadsheet: .csv")] = None,
    points: Annotated[Path | None, typer.Option(help="a row of points for each student, and the sum: .csv")] = None,
    html: Annotated[Path | None, typer.Option(help="a page with the code of all answers: .html")] = None,
    seconds: Annotated[float, typer.Option(help="that a cell of an answer may take; others ten times that")] = 60.0,
    jobs: Annotated[int, typer.Option(help="notebooks that run at a time")] = 1,
    kept: Annotated[
        Path | None, typer.Option(help="keeps verdicts; the same command goes on from there: .json")
    ] = None,
) -> None:
    """For teachers: run what was handed in, and judge it anew.  This runs students' code: do it in a container."""
    for target, ending in ((csv, ".csv"), (points, ".csv"), (html, ".html")):
        if target is not None:
            check_target(target, hand_ins, (ending,))
    if points is not None and points == csv:
        raise ValueError(f"--csv and --points both name {points}; two files are expected")
    from tpainn_lite.course.grades import grades_csv, grades_html, grades_text, points_csv
    from tpainn_lite.course.regrade import STOPPED
    from tpainn_lite.course.regrade import regrade as judge

    grades = judge(hand_ins, notebooks, seconds=seconds, n_jobs=jobs, path=kept)
    typer.echo(grades_text(grades))
    for target, table, code in (
        (csv, grades_csv, "utf-8-sig"),  # Excel reads UTF-8 by its mark alone
        (points, points_csv, "utf-8-sig"),
        (html, grades_html, "utf-8"),
    ):
        if target is not None:
            write_bytes(target, table(grades).encode(code))
    if any(grade.sentence == STOPPED for grade in grades):
        raise KeyboardInterrupt
