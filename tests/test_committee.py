"""A committee gives means, says how far it is apart, and stops a run that leaves what it knows."""

import numpy as np
import pytest
from conftest import lively_potential, shaken

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.committee import Committee, CommitteeCalculator, spread
from tpainn_lite.simulate.md import run_md


@pytest.fixture
def members():
    return [lively_potential(seed=k) for k in range(3)]


def test_a_committee_gives_the_mean_and_the_spread_of_its_members(members, ethanol):
    frames = [shaken(ethanol, seed=k) for k in range(4)]
    committee = Committee(members)
    energies, forces = committee.predict(frames)
    each = [member.predict(frames) for member in members]
    np.testing.assert_allclose(energies, np.mean([e for e, _ in each], axis=0))
    np.testing.assert_allclose(forces[2], np.mean([f[2] for _, f in each], axis=0))
    of_third = np.stack([f[2] for _, f in each])
    assert committee.disagreement(frames)[2] == pytest.approx(spread(of_third).max())


def test_members_that_are_alike_agree(ethanol):
    twins = Committee([lively_potential(seed=1), lively_potential(seed=1)])
    assert twins.disagreement([ethanol]) == pytest.approx(0, abs=1e-12)


def test_spread_is_the_standard_deviation_of_the_vector():
    forces = np.zeros((2, 1, 3))
    forces[0, 0, 0], forces[1, 0, 0] = 1.0, -1.0
    assert spread(forces) == pytest.approx([1.0])


def test_the_calculator_gives_what_predict_gives_and_stress_for_boxes(members, ethanol, water_box):
    calculator = Committee(members).calculator()
    energies, forces = Committee(members).predict([ethanol])
    assert calculator.get_potential_energy(ethanol) == pytest.approx(energies[0])
    np.testing.assert_allclose(calculator.get_forces(ethanol), forces[0], atol=1e-6)
    assert calculator.results["force_spread"].shape == (len(ethanol),)
    each = [PotentialCalculator(member).get_stress(water_box) for member in members]
    np.testing.assert_allclose(calculator.get_stress(water_box), np.mean(each, axis=0), atol=1e-9)


def test_the_frames_that_are_picked_are_doubtful_ones(members, ethanol):
    frames = [shaken(ethanol, seed=k, by=0.02 + 0.02 * k) for k in range(12)]
    committee = Committee(members)
    picked, doubt = committee.pick(frames, 2), committee.disagreement(frames)
    kept = [doubt[k] for k, frame in enumerate(frames) if any(frame is p for p in picked)]
    assert len(kept) == 2 and min(kept) >= np.sort(doubt)[-6]
    with pytest.raises(ValueError, match="n is 13; 1 to 12"):
        committee.pick(frames, 13)


def test_a_run_stops_where_the_committee_disagrees(members, ethanol):
    calculator = Committee(members).calculator()
    limits = {"n_steps": 20, "every": 2, "stop_when_broken": False, "progress": False}
    run = run_md(ethanol, calculator, max_disagreement=1e-6, **limits)
    assert "disagrees by" in run.stopped and "1e-06 eV/Å allowed" in run.stopped and len(run.frames) == 2
    with pytest.raises(ValueError, match="max_disagreement needs a committee's calculator"):
        run_md(ethanol, PotentialCalculator(members[0]), max_disagreement=1.0, **limits)


def test_one_member_is_no_committee(members):
    with pytest.raises(ValueError, match="1 potentials cannot disagree"):
        Committee(members[:1])


@pytest.mark.parametrize("potentials", [None, "word", 5, [None, None], ["a", "b"]], ids=str)
def test_a_committee_of_what_is_no_potential_is_an_error(potentials):
    for make in (Committee, CommitteeCalculator):
        with pytest.raises(TypeError, match=r"Potentials? (is|are)? ?expected|a list of at least 2 Potentials"):
            make(potentials)


def test_members_for_other_elements_are_an_error(members):
    other = lively_potential(seed=9)
    other.set_atomref({1: -1.0})
    with pytest.raises(ValueError, match=r"member 3 knows H, member 0 H, .*; potentials for the same elements"):
        Committee([*members, other])


@pytest.mark.parametrize("frames", [None, "word", [], [5]], ids=str)
def test_a_committee_is_asked_about_frames_alone(members, frames):
    committee = Committee(members)
    for ask in (committee.predict, committee.disagreement, lambda frames: committee.pick(frames, 1)):
        with pytest.raises((ValueError, TypeError), match=r"ase\.Atoms is expected"):
            ask(frames)
