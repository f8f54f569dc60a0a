"""A thousand generated inputs: no traceback, no crash, no hang, no wrong acceptance, nothing lost.

By hand: ``python tests/robustness/attack.py`` (all), with kinds (``weights``) or cases (``weights/17``), and ``-v``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import attack  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked, measured in /proc, and limited")


def results(tmp_path_factory, *options):
    """What `attack.py` found; the table of it is printed."""
    report = tmp_path_factory.mktemp("attack") / "found.json"
    command = [sys.executable, HERE / "attack.py", "--json", report, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert report.exists(), ended.stdout + ended.stderr
    return json.loads(report.read_text())


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Of the fixed sample of two hundred."""
    return results(tmp_path_factory, "--sample")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Of all cases, on two cores."""
    return results(tmp_path_factory, "--jobs", "2")


def failures(found, kind):
    return [attack.describe(one) for one in found if one["name"].startswith(f"{kind}/") and one["problems"]]


KINDS = list(attack.kinds())
SAMPLED = [kind for kind, (_, share, _) in attack.kinds().items() if share]


@pytest.mark.parametrize("kind", SAMPLED)
def test_a_sample_of_damaged_input_is_refused_in_a_sentence(sample, kind, capsys):
    if kind == SAMPLED[0]:
        with capsys.disabled():
            print(f"\n{attack.table(sample)}")
    wrong = failures(sample, kind)
    assert not wrong, "\n".join([f"{len(wrong)} failures; again: python tests/robustness/attack.py CASE -v", *wrong])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_damaged_input_is_refused_in_a_sentence(everything, kind, capsys):
    if kind == KINDS[0]:
        with capsys.disabled():
            print(f"\n{attack.table(everything)}")
    wrong = failures(everything, kind)
    assert not wrong, "\n".join([f"{len(wrong)} failures; again: python tests/robustness/attack.py CASE -v", *wrong])


def test_there_are_a_thousand_cases_and_two_hundred_in_the_sample():
    counts = [count for count, _, _ in attack.kinds().values()]
    assert sum(counts) >= 1000
    assert len(attack.names_of([], sample=True)) >= 200


def test_every_public_function_has_a_sound_call_to_spoil():
    import function_cases

    assert function_cases.uncovered() == []
