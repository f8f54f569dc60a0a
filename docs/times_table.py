"""The table of docs/module.md: how long each notebook runs, from data/results/notebook_times.json."""

CASES = {"one core": "one core", "two cores": "two cores", "busy core": "one core, busy"}  # in the table's order


def blocks(results):
    """The block of docs/module.md for docs/readme_numbers.py; none until the times have been measured."""
    return {"notebook_times": ("notebook_times", block)} if (results / "notebook_times.json").is_file() else {}


def block(results):
    """Markdown: seconds by notebook and case, and the machine they were measured on."""
    rows = results["rows"]
    cases = [case for case in CASES if any(row["case"] == case for row in rows)]
    lines = [
        "| notebook | " + " | ".join(CASES[case] for case in cases) + " | memory |",
        "|---|" + "---|" * (len(cases) + 1),
    ]
    for name in sorted({row["notebook"] for row in rows}):
        own = {row["case"]: row for row in rows if row["notebook"] == name}
        cells = [f"{own[case]['seconds']:.0f} s" if case in own else "–" for case in cases]
        memory = max((row["megabytes"] for row in own.values() if row["megabytes"]), default=None)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {f'{memory:,} MB' if memory else '–'} |")
    others = max(row["others"] for row in rows)
    measured = f"Measured on {results['machine']}, {results['created'][:10]}; other programs used at most "
    measured += f"{others:.0f} % of these cores before a run"
    return "\n".join([*lines, "", f"{measured} (`{results['command']}`)."])
