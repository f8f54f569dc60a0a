"""How easy the prose of each notebook is to read, by Flesch's formula (1948): higher is easier; 60 is plain English.

python docs/reading_ease.py                  # of the working tree
python docs/reading_ease.py HEAD~10          # of a revision
python docs/reading_ease.py --hardest 3      # with the hardest paragraphs of each notebook
"""

import argparse
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHORT = 25  # words; a paragraph of fewer is not judged by itself


def paragraphs(notebook):
    """The sentences a reader meets: no tables, formulas, code, badges, references or addresses."""
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    text = "\n\n".join(re.sub(r"(?s)## References.*?(?=\n## |\Z)", "", cell) for cell in cells)
    text = re.sub(r"(?s)```.*?```|\$\$.*?\$\$", "", text)
    text = re.sub(r"(?m)<summary>|^\|.*$|\[!\[.*$", "", text)
    text = re.sub(r"</summary>", " ", text)
    text = re.sub(r"\$[^$]*\$|`[^`]*`", "x", text)  # a symbol or a name is read as one short word
    text = re.sub(r"\]\([^)]*\)|<[^>]*>|[*\[\]#]", "", text)
    blocks = (re.sub(r"\s+", " ", block).strip(" -") for block in re.split(r"\n\s*\n|\n(?=- |\d\. )", text))
    return [block for block in blocks if re.search(r"[a-z]{3}", block)]


def syllables(word):
    """About as many as are spoken: groups of vowels, without a silent e at the end."""
    word = re.sub(r"(?<=[a-z])(?:e|es|(?<![td])ed)$", "", word) if len(word) > 3 and not word.endswith("le") else word
    return max(1, len(re.findall(r"[aeiouy]+", word)))


def ease(blocks):
    """206.8 − 1.015 words per sentence − 84.6 syllables per word."""
    sentences = sum(len(re.findall(r"[.!?:](?:\s|$)", block)) or 1 for block in blocks)
    words = [word for block in blocks for word in re.findall(r"[a-z]+(?:[’'][a-z]+)?", block.lower())]
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * sum(map(syllables, words)) / len(words)


def notebooks(revision):
    """{stem: notebook} of the working tree or of a revision."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = f"{revision}:notebooks/{path.name}"
        show = ["git", "show", name]
        text = subprocess.check_output(show, cwd=ROOT, text=True) if revision else path.read_text(encoding="utf-8")
        yield path.stem, json.loads(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", nargs="?")
    parser.add_argument("--hardest", type=int, default=0, metavar="N", help="show the N hardest paragraphs")
    args = parser.parse_args()
    for stem, notebook in notebooks(args.revision):
        blocks = paragraphs(notebook)
        print(f"{stem:<24} {ease(blocks):.0f}")
        long = [block for block in blocks if len(block.split()) >= SHORT]
        for block in sorted(long, key=lambda block: ease([block]))[: args.hardest]:
            print(f"    {ease([block]):.0f}  {block}")


if __name__ == "__main__":
    main()
