"""Whose a file is that was handed in: by its folder, else by its name, without what learning platforms add to it.

- The first folder below the one that is given is the learner, wherever in it the file lies.
- A file that lies in the given folder itself belongs to the name in the receipt, or to what the name of the notebook
  says beside the name of the lesson: ``00_tour-Ada.ipynb`` to Ada.  Where it says nothing, the folder is the learner.
- Where one learner would have the same lesson in two folders, each of these folders is a learner.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tpainn_lite.course.receipts import plain

# "Ada_4711_assignsubmission_file_…" of Moodle, "ada_LATE_40012_50013_…" of Canvas: the name is what stands before
UPLOADED = re.compile(r"(.+?)(?:_late)?_(?:\d+_assignsubmission_|\d{4,}_\d{4,}_).*", re.IGNORECASE)
COPY = re.compile(r"\s*\(\d+\)|-Copy\d+")  # what browsers and Jupyter add


@dataclass
class Paper:
    """A file that was handed in."""

    file: Path
    given: Path  # the folder that the teacher named, or the file itself
    said: str = ""  # the learner's name in it, or in its own name
    notebooks: set[str] = field(default_factory=set)  # the lessons that it is a notebook of; none for a receipt


def person(text: str) -> str:
    """The name in that of a folder or a file.

    >>> person("Ada Lovelace_4711_assignsubmission_file_"), person("Ada (1)")
    ('Ada Lovelace', 'Ada')
    """
    return plain(COPY.sub("", UPLOADED.sub(r"\1", text)).strip() or text)


def beside_lesson(stem: str, lessons: Iterable[str]) -> str:
    """What the name of a notebook says of a learner.

    >>> beside_lesson("00_tour (2) Ada_Lovelace", ["00_tour"])
    'Ada Lovelace'
    """
    name = COPY.sub("", UPLOADED.sub(r"\1", stem))
    for lesson in lessons:
        name = name.replace(lesson, "")
    return plain(re.sub(r"[\s_-]+", " ", name).strip())


def uploaded_by(stem: str) -> str:
    """The name that a learning platform put before that of a file, or nothing.

    >>> uploaded_by("Ada_4711_assignsubmission_file_receipt-00-Ada"), uploaded_by("receipt-00-Ada")
    ('Ada', '')
    """
    found = UPLOADED.fullmatch(stem)
    return plain(found[1]) if found else ""


def by_owner(papers: Sequence[Paper]) -> dict[str, list[Paper]]:
    """{learner: files}; "Ada Lovelace" and "ada-lovelace" are one."""
    names: dict[str, str] = {}
    groups: dict[str, list[Paper]] = {}
    for paper in papers:
        name = _owner(paper, papers)
        groups.setdefault(names.setdefault(_key(name), name), []).append(paper)
    owned: dict[str, list[Paper]] = {}
    for name, group in groups.items():
        top = Path(os.path.commonpath([paper.file.parent for paper in group])).parent
        for paper in group:
            folder = plain(paper.file.parent.relative_to(top).as_posix())
            owned.setdefault(folder if _is_in_two(group) else name, []).append(paper)
    return owned


def _owner(paper, papers):
    inside = paper.file.relative_to(paper.given).parts
    if len(inside) > 1:
        return person(inside[0])
    folder = paper.file.parent
    if not paper.said or _is_one_learners([other for other in papers if other.file.parent == folder]):
        return person(folder.name)
    return paper.said


def _is_one_learners(papers):
    """Whether these files of one folder are one learner's: notebooks without a name in theirs, receipts of one."""
    notebooks = {paper.said for paper in papers if paper.notebooks}
    receipts = {_key(paper.said) for paper in papers if not paper.notebooks}
    return notebooks == {""} and len(receipts) <= 1


def _is_in_two(papers):
    """Whether the same lesson lies in two folders."""
    places: dict[str, set[Path]] = {}
    for paper in papers:
        for lesson in paper.notebooks:
            places.setdefault(lesson, set()).add(paper.file.parent)
    return any(len(folders) > 1 for folders in places.values())


def _key(name):
    """Letters and digits of a name."""
    name = unicodedata.normalize("NFKC", name)
    return "".join(filter(str.isalnum, name.casefold())) or name
