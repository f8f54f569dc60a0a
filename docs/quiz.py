"""The quizzes of docs/module.md: a sheet without answers, and questions for Moodle, with them.

    python docs/quiz.py [build]         # or: make quiz; writes build/quiz.md and build/quiz.gift

GIFT is Moodle's plain format (Question bank > Import).  Each question is an essay, which a teacher reads; the answer is
its general feedback, which Moodle shows after the attempt.
"""

import re
import sys
from pathlib import Path

from tpainn_lite.structures.files import write_text

ROOT = Path(__file__).parents[1]
WEEK = re.compile(r"^## (Week \d+: .+)$", re.MULTILINE)
QUESTION = re.compile(r"^<details><summary>\((\d+)\) (.+?)</summary>(.+?)</details>$", re.MULTILINE)


def quizzes(text):
    """{heading of a week: [(number, question, answer)]} of the module's text."""
    _, *parts = WEEK.split(text)
    return {week: QUESTION.findall(part) for week, part in zip(parts[::2], parts[1::2], strict=True)}


def sheet(weeks):
    """Markdown for students, with room for an answer and none in it."""
    made = [f"# {week}\n\nName:\n" + "".join(f"\n**{n}.** {ask}\n\n<br><br><br>\n" for n, ask, _ in asked)
            for week, asked in weeks.items()]  # fmt: skip
    return "\n".join(made)


def gift(weeks):
    """The questions in GIFT, a category for each week."""
    lines = []
    for week, asked in weeks.items():
        title = week.partition(":")[0]
        lines.append(f"$CATEGORY: tpainn_lite/{title}")
        lines += [f"::{title}, {n}::{escaped(ask)} {{####{escaped(answer)}}}" for n, ask, answer in asked]
    return "\n\n".join(lines) + "\n"


def escaped(text):
    r"""Text in which no sign has a meaning of GIFT's own.

    >>> escaped("E = {2}")
    'E \\= \\{2\\}'
    """
    return re.sub(r"([\\~=#{}:])", r"\\\1", text)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build"
    found = quizzes((ROOT / "docs" / "module.md").read_text(encoding="utf-8"))
    for name, made in (("quiz.md", sheet(found)), ("quiz.gift", gift(found))):
        write_text(folder / name, made)
    print(f"{folder}/quiz.md and quiz.gift: {sum(map(len, found.values()))} questions of {len(found)} weeks")
