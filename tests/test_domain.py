"""What is unlike everything known is doubted, and the reason is said."""

import numpy as np
import pytest
from conftest import lively_potential, shaken

from tpainn_lite.model.committee import Committee
from tpainn_lite.model.domain import MARGIN, Domain
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.geometry import near_distances


@pytest.fixture(scope="module")
def known():
    return [shaken(molecule("CCO"), seed=k, by=0.03) for k in range(5)]


@pytest.fixture(scope="module")
def domain(known):
    return Domain(Committee([lively_potential(seed=k) for k in range(3)]), known)


def test_what_is_known_is_not_doubted(domain, known):
    assert domain.doubts(known) == [[]] * 5
    assert domain.limit == pytest.approx(MARGIN * domain.committee.disagreement(known).max())


def test_an_element_that_was_never_seen_is_named_and_the_network_not_asked(domain):
    (reasons,) = domain.doubts([molecule("CN")])
    assert reasons == ["element N is in none of the known frames"]


def test_what_was_trained_on_besides_is_met_but_does_not_say_what_is_usual(domain, known):
    wider = Domain(domain.committee, known, trained=[molecule("CN"), molecule("O")])
    assert wider.limit == domain.limit and wider.elements == {1, 6, 7, 8}
    assert wider.distances[1, 7][0] < 1.1 and np.all(wider.distances[6, 6] == domain.distances[6, 6])


def test_atoms_that_come_too_near_are_named(domain, known):
    crushed = known[0].copy()
    crushed.positions *= 0.8
    (reasons,) = domain.doubts([crushed])
    assert any(reason.startswith("H and H are ") for reason in reasons)
    assert any(reason.startswith("C and C are ") and "never nearer than" in reason for reason in reasons)


def test_a_bond_that_is_neither_whole_nor_broken_is_named(domain, known):
    torn = known[0].copy()
    torn.positions[2] += 0.3 * (torn.positions[2] - torn.positions[1])  # O away from C, but not from the next C yet
    (reasons,) = domain.doubts([torn])
    assert any(reason.startswith("C and O are 1.") and "never between 1." in reason for reason in reasons)


def test_elements_that_are_near_for_the_first_time_are_named(domain):
    far = molecule("F") + molecule("F")  # HF, twice
    far.positions[2:] += 5.0
    near = far.copy()
    near.positions[2:] -= 3.6
    (reasons,) = Domain(domain.committee, [far]).doubts([near])
    assert any(reason.startswith("F and F are 2.42 Å apart; never nearer than 8.66 Å") for reason in reasons)
    assert any(reason.startswith("H and F are 2.02 Å apart; never between 0.99 and 3.00 Å") for reason in reasons)


def test_one_wild_frame_among_many_known_ones_does_not_set_the_limit():
    many = [shaken(molecule("CO"), seed=k, by=0.02) for k in range(40)]
    committee = Committee([lively_potential(seed=k) for k in range(3)])
    limit = Domain(committee, many).limit
    wild = shaken(molecule("CO"), seed=0, by=0.3)
    assert committee.disagreement([wild])[0] > committee.disagreement(many).max()
    assert Domain(committee, [*many, wild]).limit < 1.2 * limit


def test_disagreement_beyond_what_is_usual_is_a_reason(domain, known):
    domain.limit, kept = 0.5 * domain.committee.disagreement(known).min(), domain.limit
    try:
        assert all("the committee disagrees by" in reasons[0] for reasons in domain.doubts(known))
    finally:
        domain.limit = kept


def test_near_distances_are_those_through_the_walls_too(water_box):
    found = near_distances(water_box, 3.0)
    assert set(found) == {(1, 1), (1, 8), (8, 8)}
    distances = water_box.get_all_distances(mic=True)
    oxygen = water_box.numbers == 8
    between = distances[np.ix_(oxygen, ~oxygen)]
    assert found[1, 8] == pytest.approx(np.sort(between[between < 3.0]))


def test_a_domain_of_nothing_is_an_error(domain):
    with pytest.raises(ValueError, match="no known structures"):
        Domain(domain.committee, [])


def test_a_domain_of_what_are_no_frames_or_no_committee_is_an_error(domain, known):
    for frames in (None, "word", [5]):
        with pytest.raises(TypeError, match=r"an? .*ase\.Atoms is expected"):
            Domain(domain.committee, frames)
        with pytest.raises(TypeError, match=r"ase\.Atoms is expected"):
            domain.doubts(frames)
    with pytest.raises(TypeError, match="a Committee is expected"):
        Domain(None, known)


def test_frames_that_have_no_contacts_are_an_error_in_a_sentence(domain):
    wild, flat = molecule("CCO"), molecule("CCO")
    wild.positions[0] = np.nan
    flat.pbc = True
    for atoms, message in ((wild, "not a finite number"), (flat, "a side of 0 Å")):
        with pytest.raises(ValueError, match=message):
            domain.doubts([atoms])
