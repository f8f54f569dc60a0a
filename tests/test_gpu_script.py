"""The script that measures a GPU runs on a CPU too, where it writes nothing; its parts do what its table says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu
import numpy as np
import pytest
import torch
from conftest import small_water_box

from tpainn_lite.model.pretrained import load_pretrained

SCRIPT = Path(gpu.__file__)
RESULTS = SCRIPT.parents[1] / "data" / "results" / "gpu.json"


def run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "ignore", SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_on_a_cpu_it_prints_every_case_and_writes_nothing():
    before = RESULTS.read_bytes() if RESULTS.exists() else None
    done = run("--device", "cpu", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    cases = ["agreement", "agreement", "training step", "many", "MD step", "MD step"]
    printed = [line for line in done.stdout.splitlines() if line.startswith(tuple(cases))]
    expected = [case for case in cases if case != "many" or "torch-sim is not on this machine" not in done.stdout]
    assert len([line for line in printed if "SchNetPack" not in line]) == len(expected)
    assert "DIFFERS" not in done.stdout and "s on cpu" in done.stdout
    assert (RESULTS.read_bytes() if RESULTS.exists() else None) == before


def test_without_a_gpu_it_says_so_in_a_line():
    done = run()
    assert done.returncode == 1 and "there is no GPU that torch can use here" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_notices_numbers_that_do_not_agree(monkeypatch, methane_frames):
    potentials, right = (load_pretrained("water"), load_pretrained("gas")), gpu.answers
    rows = list(gpu.agreement_rows(small_water_box(), methane_frames[:2], potentials, "cpu"))
    assert [row["agrees"] for row in rows] == [True, True]

    def wrong(potential, box, fast=None):
        found = right(potential, box, fast)
        return found if fast is False else {**found, "stress": found["stress"] * 1.5}

    monkeypatch.setattr(gpu, "answers", wrong)
    rows = list(gpu.agreement_rows(small_water_box(), methane_frames[:2], potentials, "cpu"))
    assert [row["agrees"] for row in rows] == [False, False] and rows[0]["off_stress"] > 0.01


def test_slopes_are_those_of_the_loss(methane_frames):
    potential = gpu.on(load_pretrained("gas"), "cpu", torch.float64)
    found, loss_now = gpu.slopes(potential, methane_frames[:2]), gpu.training(potential, methane_frames[:2])
    weight, step = next(iter(potential.painn.parameters())), 1e-6
    place = int(np.flatnonzero(np.abs(found[: weight.numel()]) > 1e-4)[0])
    with torch.no_grad():
        weight.view(-1)[place] += step
    more = loss_now().item()
    with torch.no_grad():
        weight.view(-1)[place] -= 2 * step
    assert (more - loss_now().item()) / (2 * step) == pytest.approx(found[place], rel=1e-3)


def test_schnetpack_is_run_by_its_own_python_and_its_absence_said(monkeypatch, capsys, methane_frames, tmp_path):
    answer = {"implementation": "SchNetPack 0", "seconds": 0.01, "steps": 3}
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho noise\necho '{json.dumps(answer)}'\n")
    fake.chmod(0o755)
    monkeypatch.setattr(gpu, "PEER", fake)
    assert gpu.schnetpack_there(methane_frames[:1], "cpu", 0.1) == answer
    fake.write_text("#!/bin/sh\necho no CUDA >&2\nexit 3\n")
    assert gpu.schnetpack_there(methane_frames[:1], "cpu", 0.1) is None
    assert capsys.readouterr().out == "SchNetPack did not run on cpu: no CUDA\n"
    monkeypatch.setattr(gpu, "PEER", tmp_path / "nothing")
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert gpu.schnetpack_there(methane_frames[:1], "cpu", 0.1) is None
    assert "SchNetPack is not on this machine" in capsys.readouterr().out
