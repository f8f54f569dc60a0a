"""Whether labels can be believed: units and signs by evidence, and what else is odd about a set of frames.

Labels in Hartree, gradients instead of forces or a stress in GPa train without a word, and the errors printed then
look superb.  A pretrained potential, however rough, knows how large forces are and where they point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.model.answers import (
    Answers,
    ask,
    energy_slopes,
    force_slope,
    full_stress,
    potential_for,
    sample_of,
    stress_slopes,
    work_slopes,
)
from tpainn_lite.model.mixture import find_mixture
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.reading.evidence import (
    Judgement,
    Slope,
    growth_of_energies,
    hypotheses,
    size_of_energies,
    stress_units,
    units_text,
    weigh,
)
from tpainn_lite.reading.oddities import (
    LOOK,
    REFUSED,
    SOUND,
    VERDICTS,
    Finding,
    find_cells,
    find_doubles,
    find_lengths,
    find_net_force,
    find_outliers,
    labels_of,
)
from tpainn_lite.reading.units import convert
from tpainn_lite.structures.checks import check_frames

GUESSES = hypotheses()
IN = "in "
SURE, ODD = 0.8, 2.5  # correlation; ratio to a potential's forces beyond which something is odd
CHANCE = 0.01  # that few differences of energies agree with anything for no reason
ENOUGH = 0.6  # correlation; less is no comparison
USUAL_FORCE, USUAL_STRESS = 1.0, 0.02  # eV/Å, eV/Å³: root mean square in ordinary sets
FORCE_SPREAD, STRESS_SPREAD = 1.5, 2.0  # nats


@dataclass
class DataCheck:
    """What a data check found.

    ``verdict`` is "sound", "look at this" or "refused"; ``rows`` are its findings; ``units`` is what `convert` and
    ``--units`` need where labels are refused; ``compared`` has, for the figure, {label: (the potential's, the labels)}.

    >>> DataCheck(1, [Finding("net force", "none")]).verdict
    'sound'
    """

    n_frames: int
    rows: list[Finding]
    units: str = ""
    name: str = ""
    compared: dict[str, tuple[NDArray, NDArray]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The worst of all rows."""
        return max((row.verdict for row in self.rows), key=VERDICTS.index, default=SOUND)

    @property
    def reasons(self) -> list[str]:
        """What is not sound, in sentences, the worst first."""
        odd = sorted((row for row in self.rows if row.verdict != SOUND), key=lambda row: -VERDICTS.index(row.verdict))
        return [f"{row.test}: {row.found}" for row in odd]

    def __repr__(self) -> str:
        """A short table."""
        width = max((len(row.test) for row in self.rows), default=0)
        marks = {SOUND: " ", LOOK: "?", REFUSED: "!"}
        lines = [f"{marks[row.verdict]} {row.test:{width}}  {row.found}" for row in self.rows]
        advice = f"; units={self.units!r} converts them" if self.units else ""
        return "\n".join([f"{self.n_frames} frames: {self.verdict}{advice}", *lines])


def check_data(frames: Sequence[Atoms], potential: Potential | None = None) -> DataCheck:
    """Test labels and structures of a data set: units and signs against evidence, and what is odd.

    A potential is asked about up to 48 frames; all else is looked at in all of them.

    Parameters
    ----------
    frames
        With labels in ``atoms.calc.results``, energies, forces and stress, whichever are there.
    potential
        That the labels are compared with; unless given, the shipped one that knows the elements, if there is one.

    Raises
    ------
    DatasetError, TypeError
        No frames, or something else.

    >>> from tpainn_lite import load_molecules
    >>> check_data(load_molecules("valid")).verdict
    'sound'
    """
    check_frames(frames)
    name = "the potential"
    if potential is None:
        name, potential = potential_for(frames)
    else:
        check_potential(potential)
    lengths = find_lengths(frames)
    sample = {k: frames[k] for k in sample_of(frames)}
    if lengths.verdict == REFUSED:
        sample = dict(zip(sample, convert(list(sample.values()), f"positions={_unit_of(lengths)}"), strict=True))
    return judge(frames, sample, ask(potential, sample, name), lengths)


def judge(frames: Sequence[Atoms], sample: Mapping[int, Atoms], answers: Answers, lengths: Finding) -> DataCheck:
    """`check_data`, where a potential's answers about a sample of the frames, in Å, are known."""
    rows = [lengths, *find_cells(frames), *_found_by_labels(sample, answers)]
    energy, forces, stress = (_units_of(rows, label) for label in ("energies", "forces", "stress"))
    positions = _unit_of(lengths) if lengths.verdict == REFUSED else ""
    units = units_text(energy, forces, stress, positions)
    rows += find_mixture(frames, sample, answers)
    rows += [row for row in (find_net_force(frames), find_doubles(frames), *find_outliers(frames)) if row is not None]
    return DataCheck(len(frames), rows, units, answers.name, _compared(sample, answers))


def _unit_of(lengths):
    return "nm" if "nm" in lengths.found else "Bohr"


def _units_of(rows, label):
    """The units that a finding names first, where any label is refused."""
    if all(row.verdict != REFUSED for row in rows):
        return ""
    found = next((row.found for row in rows if row.test == label and row.verdict != SOUND), "")
    return found.removeprefix(IN).split(" ")[0].rstrip(",") if found.startswith(IN) else ""


def _compared(sample, answers):
    """{label: (the potential's, the labels)}: components of forces in eV/Å, of stress in eV/Å³."""
    found = {}
    for name, said, shape in (("forces", answers.forces, np.ravel), ("stress", answers.stress, _full)):
        own = labels_of_sample(sample, name)
        both = [k for k in own if k in said]
        if both:
            found[name] = (
                np.concatenate([said[k].ravel() for k in both]),
                np.concatenate([shape(own[k]) for k in both]),
            )
    return found


def _full(stress):
    return full_stress(stress).ravel()


def labels_of_sample(sample: Mapping[int, Atoms], key: str) -> dict[int, NDArray]:
    """{number of the frame: label}, of the frames that have it."""
    found = labels_of(list(sample.values()), key)
    return {k: found[place] for place, k in enumerate(sample) if place in found}


# --- units ---


def _found_by_labels(sample, answers):
    """Findings about energies, forces and stress."""
    energies, forces = (labels_of_sample(sample, key) for key in ("energy", "forces"))
    log_posterior = GUESSES.log_prior.copy()
    rows = []
    if energies:
        log_posterior += _of_energies(sample, energies)
    slopes = energy_slopes(sample, energies, answers)
    works = work_slopes(sample)
    for whole, (slope, work) in enumerate(zip(slopes, works, strict=True)):
        of = GUESSES.per_atom == bool(whole)
        if slope:
            log_posterior[of] += slope.log_likelihood(1 / GUESSES.energy[of], 0.4, 0.6, CHANCE)
        if work:
            log_posterior[of] += work.log_likelihood(GUESSES.forces[of] / GUESSES.energy[of], 0.15, 0.8, CHANCE)
    against = force_slope(forces, answers)
    if against:
        log_posterior += against.log_likelihood(1 / GUESSES.forces, 0.15, 0.4)
    elif forces:
        log_posterior += _of_size(_rms(forces), USUAL_FORCE, FORCE_SPREAD, GUESSES.forces, below=True)
    evidence = _words([(f"{answers.name}'s", slopes[0]), ("the work of the forces", works[0])])
    if energies:
        sizes = [energy / len(sample[k]) for k, energy in energies.items()]
        evidence = ", differences ".join(filter(None, [f"{np.median(sizes):.4g} for each atom", evidence]))
        rows.append(_finding("energies", weigh(log_posterior, [word for word, _ in GUESSES.words], "eV"), evidence))
    evidence = _words([(f"{answers.name}'s", against)])
    if forces:
        judgement = weigh(log_posterior, [word for _, word in GUESSES.words], "eV/Å")
        rows.append(_finding("forces", judgement, evidence, is_odd=against is not None and _is_odd(against)))
    return rows + _of_stress(sample, answers)


def _of_energies(sample, energies):
    """log p(energies | units), by their size and by how they grow with the structure."""
    numbers, values = [sample[k].numbers for k in energies], np.array(list(energies.values()))
    growth = growth_of_energies(numbers, values)
    return size_of_energies(numbers, values, GUESSES) + np.where(GUESSES.per_atom, growth, 0.0)


def _rms(labels):
    return float(np.sqrt(np.mean(np.concatenate([np.ravel(x) for x in labels.values()]) ** 2)))


def _of_size(size, usual, spread, factors, below=False):
    """log p(a size | units) of labels that there is nothing to compare with; ``below`` the usual size all is usual."""
    if not size > 0:
        return np.zeros(len(factors))
    off = np.log(size * np.abs(factors) / usual) / spread
    return -0.5 * (np.maximum(off, 0.0) if below else off) ** 2


def _of_stress(sample, answers):
    stress = labels_of_sample(sample, "stress")
    if not stress or not _rms(stress) > 0:
        return []
    units = stress_units()
    factors, is_virial = np.array([f for _, f, _, _ in units]), np.array([v for *_, v in units])
    log_posterior = -np.array([cost for _, _, cost, _ in units])
    slopes = stress_slopes(sample, stress, answers)
    for virial, slope in enumerate(slopes):
        of = is_virial == bool(virial)
        if slope:
            log_posterior[of] += slope.log_likelihood(1 / factors[of], 0.5, 0.5)
    if not slopes[0]:
        volume = np.median([sample[k].get_volume() for k in stress if sample[k].cell.rank == 3] or [1.0])
        log_posterior += _of_size(_rms(stress), USUAL_STRESS, STRESS_SPREAD, factors / np.where(is_virial, volume, 1.0))
    judgement = weigh(log_posterior, [word for word, *_ in units], "eV/Å³")
    return [_finding("stress", judgement, _words([(f"{answers.name}'s", slopes[0])]))]


def _words(evidence: Sequence[tuple[str, Slope | None]]) -> str:
    """Slopes in words: "0.019 × gas_xtb's (correlation 0.97)"."""
    said = [(name, slope) for name, slope in evidence if slope is not None and abs(slope.certain) > ENOUGH]
    return ", ".join(
        f"{np.sign(s.correlation) * s.ratio:.3g} × {name} (correlation {s.correlation:.2f})" for name, s in said
    )


def _is_odd(slope: Slope) -> bool:
    """Whether labels are much larger or smaller than a potential's, which they follow all the same."""
    return slope.certain > SURE and not 1 / ODD < slope.ratio < ODD


def _finding(label: str, judgement: Judgement, evidence: str, is_odd: bool = False) -> Finding:
    evidence = evidence or ("by their size" if judgement.is_doubted else "nothing to compare with")
    if judgement.is_refused or (judgement.is_doubted and judgement.units):
        verdict = REFUSED if judgement.is_refused else LOOK
        likely = " or ".join(judgement.units[:3])
        return Finding(label, f"{IN}{likely}, it seems: {evidence}", verdict)
    if is_odd:
        return Finding(label, f"{evidence}, as in no usual unit", LOOK)
    return Finding(label, evidence, LOOK if judgement.is_doubted else SOUND)
