"""In which units, and with which sign, labels are: pieces of evidence, weighed together.

Every pair of units (energy, forces) is a hypothesis, with a probability before any label was seen.  Each piece of
evidence is a ratio that would be 1 if all labels were in eV and Å: of forces to a potential's, of differences of
energies to a potential's and to the work of the forces, of changes of forces to those of usual springs, of energies to
those of atoms.  How far it may be from 1 although nothing is wrong depends on its correlation and on how many numbers
it is made of (`Slope`, `Trust`).  Bayes' rule adds their logarithms; a label is refused where what is left for eV and
Å is nearly nothing, and what fits better is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tpainn_lite.reading.oddities import BONDS, LOOK, REFUSED, SOUND, left_by_composition
from tpainn_lite.reading.units import ENERGIES, LENGTHS, PRESSURES
from tpainn_lite.structures.geometry import composition_of

WIDE = 16.0  # nats: ratios that mean nothing lie anywhere in such a range
TOO_LARGE = 1.3  # nats; labels much larger than what they are compared with are rarer than smaller ones, as of minima
RARE = {"ev": 0.0, "hartree": 4.0, "kcal/mol": 4.0, "kj/mol": 4.0, "ry": 4.5, "mev": 7.0}  # −log of how likely it is
NAMES = {"ev": "eV", "hartree": "Hartree", "kcal/mol": "kcal/mol", "kj/mol": "kJ/mol", "ry": "Ry", "mev": "meV"}
LENGTH_NAMES = {"å": "Å", "bohr": "Bohr", "nm": "nm"}
USUAL_LENGTHS = {("hartree", "bohr"), ("ry", "bohr"), ("kj/mol", "nm")}  # beside any energy over Å
SIGN, MINUS, ATOM, LENGTH, TOGETHER = 3.0, 7.0, 4.0, 5.0, 3.5  # nats: gradients, −energy, per atom, odd length, a pair
FOREIGN_SIGN = 1.5  # nats; programs that print Hartree/Bohr print gradients, those that print GPa or kbar a pressure
PRESSURE = ("GPa", "kbar", "bar")
REFUSE, DOUBT, LIKELY = 0.1, 0.5, 0.1  # probability of eV and Å, below which; of the best, for being named with it

# eV per atom in molecules: with all electrons (B3LYP), with valence electrons alone (pseudopotentials), of GFN2-xTB,
# from atoms without spin (PAW in VASP), from free atoms
ALL_ELECTRONS = {1: -16.6, 6: -1036.2, 7: -1489.1, 8: -2046.5, 9: -2716.9}
TABLES = (  # (how usual, spread in nats, energies)
    (0.3, 0.003, ALL_ELECTRONS),
    (0.05, 0.01, ALL_ELECTRONS),  # Hartree-Fock, small bases
    (0.2, 0.05, {1: -17.0, 6: -151.0, 7: -270.0, 8: -440.0, 9: -662.0}),
    (0.1, 0.007, {1: -13.86, 6: -58.26, 7: -78.69, 8: -110.06, 9: -128.17}),
    (0.1, 0.05, {1: -3.8, 6: -8.9, 7: -8.2, 8: -6.6, 9: -4.1}),
    (0.05, 0.15, {1: -2.8, 6: -7.0, 7: -4.5, 8: -4.5, 9: -3.0}),
)
ELEMENTS_TELL = 4.0  # times as likely, for each further element whose share of the energy fits
HIGHEST, IMPOSSIBLE = 20.0, 0.01  # eV per atom above any zero that is in use; how likely that is all the same
ELSEWHERE, ANYWHERE = 0.25, 0.01  # how usual other zeros are: within 1 eV per atom (a minimum, a force field), anywhere


@dataclass(frozen=True)
class Trust:
    """How far a ratio may be from what is expected, in nats: at best, and for what the correlation lacks; how often the
    size means nothing at all (``chance``), and how often nothing means anything where there is no correlation."""

    base: float
    per_loss: float
    chance: float
    blind: float = 1.0

    def spread(self, r: float) -> float:
        """Standard deviation in nats at a correlation."""
        return float(np.hypot(self.base, self.per_loss * np.sqrt((1 - r**2) / max(r**2, 0.25))))


OF_FORCES, OF_STRESS = Trust(0.15, 0.4, 0.0005), Trust(0.5, 0.5, 0.0005)
OF_ENERGIES, OF_WORK, OF_SPRINGS = Trust(0.35, 0.5, 0.02, 0.3), Trust(0.15, 0.8, 0.01), Trust(1.0, 0.5, 0.05)


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

    def log_likelihood(self, expected: NDArray, trust: Trust) -> NDArray:
        """log p(this | the slope is expected to be so), for many expectations (n,), signed."""
        r = abs(self.certain)
        spread = trust.spread(r)
        by_chance = (1 - min(self.correlation**2, 1.0)) ** (self.freedom / 2)
        useless = max(trust.blind * (1 - r) ** 3, by_chance)
        wrong_sign = 0.5 * (1 - r) ** 4 + 0.02 * trust.chance
        off = np.log(self.ratio / np.abs(expected))
        agrees = np.where(np.sign(expected) == np.sign(self.correlation), 1 - wrong_sign, wrong_sign)
        fits = np.exp(-0.5 * (off / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        anywhere = np.exp(-0.5 * (np.maximum(off, 0.0) / TOO_LARGE) ** 2) / WIDE
        of_size = (1 - trust.chance) * fits + trust.chance * anywhere
        return np.log((1 - useless) * of_size * agrees + useless * anywhere / 2 + 1e-12)


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
        cost = RARE[name] + MINUS * (sign < 0) + ATOM * per_atom
        word = "-" * (sign < 0) + NAMES[name] + "/atom" * per_atom
        yield sign * ENERGIES[name], per_atom, cost, name, word


def _force_units():
    for name, length, sign in product(RARE, LENGTHS, (1, -1)):
        is_usual = (name, length) in USUAL_LENGTHS
        cost = RARE[name] + (FOREIGN_SIGN if is_usual else SIGN) * (sign < 0)
        cost += LENGTH * (length != "å" and not is_usual) + 1.0 * (length == "å" and name in ("hartree", "ry"))
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
    """log p(energies | units), by energies of atoms, counted from the zeros that are in use."""
    elements, counts = composition_of(numbers)
    n = counts.sum(axis=1)
    known = set(elements) <= ALL_ELECTRONS.keys()
    tables = TABLES if known else ((0.35, 0.025, {z: free_atom(z) for z in elements}),)
    again = ELEMENTS_TELL ** min(int(np.linalg.matrix_rank(counts)) - 1, 3)  # chance fits one composition, not several
    total = np.zeros(len(guesses.energy))
    for per_atom in (False, True):
        of, values = guesses.per_atom == per_atom, energies * (n if per_atom else 1.0)
        units = guesses.energy[of]
        each = units * np.median(values / n)  # eV per atom
        lowest = units * np.median(values / (counts @ [tables[0][2][z] for z in elements]))
        near_zero = ELSEWHERE / np.maximum(np.abs(each), 1.0) if known else ELSEWHERE
        total[of] = (near_zero + ANYWHERE) / WIDE / 2 * np.where((each < HIGHEST) & (lowest < 1.05), 1.0, IMPOSSIBLE)
        for usual, spread, table in tables:
            ratio = values / (counts @ [table[z] for z in elements])
            logs = np.log(np.maximum(np.abs(ratio), 1e-12))
            if np.ptp(np.sign(ratio)) == 0 and logs.std() < 2 * spread:
                off = (np.median(logs) + np.log(np.abs(units))) / spread
                fits = usual * again * np.exp(-0.5 * off**2) / (spread * np.sqrt(2 * np.pi))
                total[of] += fits * (np.sign(units) == np.sign(ratio[0]))
    return np.log(total)


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
    """What the evidence says of one kind of label: how likely it is right, what else it may be in, a verdict."""

    right: float
    units: tuple[str, ...]
    verdict: str


def weigh(log_posterior: NDArray, words: Sequence[tuple[str, ...]], labels: Sequence[int] = (0,)) -> list[Judgement]:
    """Judgements of labels, which are columns of ``words``, where the first of all hypotheses is right for all.

    The verdict is of all labels together; to blame are those that the most likely of the others changes.

    >>> weigh(np.log([0.01, 0.99]), [("eV",), ("Hartree",)])[0].units
    ('Hartree',)
    """
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    names = np.array(words)[:, labels]
    is_right = (names == names[0]).all(axis=1)
    best = names[np.argmax(np.where(is_right, -1.0, weight))]
    right = float(weight[is_right].sum())
    verdict = REFUSED if right < REFUSE else LOOK if right < DOUBT else SOUND
    found = []
    for column, first, instead in zip(names.T, names[0], best, strict=True):
        sums = {str(word): float(weight[column == word].sum()) for word in dict.fromkeys(column)}
        own = sums.pop(first)
        likely = [word for word in sums if sums[word] >= LIKELY * max(sums.values())]
        likely.sort(key=lambda word: (word != instead, -sums[word]))
        found.append(Judgement(own, tuple(likely), verdict if instead != first else SOUND))
    return found


def stress_units() -> list[tuple[str, float, float, bool]]:
    """[(word, signed factor to eV/Å³, −log of how likely, whether it is a virial)] of stresses."""
    plain = [("eV/Å³", 1.0, 0.0), ("GPa", PRESSURES["gpa"], 4.0), ("kbar", PRESSURES["kbar"], 4.0)]
    plain += [("bar", PRESSURES["bar"], 5.0), ("Hartree/Bohr³", ENERGIES["hartree"] / LENGTHS["bohr"] ** 3, 5.0)]
    plain += [("Ry/Bohr³", ENERGIES["ry"] / LENGTHS["bohr"] ** 3, 6.0), ("kcal/mol/Å³", ENERGIES["kcal/mol"], 6.0)]
    plain += [("Hartree/Å³", ENERGIES["hartree"], 6.0), ("kJ/mol/Å³", ENERGIES["kj/mol"], 6.0)]
    rows = [
        (sign + word, -f if sign else f, c + (FOREIGN_SIGN if word in PRESSURE else SIGN) * bool(sign), False)
        for word, f, c in plain
        for sign in ("", "-")
    ]
    return [*rows, ("virial", 1.0, 6.0, True), ("-virial", -1.0, 7.0, True)]


def units_text(found: Mapping[str, str]) -> str:
    """What ``--units`` wants to hear, as short as it can be, of units {label: unit}.

    >>> units_text({"energies": "Hartree", "forces": "Hartree/Bohr"})
    'Hartree,Bohr'
    """
    energy, _, length = found.get("forces", "").rpartition("/")
    is_short = energy == found.get("energies") and found.keys() <= {"energies", "forces", BONDS}
    if is_short and "-" not in energy and found.get(BONDS, length) == length:
        return f"{energy},{length}"
    names = {"energies": "energy", "forces": "forces", "stress": "stress", BONDS: "positions"}
    return ",".join(f"{name}={found[test]}" for test, name in names.items() if test in found)
