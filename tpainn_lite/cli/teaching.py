"""For teachers: ``tpainn receipts`` and ``tpainn regrade``."""

from pathlib import Path
from typing import Annotated

import typer

from tpainn_lite.structures.files import check_target, write_text


def receipts(files: Annotated[list[Path], typer.Argument(help="receipt-….json of students, or folders")]) -> None:
    """For teachers: who solved which exercises, by the receipts that were handed in."""
    from tpainn_lite.course.receipts import receipt_table

    typer.echo(receipt_table(files))


def regrade(
    hand_ins: Annotated[list[Path], typer.Argument(help="notebooks and receipts of students, or folders of them")],
    notebooks: Annotated[Path, typer.Option(help="the folder of the course")] = Path("notebooks"),
    csv: Annotated[Path | None, typer.Option(help="the table for a spreadsheet: .csv")] = None,
    html: Annotated[Path | None, typer.Option(help="the table as a page: .html")] = None,
    seconds: Annotated[float, typer.Option(help="that a cell may take")] = 300.0,
) -> None:
    """For teachers: run what was handed in, and judge it anew.  This runs students' code: do it in a container."""
    for target, ending in ((csv, ".csv"), (html, ".html")):
        if target is not None:
            check_target(target, hand_ins, (ending,))
    from tpainn_lite.course.grades import grades_csv, grades_html, grades_text
    from tpainn_lite.course.regrade import regrade as judge

    grades = judge(hand_ins, notebooks, seconds=seconds)
    typer.echo(grades_text(grades))
    for target, table in ((csv, grades_csv), (html, grades_html)):
        if target is not None:
            write_text(target, table(grades))
