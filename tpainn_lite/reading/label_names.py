"""What the names of numbers in a file say: ``REF_energy``, ``dft_forces``, ``virials``, ``TotEnergy``.

A name is taken apart into words.  One of them says what it is, the others to which set of labels it belongs.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from tpainn_lite.structures.arguments import shown

LABELS = ("energy", "forces", "stress")
KINDS = {
    "energy": "energy", "energies": "energy", "force": "forces", "forces": "forces", "gradient": "gradient",
    "gradients": "gradient", "grad": "gradient", "stress": "stress", "virial": "virial", "virials": "virial",
}  # fmt: skip
LABEL_OF = {"energy": "energy", "forces": "forces", "gradient": "forces", "stress": "stress", "virial": "stress"}
USUAL = {"total", "tot", "potential", "pot", "system", "atomic", "ev", "a", "ang", "mol"}  # words that change nothing
OTHERS = {
    "free", "kinetic", "per", "atom", "atomization", "atomisation", "formation", "binding", "interaction", "local",
    "dispersion", "error", "std", "uncertainty", "variance", "var", "sigma", "shift", "weight", "weights", "lowest",
    "above", "relative", "isolated", "zero", "zpe", "solvation", "reaction", "strain", "repulsion", "nuclear", "delta",
    "correlation", "fermi", "cohesive", "adsorption", "hull", "barrier", "activation", "cutoff", "mask", "max", "min",
    "mean", "rms", "norm", "level", "unit", "units", "source", "key", "method", "functional", "id", "diff", "core",
    "difference", "electronic", "one", "excitation", "homo", "lumo", "internal", "band", "field", "constant", "set",
    "constants", "tolerance", "converged", "threshold", "type", "conformer", "has", "external", "vibrational",
}  # fmt: skip  # words of quantities that are no labels
OTHER_UNITS = {"hartree", "ha", "kcal", "kj", "ry", "rydberg", "mev", "gpa", "kbar", "bohr", "au"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Key(NamedTuple):
    """What a name says: ``kind`` of `KINDS`, ``group`` of labels ("" or "ref", "dft", "mace" …)."""

    kind: str
    group: str
    unit: str = ""


@dataclass(frozen=True)
class Names:
    """Names of labels that somebody asked for; None where the names in the file are to be looked at.

    Several, with commas between them, are looked for one after the other.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None

    def of(self, label: str) -> list[str]:
        """Those of "energy", "forces" or "stress"."""
        given = getattr(self, label)
        if given is not None and (not isinstance(given, str) or not given.strip(" ,")):
            raise ValueError(f"{label}_key is {shown(given)}; the name of the {label} in the file is expected")
        return [word.strip() for word in given.split(",")] if given else []


@cache
def key_of(name: str) -> Key | None:
    """What a name says, or None where it is not the name of an energy, of forces, or of a stress.

    >>> key_of("REF_forces")
    Key(kind='forces', group='ref', unit='')
    >>> key_of("free_energy")
    """
    words = [word.lower() for word in WORD.findall(name)]
    kinds = [KINDS[word] for word in words if word in KINDS]
    others = [word for word in words if word not in KINDS and word not in USUAL]
    if len(kinds) != 1 or OTHERS & {*others} or words[1:] == ["gap"]:
        return None
    unit = next((word for word in others if word in OTHER_UNITS), "")
    return Key(kinds[0], "_".join(word for word in others if word not in OTHER_UNITS), unit)
