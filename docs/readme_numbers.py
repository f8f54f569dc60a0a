"""Write the numbers of the last tour into README.md, or check that they are there.

python docs/readme_numbers.py            # rewrite the block between the two `numbers` marks
python docs/readme_numbers.py --check    # exit 1 if the block is not what data/results/tour.json says
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from tpainn_lite.datasets import write_text

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "data" / "results" / "tour.json"
BEGIN, END = "<!-- numbers: begin (docs/readme_numbers.py) -->", "<!-- numbers: end -->"
METHODS = {  # as in the results: as in the table's head
    "scratch_atomref": "DFT labels alone",
    "tpainn_shuffled": "pretrained on shuffled labels",
    "delta": "Δ-learning",
    "tpainn": "pretrained, then autotuned",
}


def spread(values):
    """Mean ± standard deviation over seeds; no digits that another seed would change."""
    error = f" ± {statistics.stdev(values):.0f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.0f}{error}"


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


def block(results):
    n_seeds = len({row["seed"] for row in results["rows"] if row["method"] in METHODS})
    minutes = results["seconds"] / 60
    return (
        f"Mean absolute error of the forces on molecules never trained on, in meV/Å "
        f"(mean ± standard deviation over {n_seeds} seeds; made in {minutes:.0f} min):\n\n{table(results['rows'])}"
    )


def with_block(text, new):
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if README.md is out of date")
    args = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = with_block(old, block(json.loads(RESULTS.read_text(encoding="utf-8"))))
    if args.check and new != old:
        sys.exit("README.md does not quote data/results/tour.json; run: python docs/readme_numbers.py")
    if new != old:
        write_text(README, new)


if __name__ == "__main__":
    main()
