"""Two threads share an evaluation: the same numbers each time, those of one thread but for the last digit."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
import torch
from conftest import shaken, small_water_box

from tpainn_lite.model import compiled, threads
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.compiled_training import TrainingStep, fast_outputs
from tpainn_lite.model.flat import FlatGraphs
from tpainn_lite.model.graph import graphs_of
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.pairs import FlatPairs
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.program import parts
from tpainn_lite.structures.build import water_box
from tpainn_lite.teachers.parallel import side_by_side

RESULTS = ("energy", "forces", "stress")


@pytest.fixture(scope="module")
def potential():
    return a_potential(64)


def a_potential(n_features, n_interactions=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Potential(PaiNN(n_features, n_interactions, 8, 4.0), {1: -1.0, 8: -2.0}, 2.0).eval()


@pytest.fixture(scope="module")
def box():
    return shaken(water_box(32))


def results(potential, atoms, n_threads, calculator=None):
    torch.set_num_threads(n_threads)
    calculator = calculator or PotentialCalculator(potential, fast=True)
    calculator.reset()
    calculator.calculate(atoms)
    return {name: np.array(calculator.results[name]) for name in RESULTS}


def are_equal(one, other):
    return all(np.array_equal(one[name], other[name]) for name in RESULTS)


@pytest.fixture
def handed_over(monkeypatch):
    """In how many parts each evaluation was done that was shared."""
    seen, really = [], threads.in_parts

    def counted(work, n_parts):
        seen.append(n_parts)
        really(work, n_parts)

    monkeypatch.setattr("tpainn_lite.model.program.in_parts", counted)
    return seen


@pytest.mark.parametrize(("n_features", "n_interactions"), [(64, 3), (48, 2), (64, 1)])
def test_two_threads_give_what_one_gives(n_features, n_interactions, box, handed_over):
    potential = a_potential(n_features, n_interactions)
    one, two = results(potential, box, 1), results(potential, box, 2)
    assert handed_over == [2]
    assert one["energy"] == two["energy"]  # no sum is cut on the way forward
    for name in RESULTS:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-6 * np.abs(one[name]).max())


def test_two_threads_give_the_same_bits_each_time_whatever_was_computed_in_between(potential, box):
    torch.set_num_threads(2)
    calculator, other = PotentialCalculator(potential, fast=True), shaken(water_box(40), seed=1)
    first = results(potential, box, 2, calculator)
    for _ in range(20):
        results(potential, other, 2, calculator)
        results(potential, box, 1, calculator)
        assert are_equal(results(potential, box, 2, calculator), first)


def test_with_one_thread_and_in_small_structures_nothing_is_handed_over(potential, box, handed_over):
    results(potential, box, 1)
    results(potential, small_water_box(), 2)
    assert handed_over == []
    results(potential, box, 2)
    assert handed_over == [2]


def test_a_narrow_network_stays_on_one_thread(box, handed_over):
    results(a_potential(4), box, 8)
    assert handed_over == []


def test_a_training_step_stays_on_one_thread(potential, box, handed_over):
    found = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        batch = FlatPairs(FlatGraphs(graphs_of([box], potential.cutoff)), potential.cutoff).batch([0])
        potential.zero_grad()
        output = fast_outputs(TrainingStep(potential), batch)
        (output["interaction_energy"].sum() + output["forces"].square().sum()).backward()
        found.append([p.grad.clone() for p in potential.painn.parameters() if p.grad is not None])
    assert handed_over == []
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_more_threads_than_cores_agree_too(potential, box, monkeypatch):
    monkeypatch.setattr(compiled, "ATOMS_OF_THREAD", 16)
    one, four = results(potential, box, 1), results(potential, box, 4)
    np.testing.assert_allclose(four["forces"], one["forces"], rtol=0, atol=1e-6 * np.abs(one["forces"]).max())


@pytest.mark.parametrize("n", [96, 97, 192, 203])
@pytest.mark.parametrize("n_parts", [2, 3, 4])
def test_parts_are_whole_and_nearly_equal(n, n_parts):
    begins = parts(n, n_parts, 8)
    assert begins[0] == 0 and begins[-1] == n and (begins[1:-1] % 8 == 0).all()
    assert np.ptp(np.diff(begins)) <= 16


def test_callers_in_several_python_threads_get_the_same_numbers(potential, box):
    expected, found = results(potential, box, 2), []

    def caller():
        calculator = PotentialCalculator(potential, fast=True)
        found.extend(results(potential, box, 2, calculator) for _ in range(10))

    callers = [threading.Thread(target=caller) for _ in range(3)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(timeout=120)
    assert len(found) == 30 and all(are_equal(result, expected) for result in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows starts processes anew")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_makes_threads_of_its_own(potential, box):
    expected = results(potential, box, 2)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(results(potential, box, 2)), daemon=True)
    child.start()
    child.join(timeout=120)
    assert child.exitcode == 0 and are_equal(queue.get(), expected)
    assert are_equal(results(potential, box, 2), expected)


def test_what_goes_wrong_in_one_part_ends_all():
    for wrong in (0, 1):

        def work(part, meeting, wrong=wrong):
            if part == wrong:
                raise MemoryError("no room")
            threads.meet(meeting, 2, 1)

        with pytest.raises(MemoryError, match="no room"):
            threads.in_parts(work, 2)
    done = []

    def noted(part, meeting):
        done.append(threads.meet(meeting, 2, 1))
        threads.meet(meeting, 2, 2)

    threads.in_parts(noted, 2)
    assert done == [True, True]


def test_processes_side_by_side_have_one_thread_each_on_as_many_cores():
    n_cores = os.cpu_count() or 1
    jobs = [()] * max(2, n_cores)
    assert set(side_by_side(torch.get_num_threads, jobs, n_jobs=max(2, n_cores))) == {1}
