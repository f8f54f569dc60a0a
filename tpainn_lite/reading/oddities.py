"""What frames show by themselves that may be wrong with them: no potential is asked, so all of a large set is seen.

Each test gives a `Finding`: what was looked at, what was found, and how much it matters.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from tpainn_lite.reading.units import BOHR_LIKE, bond_ratio
from tpainn_lite.structures.geometry import bonds_of, composition_of, is_boxed, whole_molecules

SOUND, LOOK, REFUSED = "sound", "look at this", "refused"
BONDS = "lengths of bonds"  # the test of positions
MIXTURE = "one kind of labels"  # the test that all frames of a file have labels in the same units
VERDICTS = (SOUND, LOOK, REFUSED)  # from the best to the worst
LOOKED_AT = 40  # frames, where each costs a search for bonds
FAR, FARTHEST = 40.0, 10.0  # an energy is odd so many usual deviations from the others, and so many eV
APART, LEAST_APART = 8.0, 0.15  # the same where a potential says what to expect, both per root of the number of atoms
FEW = 0.1  # of the frames; where more are odd, it is what they are compared with
STRONG, STRONGER = 50.0, 20.0  # eV/Å; times the usual largest force of a frame
NET = 0.3  # of what forces without any relation would add up to
MANY = 16  # molecules, that may be a liquid
CROWDED = 0.1  # g/cm³; less is a gas
NAMED = 5  # frames that a sentence names


@dataclass(frozen=True)
class Finding:
    """One row of a data check: what was looked at, what was found, a verdict, frames' numbers, units that fit better.

    >>> Finding("net force", "none").verdict
    'sound'
    """

    test: str
    found: str
    verdict: str = SOUND
    frames: tuple[int, ...] = ()
    units: str = ""


def numbers_of(frames: Sequence[int]) -> str:
    """Numbers of frames in a sentence.

    >>> numbers_of([3, 8])
    'frames 3, 8'
    """
    more = f" and {len(frames) - NAMED} more" if len(frames) > NAMED else ""
    return f"frame{'s' * (len(frames) > 1)} {', '.join(map(str, frames[:NAMED]))}{more}"


def labels_of(frames: Sequence[Atoms], key: str) -> dict[int, NDArray]:
    """{number of the frame: label}, of the frames that have it."""
    results = {k: atoms.calc.results for k, atoms in enumerate(frames) if atoms.calc is not None}
    return {k: np.asarray(found[key], float) for k, found in results.items() if key in found}


def spaced(n: int, most: int = LOOKED_AT) -> list[int]:
    """Up to ``most`` of n numbers, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int)).tolist()


# --- positions ---


def find_lengths(frames: Sequence[Atoms]) -> Finding:
    """Whether bonds are as long as bonds in Å are."""
    ratio = bond_ratio(frames)
    if ratio is None:
        return Finding(BONDS, "there are no bonds to measure")
    found = f"{ratio:.2f} × the usual lengths"
    has_hydrogen = any((frames[k].numbers == 1).any() for k in spaced(len(frames)))
    if BOHR_LIKE[0] < ratio < BOHR_LIKE[1]:
        return Finding(BONDS, f"{found}: positions in Bohr", *((REFUSED, (), "Bohr") if has_hydrogen else (LOOK,)))
    if ratio < 0.3:
        return Finding(BONDS, f"{found}: positions in nm", REFUSED, (), "nm")
    return Finding(BONDS, found, LOOK if not 0.7 < ratio <= BOHR_LIKE[0] else SOUND)


def is_droplet(atoms: Atoms) -> bool:
    """Whether a structure without a cell holds many molecules near each other: a droplet, or a liquid without its cell.

    >>> is_droplet(Atoms("Ar2", [[0, 0, 0], [0, 0, 4]]))
    False
    """
    if atoms.pbc.any() or len(atoms) < MANY:
        return False
    n = len(_molecules(atoms)[0])
    return n >= MANY and _crowding(atoms, n) > CROWDED


def has_lone_hydrogen(atoms: Atoms) -> bool:
    """Whether hydrogen atoms stand alone, as where the walls of a cell that is not there any more cut molecules."""
    sizes, member = _molecules(atoms)
    return bool(((sizes[member] == 1) & (atoms.numbers == 1)).any())


def _crowding(atoms, n):
    """g/cm³, in the box around the atoms, which ends half a molecule's width beyond them."""
    sides = np.ptp(atoms.positions, axis=0)
    width = (max(float(np.prod(np.maximum(sides, 1.0))), 1.0) / n) ** (1 / 3)
    return atoms.get_masses().sum() / float(np.prod(sides + width / 2)) * 1.66054


def _molecules(atoms):
    """(atoms in each molecule, molecule of each atom), without a cell."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    bonds, n = bonds_of(Atoms(atoms.numbers, atoms.positions)), len(atoms)
    member = connected_components(coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n)))[1]
    return np.bincount(member), member


def find_cells(frames: Sequence[Atoms]) -> list[Finding]:
    """Liquids without a cell, and molecules that are cut by the walls of theirs."""
    droplets: list[int] = []
    broken: list[int] = []
    cut: list[int] = []
    for k in spaced(len(frames)):
        atoms = frames[k]
        try:
            if is_droplet(atoms):
                (broken if has_lone_hydrogen(atoms) else droplets).append(k)
            if atoms.cell.rank == 3 and _is_cut(atoms):
                cut.append(k)
        except ValueError:  # a structure that makes no sense; others say so
            continue
    findings = []
    if broken:
        text = (
            f"{numbers_of(broken)}: many molecules, some cut, and no cell: a liquid whose Lattice and pbc are missing?"
        )
        findings.append(Finding("cell", text, LOOK, tuple(broken)))
    if droplets:
        text = (
            f"{numbers_of(droplets)}: many molecules without a cell, a droplet in vacuum; a liquid needs Lattice, pbc"
        )
        findings.append(Finding("cell", text, SOUND, tuple(droplets)))
    if cut and is_boxed(frames[cut[0]]):
        text = "the walls of the cell cut molecules, which is no harm; --unwrap writes them whole"
        findings.append(Finding("molecules", text, SOUND, tuple(cut)))
    elif cut:
        text = f"{numbers_of(cut)}: a cell whose walls cut molecules, but pbc is false: set pbc"
        findings.append(Finding("cell", text, LOOK, tuple(cut)))
    return findings


def _is_cut(atoms):
    """Whether there are bonds through the walls of the cell."""
    free, boxed = Atoms(atoms.numbers, atoms.positions), atoms.copy()
    boxed.pbc = True
    return len(bonds_of(boxed)) > len(bonds_of(free))


def unwrapped(frames: Sequence[Atoms]) -> list[Atoms]:
    """Copies in which no molecule is cut by the walls of its cell; labels stay.

    >>> unwrapped([Atoms("H2", [[0, 0, 0.1], [0, 0, 9.5]], cell=[10] * 3, pbc=True)])[0].positions[:, 2].round(1)
    array([10.1,  9.5])
    """
    new = []
    for atoms in frames:
        copy = atoms.copy()
        if is_boxed(atoms):
            copy.set_positions(whole_molecules(atoms)[0], apply_constraint=False)
        if atoms.calc is not None:
            copy.calc = SinglePointCalculator(copy, **atoms.calc.results)
        new.append(copy)
    return new


# --- labels ---


def find_levels(frames: Sequence[Atoms]) -> Finding | None:
    """Whether the frames themselves say that their labels are of several levels, whose energies have other zeros."""
    levels = Counter(str(atoms.info["level"]) for atoms in frames if "level" in atoms.info)
    if len(levels) < 2:
        return None
    given = ", ".join(f"{n} of {level}" for level, n in levels.most_common(4))
    usual = levels.most_common(1)[0][0]
    others = tuple(k for k, atoms in enumerate(frames) if str(atoms.info.get("level", usual)) != usual)
    return Finding("levels of theory", f"{given}: train on one of them", LOOK, others)


def find_doubles(frames: Sequence[Atoms]) -> Finding:
    """Structures that are there twice."""
    seen: dict[bytes, int] = {}
    doubles = []
    for k, atoms in enumerate(frames):
        parts = (atoms.numbers, atoms.positions.round(5) + 0.0, atoms.cell.array.round(5) + 0.0, atoms.pbc)
        key = hashlib.blake2b(b"|".join(part.tobytes() for part in parts), digest_size=16).digest()
        if seen.setdefault(key, k) != k:
            doubles.append(k)
    if not doubles:
        return Finding("duplicates", "none")
    text = f"{len(doubles)} of {len(frames)} frames are copies of others: {numbers_of(doubles)}"
    return Finding("duplicates", text, LOOK, tuple(doubles))


def find_net_force(frames: Sequence[Atoms]) -> Finding | None:
    """Whether the forces on the atoms of a frame add up to nothing."""
    forces = labels_of(frames, "forces")
    if not forces:
        return None
    index = np.array(list(forces))
    net = np.array([np.linalg.norm(f.sum(axis=0)) for f in forces.values()])  # eV/Å
    usual = np.array([np.linalg.norm(f) for f in forces.values()])  # eV/Å: of forces that have no relation
    odd = index[(net > NET * np.maximum(usual, 1e-9)) & (net > 0.1)]
    text = f"{np.median(net):.2g} eV/Å in the median frame, {net.max():.2g} at most"
    if len(odd) <= len(index) // 10:
        return Finding("net force", text)
    text += f"; {numbers_of(odd.tolist())}: fixed atoms, a field, or forces that were changed?"
    return Finding("net force", text, LOOK, tuple(odd.tolist()))


def find_outliers(frames: Sequence[Atoms], expected: Mapping[int, float] | None = None) -> list[Finding]:
    """Frames whose energy or largest force is far from that of the others.

    ``expected`` energies, of the frames that they are known of, {number: eV}, from any zero, as of a potential's, show
    smaller oddities: a single calculation that did not converge.
    """
    findings = []
    energies, forces = labels_of(frames, "energy"), labels_of(frames, "forces")
    if len(energies) > 5:
        left = left_by_composition([frames[k].numbers for k in energies], np.array(list(energies.values())))
        far = np.abs(left) > max(FAR * _usual(left), FARTHEST)
        findings.append(_outliers("energies", np.array(list(energies))[far], f"{np.abs(left).max():.3g} eV", "fit"))
        if not findings[0].frames and (unexpected := _unexpected(frames, energies, expected or {})):
            findings = [unexpected]
    if forces:
        largest = np.array([np.abs(f).max(initial=0.0) for f in forces.values()])
        far = (largest > STRONG) & (largest > STRONGER * np.median(largest))
        findings.append(_outliers("forces", np.array(list(forces))[far], f"{largest.max():.3g} eV/Å", "size"))
    return findings


def _unexpected(frames, energies, expected):
    """The finding about energies that are far from the expected ones, apart from what the composition says."""
    both = [k for k in energies if k in expected]
    sizes = np.array([len(frames[k]) for k in both])
    if len(both) < 6 or len(both) < 2 * len(set(np.concatenate([frames[k].numbers for k in both]).tolist())) + 4:
        return None
    differences = np.array([energies[k] - expected[k] for k in both])
    left = np.abs(left_by_composition([frames[k].numbers for k in both], differences))
    far = left / np.sqrt(sizes) > max(APART * _usual(left / np.sqrt(sizes)), LEAST_APART)
    if not 0 < far.sum() <= max(FEW * len(both), 1):
        return None
    return _outliers("energies", np.array(both)[far], f"{left[far].max():.3g} eV", "potential")


def _usual(left):
    return 1.4826 * float(np.median(np.abs(left)))


REASONS = {  # why a frame is an outlier
    "fit": "from what the composition says",
    "potential": "from what a potential expects of them: not converged, or another state?",
    "size": "is the largest",
}


def _outliers(what, frames, largest, kind):
    if not len(frames):
        return Finding(f"outliers, {what}", "none")
    text = f"{numbers_of(frames.tolist())}: up to {largest} {REASONS[kind]}"
    return Finding(f"outliers, {what}", text, LOOK, tuple(frames.tolist()))


def left_by_composition(numbers: Sequence[NDArray], values: NDArray) -> NDArray:
    """What energies (n,) are apart from their best fit by the composition; outliers do not spoil it."""
    _, counts = composition_of(numbers)
    weights = np.ones(len(values))
    left = values
    for _ in range(15):
        root = np.sqrt(weights)[:, None]
        solution = np.linalg.lstsq(counts * root, values * root[:, 0], rcond=1e-8)[0]
        left = values - counts @ solution
        usual = max(float(np.median(np.abs(left))), 1e-9)
        weights = np.minimum(1.0, usual / np.maximum(np.abs(left), 1e-12))
    return left
