"""Plain English: words that readers of textbooks do not know are not in the library, its documents or benchmarks."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (
    "README.md",
    "notebooks",
    "CONTRIBUTING.md",
    "Makefile",
    "tpainn_lite",
    "docs",
    "benchmarks",
    "data/make",
    "data/README.md",
)
WORDS = re.compile(
    r"\b(dear|dearer|rivals?|pupils?|told|strangers?|by turns|held against|hold \w+ against|errs?|erred)\b", re.I
)


def texts():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", *PLACES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        ROOT / name
        for name in listed.split()
        if Path(name).suffix not in {".png", ".gif", ".wasm"} and (ROOT / name).exists()
    ]


def test_no_word_is_one_that_needs_a_dictionary():
    odd = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in WORDS.finditer(line)
    ]
    assert not odd, "\n".join(odd)
