"""The course to give to a class, without its answers: build/handout.zip.

    python docs/handout.py [build/handout.zip]         # or: make handout

It holds the repository as it is here, but for the solutions, the tests (which hold right answers) and the pages for
teachers; a notebook, a check or a page of your own goes along, also where git does not track it yet.  Its README is for
students.  The checks stay, since they run on the learner's machine: who reads them learns much about the answer.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WITHHELD = (
    "notebooks/solutions/", "notebooks/receipt-", "tests/", "docs/instructor.md", "docs/module.md", "docs/slides",
    "CONTRIBUTING.md", ".ci/", ".github/",
)  # fmt: skip
NEW_ONES = ("notebooks", "docs", "data", "tpainn_lite")  # elsewhere a new file may be what a student handed in
README = """\
# tpainn_lite

Transfer learning for interatomic potentials: a course of notebooks, and the library that they use. This folder was made
by your teacher, and has all that you need.

## Start

In this folder, with Python 3.11 or newer and `make`, on Linux or macOS:

    make lab

The first time it fetches what it needs (some minutes, about 2.7 GB on disk); after that JupyterLab opens in seconds,
and no network is asked for. Begin with [`00_tour`](notebooks/00_tour.ipynb). At the end of a notebook,
`receipt.hand_in("Your Name")` writes a small file for your teacher; nothing leaves your machine by itself.

To read: the [primer](docs/primer.md) before the first notebook; words and letters in the [glossary](docs/glossary.md)
and in [symbols](docs/symbols.md); the [capstone](docs/capstone.md). `docs/build_site.py --no-pictures`, run with the
Python of `.venv/bin/`, makes the whole course as web pages, `build/site/index.html`.

{ways}

## Licence

MIT, with the texts; see [LICENSE](LICENSE). The data: [data/README.md](data/README.md). To cite:
[CITATION.cff](CITATION.cff).
"""


def files(root=ROOT):
    """The names of what is handed out, relative to the repository: what git tracks, and what it does not yet track."""
    names = {*listed(root), *new_files(root)}
    return sorted(name for name in names if not name.startswith(WITHHELD) and (root / name).is_file())


def new_files(root=ROOT):
    """The names of files of the course that git neither tracks nor ignores."""
    names = listed(root, "--others", "--exclude-standard", "--", *NEW_ONES)
    return [name for name in names if not name.startswith(WITHHELD)]


def listed(root, *options):
    done = subprocess.run(["git", "ls-files", "-z", *options], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{root} is no git checkout, so that what belongs to the course is not known: git clone it first")
    return done.stdout.split("\0")[:-1]


def readme(root=ROOT):
    """The README for students, with the repository's section on other ways to install."""
    text = (root / "README.md").read_text(encoding="utf-8")
    ways = text.partition("\n## Other ways to install\n")[2].partition("\n## ")[0]
    return README.format(ways=f"## Other ways to install\n{ways}".strip())


def write(target, root=ROOT):
    """Write the archive; how many files are in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    names = files(root)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            if name == "README.md":
                archive.writestr("tpainn-lite/README.md", readme(root))
            else:
                archive.write(root / name, f"tpainn-lite/{name}")
    return len(names)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "handout.zip"
    count, size = write(path), path.stat().st_size / 1e6
    print(f"{path}: {count} files, {size:.1f} MB, without solutions, tests and teachers' pages")
    if new := new_files():
        print("In it, and not tracked by git (may students see them?):", ", ".join(new))
