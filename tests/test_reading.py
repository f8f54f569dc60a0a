"""Extended XYZ files: what is damaged, endless or no file at all is named at once; what is sound is read."""

import lzma
import os
import resource
import socket
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import label_of

FRAME = """2
Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc="F F F"
O        0.00000000      0.00000000      0.10000000      0.00000000      0.00000000      0.25000000
H        0.00000000      0.00000000      1.06000000      0.00000000      0.00000000     -0.25000000
"""


@pytest.fixture
def file(tmp_path):
    def written(text):
        path = tmp_path / "a.extxyz"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def refused(path, message):
    with pytest.raises(DatasetError, match=message) as error:
        read_frames(path)
    assert "\n" not in str(error.value)


# --- what is sound ---


@pytest.mark.parametrize("text", [
    FRAME * 3, (FRAME * 3)[:-1], FRAME * 2 + "\n" + FRAME + "\n \n", (FRAME * 3).replace("\n", "\r\n"),
    "\ufeff" + FRAME * 3,
    (FRAME * 3).replace("energy=-1.5", 'energy=-1.5 made="2024-01-01T10:00:00.123456" job=12345:678901'),
    FRAME * 2 + FRAME.replace(".00000000", ".0").replace("00000", "")[:-2],
])  # fmt: skip
def test_a_sound_file_is_read_whatever_its_line_ends_and_blank_lines(file, text):
    frames = read_frames(file(text))
    assert [len(atoms) for atoms in frames] == [2, 2, 2]
    assert [label_of(atoms, "energy") for atoms in frames] == [-1.5] * 3


def test_more_frames_than_one_block_come_back_in_order(file, monkeypatch):
    monkeypatch.setattr("tpainn_lite.reading.frames.BLOCK", 1000)
    frames = read_frames(file("".join(FRAME.replace("pbc", f"id={k} pbc") for k in range(50))))
    assert [atoms.info["id"] for atoms in frames] == list(range(50))


def test_an_xz_of_several_streams_is_read(tmp_path):
    path = tmp_path / "a.extxyz.xz"
    path.write_bytes(lzma.compress(FRAME.encode()) + lzma.compress((FRAME * 2).encode()) + bytes(8))
    assert len(read_frames(path)) == 3


@pytest.mark.parametrize("fix", [FixAtoms([0]), FixCartesian(0)])
def test_labels_of_fixed_atoms_are_neither_written_nor_read_as_zero(tmp_path, fix):
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1]])
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=np.ones((2, 3)))
    atoms.set_constraint(fix)
    write_frames(tmp_path / "a.extxyz", [atoms])
    (frame,) = read_frames(tmp_path / "a.extxyz")
    assert frame.constraints and (label_of(frame, "forces") == 1).all()


def test_hydrogen_fluoride_keeps_its_smiles(tmp_path):
    write_frames(tmp_path / "a.extxyz", [Atoms("FH", [[0, 0, 0], [0, 0, 1]], info={"smiles": "F"})])
    assert read_frames(tmp_path / "a.extxyz", need=())[0].info["smiles"] == "F"


# --- what is damaged ---


@pytest.mark.parametrize(("text", "message"), [
    (FRAME + "12\nx\nO 0 0 0\n", "line 5: 12 atoms are announced, 1 lines of atoms follow"),
    (FRAME + "12", "line 5: 12 atoms are announced, 0 lines of atoms follow"),
    (FRAME + "hello\n", "line 5: 'hello' stands where a number of atoms is expected"),
    ("0\n\n" + FRAME, "line 1: '0' stands where a number"),
    ("-3\n\n" + FRAME, "line 1: '-3' stands where a number"),
    ("9" * 5000 + "\n", "line 1: '9999.*' stands where a number"),
    (FRAME.replace("1.06000000", "one"), r"the frame that begins in line 1 cannot be read \(ValueError.*one"),
    (FRAME + FRAME.replace("O  ", "Xx "), r"the frame that begins in line 5 cannot be read \('Xx' stands where"),
    (FRAME + FRAME.replace("0     -0.25000000", ""), "line 5 cannot be read"),
    (FRAME.replace("pos:R:3", "pos:R:999999999"), "more than 1000 columns are announced"),
    (FRAME.replace("pos:R:3", "pos:R:+9_9_9_9_9_9_9"), "more than 1000 columns"),
    (FRAME.replace("=species:S:1:pos:R:3:forces:R:3", '="species:S:1:pos:R:  9\\9\\9999"'), "more than 1000 columns"),
    (FRAME.replace("pos:R:3", "pos:R:-3"), "line 1 cannot be read"),
    (FRAME.replace("energy=-1.5", 'energy=-1.5 a=1:99999 Lattice="9 9"'), "line 1 cannot be read"),
    (FRAME + "1\n\n   ", "line 5 cannot be read"),
    ("999999999" + FRAME[1:], "line 1: 999999999 atoms are announced, 2 lines of atoms follow"),
    (FRAME.replace("energy=-1.5", "x=" + "9" * 2_000_000), "line 2: a header of 2000.* characters"),
    (FRAME.encode().replace(b"energy", b"\xc5 energy"), "line 2 is not text in UTF-8"),
    (FRAME[:-2], "line 4: its last number is cut off"),
    (FRAME[:-5], "line 4: its last number is cut off"), (FRAME[:-10], "line 4: its last number is cut off"),
    (FRAME.replace("energy=-1.5", "energy=many"), r"frame 0 \(HO\): its energy is 'many'; numbers are expected"),
    (FRAME.replace("energy=-1.5", "energy"), r"its energy is True; numbers are expected"),
    (FRAME.replace("forces:R:3", "forces:R:2"), r"its forces has the shape \(2, 2\); \(2, 3\) is expected"),
    (FRAME * 2 + FRAME.replace("1.06000000", "nan"), r"line 9: frame 2: a position \(atom 1\) is not finite"),
    (FRAME.replace("-0.25000000", "inf"), r"line 1: frame 0 \(HO\): its forces is not finite"),
    (FRAME.replace("-0.25000000", "1e300"), r"line 1: frame 0 \(HO\): its forces reaches 1e\+300; less than 1e\+12"),
    (FRAME.replace("pbc", 'Lattice="nan 0 0 0 9 0 0 0 9" pbc'), r"frame 0: its cell \(side 0\) is not finite"),
    (FRAME.replace("energy=-1.5", 'energy=-1.5 a="_JSON ' + "[" * 100_000 + '"'), "cannot be read"),
])  # fmt: skip
def test_a_damaged_file_is_refused_in_a_sentence_that_names_the_line(file, text, message):
    refused(file(text), message)


def test_labels_that_are_not_needed_must_make_sense_too(file):
    with pytest.raises(DatasetError, match="its forces is not finite"):
        read_frames(file(FRAME.replace("-0.25000000", "nan")), need=())


@pytest.mark.parametrize("need", ["energy", ("virial",), 5, None])
def test_labels_that_there_are_not_are_an_error(file, need):
    with pytest.raises((ValueError, TypeError), match="need is .* is expected"):
        read_frames(file(FRAME), need)


# --- what is no file ---


@pytest.mark.parametrize("path", [None, 5, object(), "a\0b", "x" * 5000])
def test_what_is_no_name_of_a_file_is_an_error(path):
    refused(path, "expected an extended XYZ file")


def test_folders_pipes_sockets_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "socket"))
        for name, message in {
            "": "is a folder",
            "pipe": "is a pipe",
            "socket": "a socket",
            "/dev/zero": "a device",
        }.items():
            refused(tmp_path / name, rf"{message}.*; expected an extended XYZ file")
    (tmp_path / "link").symlink_to("nowhere")
    refused(tmp_path / "link", "no file .*link; expected an extended XYZ file")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "is empty; expected")


@pytest.mark.parametrize("content", [b"hello\n" * 99, bytes(999), lzma.compress(b"1\n")[:-8], lzma.compress(bytes(99))])
def test_an_xz_of_something_else_is_an_error(tmp_path, content):
    (tmp_path / "a.extxyz.xz").write_bytes(content)
    refused(tmp_path / "a.extxyz.xz", "a.extxyz.xz is (corrupted|not a whole)")


BOMBS = {
    "zeros": lambda: lzma.compress(bytes(1 << 26)) * 40,
    "frames": lambda: lzma.compress(b"1\n\nH 0 0 0\n" * 1_000_000) * 5,
    "atoms": lambda: lzma.compress(b"99999999\n\n" + b"H 0 0 0\n" * 4_000_000),
    "streams": lambda: lzma.compress(b"") * 200_000,
    "count": lambda: lzma.compress(b"999999999\n\n" + b"H 0 0 0\n" * 10),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_unpacks_to_gigabytes_costs_neither_time_nor_memory(tmp_path, bomb):
    (tmp_path / "a.extxyz.xz").write_bytes(BOMBS[bomb]())
    code = "from tpainn_lite import read_frames\ntry: read_frames('a.extxyz.xz')\nexcept ValueError as e: print(e)"

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, preexec_fn=limited
    )
    assert done.stdout.startswith("a.extxyz.xz ") and not done.stderr, done


# --- writing ---


@pytest.mark.parametrize("frames", [[], [5], "word", None])
def test_what_is_no_frame_is_not_written(tmp_path, frames):
    with pytest.raises(TypeError, match="a list of at least one ase.Atoms is expected"):
        write_frames(tmp_path / "a.extxyz", frames)
    assert not list(tmp_path.iterdir())


def test_the_mark_that_dos_puts_at_the_end_of_a_file_is_no_number(file):
    assert len(read_frames(file(FRAME + "\x1a"))) == 1
