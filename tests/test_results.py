"""Results of long runs: what was written is read, with where it comes from."""

import pytest
from results import earlier, save_results

from tpainn_lite.reading.shipped import load_results
from tpainn_lite.structures.arguments import DatasetError


@pytest.fixture
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("TPAINN_DATA", str(tmp_path))
    (tmp_path / "SHA256SUMS").write_text("")
    return tmp_path


def test_rows_come_back_with_the_command_and_the_versions(own_results):
    rows = [{"method": "Δ-learning", "n_train": 10, "force_mae": 1.5}]
    save_results("mine", rows, "python mine.py", 12.34, packages=["numpy"], threads=1, network={"cutoff": 3.5})
    found = load_results("mine")
    assert found["rows"] == rows
    assert (found["command"], found["seconds"], found["network"]) == ("python mine.py", 12.3, {"cutoff": 3.5})
    assert {"tpainn_lite", "numpy"} == set(found["versions"])
    assert "1 threads" in found["machine"]
    assert earlier("mine") == (rows, 12.3)


def test_nothing_written_yet_is_an_empty_start_for_a_run_and_an_error_for_a_reader(own_results):
    assert earlier("mine") == ([], 0.0)
    save_results("other", [], "python other.py", 0)
    with pytest.raises(DatasetError, match=r"no results 'mine' .* there are \['other'\]"):
        load_results("mine")


def test_every_shipped_result_names_its_command():
    for name in ("tour", "tour_settings", "qm9_level"):
        assert load_results(name)["command"].startswith("python benchmarks/")
