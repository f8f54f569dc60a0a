"""Labels of several kinds in one file are seen, whichever share of the frames they have; sound sets are left alone."""

import data_check as bench
import numpy as np
import pytest
from typer.testing import CliRunner

import tpainn_lite as tp
from tpainn_lite.cli.app import app
from tpainn_lite.reading.oddities import MIXTURE, REFUSED

KINDS = [
    "gradients", "Hartree, Hartree/Bohr", "kcal/mol, kcal/mol/Å", "kJ/mol, kJ/mol/Å", "energies in Hartree",
    "energies in kcal/mol", "forces in Ry/Bohr",
]  # fmt: skip


@pytest.fixture(scope="module")
def molecules():
    return tp.load_molecules("valid")


def mixed(frames, kind, share):
    n = round(share * len(frames))
    return [bench.changed(atoms, bench.KINDS[kind][0]) for atoms in frames[:n]] + list(frames[n:])


def verdicts(frames):
    return [row.verdict for row in tp.check_data(frames).rows if row.test == MIXTURE]


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_in_other_units_among_others_are_refused(molecules, kind, share):
    assert REFUSED in verdicts(mixed(molecules[5::20], kind, share))


@pytest.mark.parametrize("kind", ["stress in GPa", "stress with the other sign"])
def test_a_stress_in_other_units_in_some_boxes_is_refused(kind):
    assert REFUSED in verdicts(mixed(tp.load_water("valid", kind="liquid")[:12], kind, 0.5))


def test_parts_of_sound_sets_have_one_kind_of_labels(molecules):
    rng = np.random.default_rng(0)
    for frames in (molecules, tp.load_scan("angle"), tp.load_scan("dimer")):
        for _ in range(5):
            chosen = rng.choice(len(frames), min(len(frames), int(rng.integers(2, 40))), replace=False)
            assert not verdicts([frames[k] for k in chosen])


def test_the_advice_is_a_file_for_each_kind(molecules, tmp_path):
    tp.write_frames(tmp_path / "a.extxyz", mixed(molecules[5::20], "gradients", 0.5))
    done = CliRunner().invoke(app, ["evaluate", "gas_xtb", str(tmp_path / "a.extxyz")])
    assert done.exit_code == 1 and "a file for each of them is expected" in done.stderr
