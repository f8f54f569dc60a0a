"""Write the measured numbers into README.md and three pages of docs, or check them.

python docs/readme_numbers.py            # rewrite the blocks between their marks
python docs/readme_numbers.py --check    # exit 1 if a block is not what data/results/*.json says
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import family_tables
import headline
import levels_table
import methanol_tables
import study_tables
import summary_table
import survival_table
import times_table
import uncertainty_tables
import water_tables
from study_tables import spread

from tpainn_lite.structures.files import write_text

ROOT = Path(__file__).resolve().parents[1]
README, STUDY = ROOT / "README.md", ROOT / "docs" / "what_pretraining_buys.md"
MODULE, OWN_SYSTEM = (ROOT / "docs" / f"{name}.md" for name in ("module", "your_own_system"))
RESULTS = ROOT / "data" / "results"
CASES = [("training step", "32 molecules"), *(("MD step", f"{n} H2O") for n in (64, 512, 4096))]
METHODS = {  # as in the results: as in the table's head
    "scratch_atomref": "DFT labels alone",
    "tpainn_shuffled": "pretrained on shuffled labels",
    "delta": "Δ-learning",
    "tpainn": "pretrained, then autotuned",
}


def table(rows):
    """Markdown: force error by number of DFT labels and method."""
    methods = [method for method in METHODS if any(row["method"] == method for row in rows)]
    sizes = sorted({row["n_train"] for row in rows if row["method"] in methods})
    lines = ["DFT labels | " + " | ".join(METHODS[method] for method in methods), "---|" * (len(methods) + 1)]
    for size in sizes:
        cells = []
        for method in methods:
            values = [row["force_mae"] for row in rows if row["method"] == method and row["n_train"] == size]
            cells.append(spread(values) if values else "")
        lines.append(f"{size} | " + " | ".join(cells))
    return "\n".join(f"| {line.strip('|')} |" for line in lines)


def errors_block(results):
    """What the tour's comparison found."""
    n_seeds = len({row["seed"] for row in results["rows"] if row["method"] in METHODS})
    minutes = results["seconds"] / 60
    untuned, teacher = (_mean(results["rows"], method) for method in ("tpainn_untuned", "force_field"))
    of_fifty = [row for row in results["rows"] if row["n_train"] == 50]
    energies = {method: _mean(of_fifty, method, "energy_mae") for method in ("scratch_atomref", "tpainn")}
    return (
        f"Mean absolute error of the forces on molecules never trained on, in meV/Å "
        f"(mean ± standard deviation over {n_seeds} seeds; made in {minutes:.0f} min):\n\n{table(results['rows'])}\n\n"
        f"Without any DFT label: the pretrained network {untuned:.0f}, MMFF94, its teacher, {teacher:.0f}. "
        "So ten labels\nlower the error a little, and fifty clearly. "
        f"Energies gain little: with fifty labels {energies['scratch_atomref']:.0f} meV/atom\n"
        f"without pretraining, {energies['tpainn']:.0f} with it."
    )


def _mean(rows, method, value="force_mae"):
    return statistics.mean(row[value] for row in rows if row["method"] == method)


def speed_block(results):
    """Our milliseconds on one thread, and the others' as multiples."""
    timed = [row for row in results["rows"] if row["threads"] == 1 and "seconds" in row]
    found = {(row["case"], row["system"], row["implementation"]): row["seconds"] for row in timed}
    lines = ["| one thread | tpainn_lite | `painn.py` | SchNetPack | graph-pes |", "|" + "---|" * 5]
    for case, system in CASES:
        ours = found.get((case, system, "tpainn_lite"))
        if ours is None:  # of a quick run
            continue
        cells = []
        for start in ("tpainn_lite, painn.py", "SchNetPack", "graph-pes"):
            times = [t for (c, s, name), t in found.items() if (c, s) == (case, system) and name.startswith(start)]
            cells.append(f"{min(times) / ours:.1f}×" if times else "–")
        lines.append(f"| {case}, {system} | {1e3 * ours:.3g} ms | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def batched_block(results):
    """Many molecules in one step, and how true the compiled MD is to the code of the course."""
    times = {row["implementation"]: row["milliseconds"] for row in results["rows"] if row["case"] == "batched"}
    one = next(row for row in results["rows"] if row["case"] == "agreement")
    ways = ("one by one, painn.py", "one by one, compiled", "together, compiled")
    read, compiled, together = (times[way] for way in ways)
    lines = [
        f"Twenty different molecules take {read:.0f} ms a step one by one with `painn.py`, {compiled:.0f} ms compiled,",
        f"and {together:.0f} ms in one step, with torch-sim (`TorchSimPotential`). Over {one['picoseconds']:.0f} ps",
        f"of compiled MD of {one['system']} the energy drifts by {one['drift']:.4f} meV per atom and ps, and no force",
        f"component is more than {one['largest_force_difference']:.2f} meV/Å from that of `painn.py`",
        "(`python benchmarks/fast_md.py`).",
    ]
    return "\n".join(lines).replace("-0.", "−0.")


BLOCKS = {  # of the README; name of the block: results, text
    "numbers": ("tour", errors_block),
    "speed": ("speed", speed_block),
    "batched": ("fast_md", batched_block),
    "lasting": ("survival", survival_table.sentence),
}


def with_block(text, name, new):
    """The text with this block between its marks."""
    begin, end = f"<!-- {name}: begin (docs/readme_numbers.py) -->", f"<!-- {name}: end -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{new}\n{end}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is out of date")
    args = parser.parse_args()
    tables = {"summary": ("water", summary_table.block)}
    for module in (study_tables, water_tables, methanol_tables, family_tables, survival_table, uncertainty_tables):
        tables |= module.BLOCKS
    for path, blocks in (
        (README, BLOCKS | headline.blocks(RESULTS)),
        (STUDY, tables),
        (MODULE, times_table.blocks(RESULTS)),
        (OWN_SYSTEM, levels_table.BLOCKS),
    ):
        old = new = path.read_text(encoding="utf-8")
        for name, (results, block) in blocks.items():
            found = json.loads((RESULTS / f"{results}.json").read_text(encoding="utf-8"))
            new = with_block(new, name, block(found))
        if args.check and new != old:
            sys.exit(f"{path.name} does not quote data/results/*.json; run: python docs/readme_numbers.py")
        if new != old:
            write_text(path, new)


if __name__ == "__main__":
    main()
