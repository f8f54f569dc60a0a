"""The tables of docs/your_own_system.md: what the wide weights are worth, and what DFT labels cost at each level."""

from study_tables import NOTHING, markdown

HEAD = ["level", "CPU-s a frame", "forces, meV/Å", "relative energies, meV", "molecules"]


def block(results):
    """Markdown: a level's CPU seconds of a frame, and its errors compared with the last level."""
    rows, levels = results["rows"], list(dict.fromkeys(row["level"] for row in results["rows"]))
    molecules = {row["molecule"] for row in rows}
    known = [m for m in molecules if {row["level"] for row in rows if row["molecule"] == m} == set(levels)]
    lines = []
    for level in levels:
        own = [row for row in rows if row["level"] == level]
        cost = sum(row["cpu_seconds"] for row in own if row["molecule"] in known) / len(known)
        forces, energies = (
            f"{sum(row[key] for row in own) / len(own):.0f}" if level != levels[-1] else NOTHING
            for key in ("force_mae", "relative_energy_error")
        )
        lines.append([own[0]["theory"], f"{cost:.0f}", forces, energies, str(len(own))])
    size = sum(row["force_size"] for row in rows) / len(rows)
    words = f"Mean absolute differences from {levels[-1]}; forces have {size:.0f} meV/Å on average."
    cost = f"The cost is the mean of those that all levels know ({', '.join(sorted(known))}), on {results['machine']}."
    return f"{markdown(HEAD, lines)}\n\n{words} {cost}"


def held_out(results):
    """Markdown: errors of the wide weights on molecules that no recipe has seen, and those of MMFF94."""
    rows, lines = [row for row in results["rows"] if row["task"] == "gas_wide_xtb"], []
    for row in rows:
        cells = (row["zero_mae"], row["mmff94_mae"], row["force_mae"])
        lines.append([row["case"], *(f"{value:.0f}" for value in cells), f"{row['energy_mae']:.1f}"])
    head = [
        "tested on",
        "size of the forces, meV/Å",
        "MMFF94, meV/Å",
        "`gas_wide_xtb`, meV/Å",
        "its energies, meV/atom",
    ]
    words = (
        "How well `gas_wide_xtb` imitates GFN2-xTB on thirty drugs, peptides and ions that it has not seen "
        "(`data/make/held_out.py`), and how well MMFF94 does, before any DFT label (mean absolute errors):"
    )
    return f"{words}\n\n{markdown(head, lines)}"


BLOCKS = {"dft_levels": ("dft_levels", block), "held_out": ("checkpoints", held_out)}
