"""Killed five times at random moments, everything that can be resumed ends as if nobody had disturbed it.

By hand: ``python tests/robustness/kills.py``, with rows (``pretrain md``) or other moments (``--seed 3``).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import kills  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="children are forked, and looked for in /proc"),
]


@pytest.mark.parametrize("row", kills.MATRIX)
def test_five_kills_change_nothing_and_leave_nothing(tmp_path, row):
    report = tmp_path / "found.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, HERE / "kills.py", row, "--json", report]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert report.exists(), ended.stdout + ended.stderr
    (found,) = json.loads(report.read_text())
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["problems"] == []
