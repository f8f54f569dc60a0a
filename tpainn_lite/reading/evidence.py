"""In which units, and with which sign, labels are: pieces of evidence, weighed together.

Each piece is a ratio that would be 1 if all labels were in eV and Å: of the labels' forces to a potential's, of
differences of energies to a potential's, of differences of energies to the work of the forces, of energies to those of
free atoms.  How far such a ratio may be from 1 although nothing is wrong depends on the correlation and on how many
numbers it is made of.  Bayes' rule turns all of them into the probability of each pair of units (energy, forces).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tpainn_lite.reading.oddities import left_by_composition
from tpainn_lite.reading.units import ENERGIES, LENGTHS, PRESSURES
from tpainn_lite.structures.geometry import composition_of

WIDE = 16.0  # nats: ratios that mean nothing lie anywhere in such a range
TOO_LARGE = 1.3  # nats; labels much larger than what they are compared with are rarer than smaller ones, as of minima
RARE = {
    "ev": 0.0,
    "hartree": 4.0,
    "kcal/mol": 4.0,
    "kj/mol": 4.0,
    "ry": 4.5,
    "mev": 7.0,
}  # −log of how likely a unit is
NAMES = {"ev": "eV", "hartree": "Hartree", "kcal/mol": "kcal/mol", "kj/mol": "kJ/mol", "ry": "Ry", "mev": "meV"}
LENGTH_NAMES = {"å": "Å", "bohr": "Bohr", "nm": "nm"}
USUAL_LENGTHS = {("hartree", "bohr"), ("ry", "bohr"), ("kj/mol", "nm")}  # beside any energy over Å
SIGN, ATOM, LENGTH, TOGETHER = 3.0, 4.0, 3.0, 3.5  # nats, as above: a turned sign, energies per atom, odd lengths
REFUSE, DOUBT = 0.03, 0.5  # probability that a label is in eV and Å, below which it is refused, doubted
TURNED = (1.5, SIGN)  # nats: pressure in GPa or kbar is often meant, which has the other sign
LIKELY = 0.1  # of the best hypothesis: so likely are those that are named with it

# eV per atom in molecules: of all electrons (B3LYP), of valence electrons only (pseudopotentials), of GFN2-xTB
ALL_ELECTRONS = {1: -16.6, 6: -1036.2, 7: -1489.1, 8: -2046.5, 9: -2716.9}
VALENCE = {1: -17.0, 6: -151.0, 7: -270.0, 8: -440.0, 9: -662.0}
XTB = {1: -13.86, 6: -58.26, 7: -78.69, 8: -110.06, 9: -128.17}
TABLES = ((0.45, 0.008, ALL_ELECTRONS), (0.2, 0.05, VALENCE), (0.1, 0.02, XTB))  # (how usual, spread, table)
KINDS_TELL = 4.0
HIGHEST, IMPOSSIBLE = 20.0, 0.01  # eV per atom above any zero that is in use; how likely that is all the same
ELSEWHERE = 0.25  # energies may be counted from any zero: atoms, a minimum, a force field's


@dataclass(frozen=True)
class Slope:
    """How many times another quantity a label is: ``ratio`` of their sizes, correlation, and numbers that are free.

    >>> Slope.of([1.0, 2.0, -1.0], [2.0, 4.0, -2.0]).ratio
    0.5
    """

    ratio: float
    correlation: float
    freedom: float

    @classmethod
    def of(
        cls, label: Sequence[float] | NDArray, other: Sequence[float] | NDArray, freedom: float | None = None
    ) -> "Slope | None":
        """From two arrays (n,), whose zeros mean something."""
        a, b = np.asarray(label, float), np.asarray(other, float)
        size = float(np.sqrt((a @ a) * (b @ b)))
        if not size > 0:
            return None
        return cls(float(np.sqrt((a @ a) / (b @ b))), float(a @ b) / size, len(a) if freedom is None else freedom)

    @property
    def certain(self) -> float:
        """The correlation, less what chance may have added, with its sign."""
        z = np.arctanh(min(abs(self.correlation), 1 - 1e-9)) - 1 / np.sqrt(max(self.freedom - 1, 0.5))
        return float(np.sign(self.correlation) * np.tanh(max(z, 0.0)))

    def log_likelihood(self, expected: NDArray, base: float, per_loss: float, chance: float = 0.0005) -> NDArray:
        """log p(this | the slope is expected to be so), for many expectations (n,), signed.

        ``base`` and ``per_loss`` (nats) are how far levels of theory differ, and what a low correlation adds;
        ``chance`` is how often a good correlation means nothing, as of few numbers.
        """
        r = abs(self.certain)
        spread = np.sqrt(base**2 + per_loss**2 * (1 - r**2) / max(r**2, 1e-4))
        useless = chance + (1 - chance) * (1 - r) ** 3
        wrong_sign = 0.5 * (1 - r) ** 4 + 1e-6
        off = np.log(self.ratio / np.abs(expected))
        agrees = np.where(np.sign(expected) == np.sign(self.correlation), 1 - wrong_sign, wrong_sign)
        fits = np.exp(-0.5 * (off / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        anywhere = np.exp(-0.5 * (np.maximum(off, 0.0) / TOO_LARGE) ** 2) / WIDE / 2
        return np.log((1 - useless) * fits * agrees + useless * anywhere + 1e-12)


# --- hypotheses ---


@dataclass(frozen=True)
class Hypotheses:
    """Pairs of units (energy, forces): signed factors to eV and eV/Å, whether per atom, log of how likely, words."""

    energy: NDArray
    per_atom: NDArray
    forces: NDArray
    log_prior: NDArray
    words: list[tuple[str, str]]


def _energy_units():
    for name, sign, per_atom in product(RARE, (1, -1), (False, True)):
        cost = RARE[name] + (1 + SIGN) * (sign < 0) + ATOM * per_atom
        word = "-" * (sign < 0) + NAMES[name] + "/atom" * per_atom
        yield sign * ENERGIES[name], per_atom, cost, name, word


def _force_units():
    for name, length, sign in product(RARE, LENGTHS, (1, -1)):
        usual = length == "å" or (name, length) in USUAL_LENGTHS
        cost = (
            RARE[name] + SIGN * (sign < 0) + LENGTH * (not usual) + 1.0 * (length == "å" and name in ("hartree", "ry"))
        )
        word = "-" * (sign < 0) + f"{NAMES[name]}/{LENGTH_NAMES[length]}"
        yield sign * ENERGIES[name] / LENGTHS[length], cost, name, word


def hypotheses() -> Hypotheses:
    """All pairs of units that people use, and how likely each is before any label has been seen.

    >>> hypotheses().words[0]
    ('eV', 'eV/Å')
    """
    rows = []
    for (e, per_atom, cost, name, word), (f, force_cost, force_name, force_word) in product(
        _energy_units(), _force_units()
    ):
        together = TOGETHER * (name == force_name != "ev")
        rows.append((e, per_atom, f, together - cost - force_cost, (word, force_word)))
    energy, atom, forces, prior, words = zip(*rows, strict=True)
    return Hypotheses(np.array(energy), np.array(atom), np.array(forces), np.array(prior), list(words))


# --- evidence of energies ---


def free_atom(z: int) -> float:
    """Energy in eV of an atom with all its electrons, by Thomas, Fermi, Scott and Schwinger, to one per cent.

    >>> round(free_atom(18) / 27.2114)  # Hartree-Fock: -526.8
    -524
    """
    return (-0.768745 * z ** (7 / 3) + 0.5 * z**2 - 0.269900 * z ** (5 / 3)) * ENERGIES["hartree"]


def size_of_energies(numbers: Sequence[NDArray], energies: NDArray, guesses: Hypotheses) -> NDArray:
    """log p(energies | units), by energies of atoms: with all electrons, with valence electrons alone, of GFN2-xTB."""
    elements, counts = composition_of(numbers)
    known, n = set(elements) <= ALL_ELECTRONS.keys(), counts.sum(axis=1)
    again = KINDS_TELL ** min(int(np.linalg.matrix_rank(counts)) - 1, 3)  # chance fits one composition, not several
    total = np.where(_can_be(energies, counts, elements, guesses), 1.0, IMPOSSIBLE) * ELSEWHERE / WIDE / 2
    for usual, spread, table in TABLES if known else TABLES[:1]:
        expected = counts @ [table[z] if known else free_atom(z) for z in elements]  # (n,) eV
        spread = spread if known else 0.025
        for per_atom in (False, True):
            ratio = energies * (n if per_atom else 1.0) / expected
            if not ((ratio > 0).all() or (ratio < 0).all()):
                continue
            logs = np.log(np.abs(ratio))
            if logs.std() > 2 * spread:
                continue
            off = (np.median(logs) + np.log(np.abs(guesses.energy))) / spread
            fits = usual * again * np.exp(-0.5 * off**2) / (spread * np.sqrt(2 * np.pi))
            total += fits * (guesses.per_atom == per_atom) * (np.sign(guesses.energy) == np.sign(ratio[0]))
    return np.log(total)


def _can_be(energies, counts, elements, guesses):
    """Whether energies are in these units neither below those of all electrons nor far above those of free atoms."""
    n = counts.sum(axis=1)
    lowest = counts @ [ALL_ELECTRONS.get(z, free_atom(z)) for z in elements]
    middle = np.median(energies / n), np.median(energies)
    whole = guesses.energy * middle[0], guesses.energy * np.median(energies / lowest)
    atom = guesses.energy * middle[1], guesses.energy * np.median(energies * n / lowest)
    each = np.where(guesses.per_atom, atom[0], whole[0])  # eV per atom
    return (each < HIGHEST) & (np.where(guesses.per_atom, atom[1], whole[1]) < 1.05)


def growth_of_energies(numbers: Sequence[NDArray], energies: NDArray) -> float:
    """log p(energies | per atom) − log p(energies | of the whole): whether energies do not grow with the structure."""
    elements, counts = composition_of(numbers)
    n = counts.sum(axis=1)
    free = len(energies) - len(elements) - 1
    if free < 1 or n.max() < 1.3 * n.min():
        return 0.0
    left = []
    for values in (energies, energies * n):
        deviation = np.sqrt(np.mean((values - values.mean()) ** 2))
        rest = left_by_composition(numbers, values)
        left.append(np.sqrt(np.mean(rest**2)) / max(deviation, 1e-9) + 1e-4)
    if min(left) > 0.1:
        return 0.0
    return float(np.clip(free * np.log(left[0] / left[1]), -6, 8))


# --- weighing ---


@dataclass(frozen=True)
class Judgement:
    """What the evidence says of one kind of label: its probability of being right, and the best units."""

    right: float
    units: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether other units fit, and those of ASE do not."""
        return self.right < REFUSE and bool(self.units)

    @property
    def is_doubted(self) -> bool:
        """Whether other units fit better."""
        return self.right < DOUBT


def weigh(log_posterior: NDArray, words: Sequence[str], right: str) -> Judgement:
    """Marginal probability of the units called ``right``, and the words for those that are likely instead.

    >>> weigh(np.log([0.01, 0.99]), ["eV", "Hartree"], "eV").units
    ('Hartree',)
    """
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    sums: dict[str, float] = {}
    for word, w in zip(words, weight.tolist(), strict=True):
        sums[word] = sums.get(word, 0.0) + w
    best = max(sums, key=sums.__getitem__)
    likely = sorted((word for word in sums if sums[word] > LIKELY * sums[best]), key=lambda word: -sums[word])
    return Judgement(sums.get(right, 0.0), tuple(word for word in likely if word != right))


def stress_units() -> list[tuple[str, float, float, bool]]:
    """[(word, signed factor to eV/Å³, −log of how likely, whether it is a virial)] of stresses."""
    plain = [("eV/Å³", 1.0, 0.0), ("GPa", PRESSURES["gpa"], 4.0), ("kbar", PRESSURES["kbar"], 4.0)]
    plain += [("bar", PRESSURES["bar"], 5.0), ("Hartree/Bohr³", ENERGIES["hartree"] / LENGTHS["bohr"] ** 3, 5.0)]
    plain += [("Ry/Bohr³", ENERGIES["ry"] / LENGTHS["bohr"] ** 3, 6.0), ("kcal/mol/Å³", ENERGIES["kcal/mol"], 6.0)]
    plain += [("Hartree/Å³", ENERGIES["hartree"], 6.0), ("kJ/mol/Å³", ENERGIES["kj/mol"], 6.0)]
    rows = [
        (sign + word, -f if sign else f, c + SIGN * bool(sign), False) for word, f, c in plain for sign in ("", "-")
    ]
    return [*rows, ("virial", 1.0, 4.0, True), ("-virial", -1.0, 6.0, True)]


def units_text(energy: str, forces: str, stress: str = "", positions: str = "") -> str:
    """What ``--units`` wants to hear, as short as it can be; empty where all is in eV and Å.

    >>> units_text("Hartree", "Hartree/Bohr")
    'Hartree,Bohr'
    """
    same = forces.startswith(f"{energy}/") and not energy.startswith("-") and "atom" not in energy
    if same and energy != "eV" and not stress and positions in ("", forces.removeprefix(f"{energy}/")):
        return f"{energy},{forces.removeprefix(f'{energy}/')}"
    named = {"energy": energy, "forces": forces, "stress": stress, "positions": positions}
    right = {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³", "positions": "Å"}
    return ",".join(f"{name}={unit}" for name, unit in named.items() if unit and unit != right[name])
