"""The course to give to a class, without its answers: build/handout.zip.

    python docs/handout.py [build/handout.zip]         # or: make handout

It holds what the repository tracks, as it is here, but for the solutions, the tests (which hold right answers)
and the pages for teachers.  The checks stay, since they run on the learner's machine: who reads them learns much about
the answer.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WITHHELD = ("notebooks/solutions/", "tests/", "docs/instructor.md", "docs/module.md", "docs/slides", ".ci/", ".github/")


def files(root=ROOT):
    """The names of what is handed out, relative to the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if not name.startswith(WITHHELD) and (root / name).is_file()]


def write(target, root=ROOT):
    """Write the archive; how many files are in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    names = files(root)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(root / name, f"tpainn-lite/{name}")
    return len(names)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "handout.zip"
    print(
        f"{path}: {write(path)} files, {path.stat().st_size / 1e6:.1f} MB, without solutions, tests and teachers' pages"
    )
