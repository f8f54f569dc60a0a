"""What each step of a project was made from, kept in its folder, so that no step is taken for that of another project.

`tpainn_lite.project.run` says which steps there are.
"""

import json
from pathlib import Path
from typing import Any

from tpainn_lite.structures.files import write_text
from tpainn_lite.structures.identity import IdentityError, check_same, identity

NAME = "project.json"
STEPS = {  # in their order: the files of each
    "structures": ("structures.extxyz",),
    "to_label": ("to_label.extxyz",),
    "labels": ("labels.jsonl",),
    "general": ("general-*.safetensors",),
    "own": ("own-*.safetensors",),
    "md": ("md.traj", "md.state.npz"),
    "report": ("report.json",),
}

OUTLIVING = ("labels", "general", "report")  # recognised frame by frame; of no structure given; always written anew


class ProjectRecord:
    """The record of a project's folder, from ``project.json``; empty where there is none yet.

    Raises
    ------
    IdentityError
        The folder holds files of these names, but no record of what made them.
    ValueError
        ``project.json`` is not a record.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / NAME
        self.steps = _read(self.path) if self.path.exists() else {}
        foreign = [path.name for step in STEPS for path in self.files(step)] if not self.path.exists() else []
        if foreign:
            raise IdentityError(
                f"{self.folder} holds {', '.join(foreign[:3])}{' …' if len(foreign) > 3 else ''} and no record "
                f"({NAME}) of what made them: name another folder, or remove them"
            )

    def files(self, step: str) -> list[Path]:
        """The files of a step that are there."""
        return sorted(path for pattern in STEPS[step] for path in self.folder.glob(pattern))

    def check(self, step: str, **made_from: Any) -> None:
        """Raise `IdentityError` if the files of a step are there and were made otherwise, as far as these names go."""
        files, asked = self.files(step), identity(**made_from)
        if not files:
            return
        kept = {name: value for name, value in self.steps.get(step, {}).items() if name in asked}
        later = [name for name in list(STEPS)[list(STEPS).index(step) :] if name == step or name not in OUTLIVING]
        gone = [pattern for name in later if self.files(name) for pattern in STEPS[name]]
        advice = f"name another folder or, to make them anew, remove {', '.join(gone)}"
        check_same(kept, asked, f"{', '.join(STEPS[step])} in {self.folder}", advice)

    def begin(self, step: str, **made_from: Any) -> None:
        """`check`, and put down what the step is made from."""
        self.check(step, **made_from)
        self.steps[step] = identity(**made_from)
        write_text(self.path, json.dumps({"record": "tpainn_lite project", "steps": self.steps}, indent=1) + "\n")


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_bytes().decode()) if path.stat().st_size < 1_000_000 else {}
        steps = content["steps"]
        texts = [text for made_from in steps.values() for text in made_from.values()]
        if content["record"] == "tpainn_lite project" and all(isinstance(text, str) for text in texts):
            return steps
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise ValueError(f"{path} is no record of a project, or damaged: name another folder")
