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
    expect,
    force_slope,
    full_stress,
    potential_for,
    sample_of,
    steps_between,
    stress_slopes,
)
from tpainn_lite.model.mixture import find_mixture, find_zeros
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.reading.evidence import (
    OF_ENERGIES,
    OF_FORCES,
    OF_SPRINGS,
    OF_STRESS,
    OF_WORK,
    Judgement,
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
    find_levels,
    find_net_force,
    find_outliers,
    labels_of,
)
from tpainn_lite.reading.units import convert
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import check_frames

GUESSES = hypotheses()
SURE, ODD = 0.8, 2.5  # correlation; ratio to a potential's forces beyond which something is odd
ENOUGH, KNOWN = 0.6, 0.98  # correlation; probability of eV: less is no comparison
UNLIKE, MANY_ATOMS, LARGE = 0.3, 30, 0.3  # correlation; atoms, and eV/Å in the root mean square, to tell it by
USUAL_FORCE, USUAL_STRESS, USUAL_SPRING = 1.0, 0.02, 8.0  # eV/Å, eV/Å³, eV/Å²: root mean square in ordinary sets
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

    A potential is asked about forces of up to 48 frames, and about energies of as many as take it a second; all else is
    looked at in all of them.

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
    if empty := [k for k, atoms in enumerate(frames) if not len(atoms)]:
        raise DatasetError(f"frame {empty[0]} has no atoms; at least one is expected")
    name = "the potential"
    if potential is None:
        name, potential = potential_for(frames)
    else:
        check_potential(potential)
    lengths = find_lengths(frames)
    sample = {k: frames[k] for k in sample_of(frames)}
    if lengths.verdict == REFUSED:
        sample = dict(zip(sample, convert(list(sample.values()), f"positions={lengths.units}"), strict=True))
    answers = ask(potential, sample, name)
    if potential is not None and lengths.verdict != REFUSED:
        expect(potential, frames, answers)
    return judge(frames, sample, answers, lengths)


def judge(frames: Sequence[Atoms], sample: Mapping[int, Atoms], answers: Answers, lengths: Finding) -> DataCheck:
    """`check_data`, where a potential's answers about a sample of the frames, in Å, are known."""
    levels = find_levels(frames) or find_zeros(frames, answers)
    sample = {k: atoms for k, atoms in sample.items() if levels is None or k not in levels.frames}
    rows = [lengths, *find_cells(frames), *_found_by_labels(sample, answers)]
    is_refused = any(row.verdict == REFUSED for row in rows)
    units = units_text({row.test: row.units for row in rows if row.units and row.verdict != SOUND}) * is_refused
    rows += find_mixture(frames, sample, answers)
    others = (levels, find_net_force(frames), find_doubles(frames), *find_outliers(frames, answers.energy))
    rows += [row for row in others if row is not None]
    return DataCheck(len(frames), rows, units, answers.name, _compared(sample, answers))


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
    slopes, against, steps = (
        energy_slopes(sample, energies, answers),
        force_slope(forces, answers),
        steps_between(sample),
    )
    log_posterior = GUESSES.log_prior + _of_energies(sample, energies, slopes) + _of_forces(forces, against, steps)
    labels = [column for column, of in enumerate((energies, forces)) if of]
    judgements = dict(zip(labels, weigh(log_posterior, GUESSES.words, labels), strict=True)) if labels else {}
    rows = []
    if energies:
        size = f"{np.median([energy / len(sample[k]) for k, energy in energies.items()]):.4g} for each atom"
        compared = [
            _words(slopes[0], f"{answers.name}'s"),
            _words(steps and steps.works()[0], "the work of the forces"),
        ]
        differences = ", ".join(filter(None, compared))
        unknown = "nothing to compare with" * (judgements[0].verdict == SOUND and judgements[0].right < KNOWN)
        evidence = f"{size}, differences {differences}" if differences else ", ".join(filter(None, [size, unknown]))
        nothing = Finding("energies", "all are zero", LOOK) if forces and not any(energies.values()) else None
        rows.append(nothing or _finding("energies", judgements[0], evidence))
    if forces:
        is_odd = against is not None and against.certain > SURE and not 1 / ODD < against.ratio < ODD
        unlike = _unlike(against, forces, answers) if judgements[1].verdict == SOUND else None
        rows.append(unlike or _finding("forces", judgements[1], _words(against, f"{answers.name}'s"), is_odd))
    return rows + _of_stress(sample, answers)


def _unlike(against, forces, answers):
    """A finding where forces of structures that a potential knows have nothing to do with the potential's."""
    asked = {k: forces[k] for k in forces if k in answers.forces}
    if sum(map(len, asked.values())) < MANY_ATOMS or not _rms({k: answers.forces[k] for k in asked}) > LARGE:
        return None
    if not _rms(asked) > 0:
        return Finding("forces", f"all are zero, unlike {answers.name}'s", LOOK)
    if against is None or not _rms(asked) > LARGE or not abs(against.correlation) < UNLIKE:
        return None
    words = f"of other frames, in another order, or turned? Correlation {against.correlation:.2f} with {answers.name}'s"
    return Finding("forces", words, LOOK)


def _of_energies(sample, energies, slopes):
    """log p(energies | units), by their size, by how they grow with the structure, by a potential's differences."""
    log_likelihood = np.zeros(len(GUESSES.energy))
    if energies:
        numbers, values = [sample[k].numbers for k in energies], np.array(list(energies.values()))
        log_likelihood += size_of_energies(numbers, values, GUESSES)
        log_likelihood += np.where(GUESSES.per_atom, growth_of_energies(numbers, values), 0.0)
    return log_likelihood + _by_kind(slopes, GUESSES.per_atom, 1 / GUESSES.energy, OF_ENERGIES)


def _of_forces(forces, against, steps):
    """log p(forces, changes of energies | units), by a potential's forces, or by their size; by their work."""
    log_likelihood = np.zeros(len(GUESSES.forces))
    if steps:
        log_likelihood += _by_kind(steps.works(), GUESSES.per_atom, GUESSES.forces / GUESSES.energy, OF_WORK)
    if against:
        return log_likelihood + against.log_likelihood(1 / GUESSES.forces, OF_FORCES)
    if forces:
        log_likelihood += _of_size(_rms(forces), USUAL_FORCE, FORCE_SPREAD, GUESSES.forces, below=True)
    springs = steps and steps.springs()
    return log_likelihood + (springs.log_likelihood(USUAL_SPRING / GUESSES.forces, OF_SPRINGS) if springs else 0.0)


def _by_kind(slopes, kind, expected, trust):
    """log p(slopes | units): the first counts for hypotheses where ``kind`` is false, the second where it is true."""
    log_likelihood = np.zeros(len(expected))
    for is_second, slope in enumerate(slopes):
        if slope:
            of = kind == bool(is_second)
            log_likelihood[of] = slope.log_likelihood(expected[of], trust)
    return log_likelihood


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
    log_posterior += _by_kind(slopes, is_virial, 1 / factors, OF_STRESS)
    if not slopes[0]:
        volume = np.median([sample[k].get_volume() for k in stress if sample[k].cell.rank == 3] or [1.0])
        log_posterior += _of_size(_rms(stress), USUAL_STRESS, STRESS_SPREAD, factors / np.where(is_virial, volume, 1.0))
    judgement = weigh(log_posterior, [(word,) for word, *_ in units])[0]
    return [_finding("stress", judgement, _words(slopes[0], f"{answers.name}'s"))]


def _words(slope, name):
    """A slope in words: "0.019 × gas_xtb's (correlation 0.97)"; nothing where it means nothing."""
    if slope is None or abs(slope.certain) < ENOUGH:
        return ""
    return f"{np.sign(slope.correlation) * slope.ratio:.3g} × {name} (correlation {slope.correlation:.2f})"


def _finding(label: str, judgement: Judgement, evidence: str, is_odd: bool = False) -> Finding:
    if judgement.verdict != SOUND:
        found = f"in {' or '.join(judgement.units[:3])}, it seems: {evidence or 'by their size'}"
        return Finding(label, found, judgement.verdict, units=judgement.units[0])
    if is_odd:
        return Finding(label, f"{evidence}, as in no usual unit", LOOK)
    return Finding(label, evidence or "nothing to compare with")
