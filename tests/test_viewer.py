"""A picture is always there, shows what the atoms do, and no version of the viewer leaves an empty box."""

import base64
import io
import itertools
from importlib import metadata

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from PIL import Image

from tpainn_lite.show import painting, viewer
from tpainn_lite.show import scenes as module
from tpainn_lite.show.viewer import view, view_side_by_side

LIVE = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def water():
    return molecule("H2O")


@pytest.fixture
def leaving(water):
    """Ten frames in which one hydrogen flies off."""
    frames = [water.copy() for _ in range(10)]
    for k, frame in enumerate(frames):
        frame.positions[1] += (0, 0.15 * k**2, 0)
    return frames


@pytest.fixture
def without_nglview(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)


def picture(atoms, size=360):
    return view(atoms, size=size).png


def animation(frames, size=320):
    return view(frames, size=size).gif


def pixels(data):
    """(height, width, 3) of a PNG, or of a GIF's current frame."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


def red(image):
    """How many pixels are clearly red."""
    return int(((image[..., 0] > 150) & (image[..., 1:] < 60).all(-1)).sum())


def in_picture(drawing, half_width):
    return int((np.abs(drawing.positions[:, :2]) < half_width).all(1).sum())


# ---------------------------------------------------------------- pictures


def test_a_picture_is_a_png_of_the_asked_size_on_white_paper(water):
    data = picture(water, size=120)
    assert data.startswith(b"\x89PNG")
    image = pixels(data)
    assert image.shape == (120, 120, 3)
    assert (image[0, 0] == 255).all() and image.std() > 20


def test_oxygen_is_red_and_methane_is_not(water):
    assert red(pixels(picture(water))) > 1000
    assert red(pixels(picture(molecule("CH4")))) == 0


def test_a_picture_in_grey_still_shows_hydrogen_lighter_than_oxygen(water):
    scenes, half_width = module.make_scenes([[water]], [""])
    grey = np.asarray(painting.painted(scenes[0].drawings[0], half_width, 200).convert("L"), float)
    x, y = (100 * (1 + scenes[0].drawings[0].positions[:, :2] * (1, -1) / half_width)).astype(int).T
    oxygen, hydrogen = grey[y[0], x[0]], grey[y[1], x[1]]
    assert hydrogen > oxygen + 60


def test_the_whole_molecule_is_in_the_picture_and_fills_it():
    image = pixels(picture(molecule("C6H6"), size=200))
    drawn = (image < 250).any(-1)
    assert not drawn[0].any() and not drawn[-1].any() and not drawn[:, 0].any() and not drawn[:, -1].any()
    columns = np.flatnonzero(drawn.any(0))
    assert columns[-1] - columns[0] > 150


def test_a_flat_molecule_is_seen_face_on_however_it_lies():
    benzene = molecule("C6H6")
    benzene.rotate(70, "x")
    benzene.rotate(35, "y")
    turned = benzene.positions @ module.facing(benzene).T
    assert np.ptp(turned[:, 0]) > 4 and np.ptp(turned[:, 1]) > 4 and np.ptp(turned[:, 2]) < 2


def test_a_molecule_is_turned_but_never_mirrored():
    for name in ("H2O", "CH3CH2OH", "CO2", "H2"):
        turn = module.facing(molecule(name))
        assert np.linalg.det(turn) == pytest.approx(1)
        assert turn @ turn.T == pytest.approx(np.eye(3))


@pytest.mark.parametrize(
    "atoms", [Atoms("He"), molecule("H2"), molecule("CO2"), Atoms("X"), Atoms("OH", [[0] * 3] * 2)]
)
def test_odd_structures_have_a_picture_too(atoms):
    assert pixels(picture(atoms)).std() > 5


# ---------------------------------------------------------------- periodic boxes


def test_a_molecule_cut_by_the_wall_of_its_box_is_drawn_whole(water):
    water.set_cell([5, 6, 7])
    water.pbc = True
    water.positions += (0.1, 5.9, 0.1)
    whole = water.get_all_distances(mic=True)
    water.wrap()
    assert np.abs(water.get_all_distances() - whole).max() > 3  # it is cut
    positions, bonds = module.whole_molecules(water)
    assert Atoms("OH2", positions).get_all_distances() == pytest.approx(whole)
    assert sorted(map(tuple, bonds)) == [(0, 1), (0, 2)]


def test_the_twelve_edges_of_the_box_are_drawn(water):
    water.set_cell([5, 6, 7])
    water.pbc = True
    drawing = module._drawing(water, np.eye(3))
    edges = drawing.bonds[(drawing.numbers[drawing.bonds] == module.CORNER).all(1)]
    lengths = np.linalg.norm(np.diff(drawing.positions[edges], axis=1)[:, 0], axis=1)
    assert sorted(lengths.tolist()) == pytest.approx([5] * 4 + [6] * 4 + [7] * 4)


def test_a_periodic_structure_without_a_cell_is_shown_as_a_molecule(water):
    water.pbc = True
    assert pixels(picture(water)).std() > 20


# ---------------------------------------------------------------- trajectories


def test_an_animation_is_a_small_looping_gif_with_a_picture_for_each_frame(leaving):
    data = animation(leaving, size=150)
    gif = Image.open(io.BytesIO(data))
    assert gif.format == "GIF" and gif.n_frames == 10 and gif.info["loop"] == 0
    assert len(data) < painting.MAX_GIF
    shown = []
    for k in range(gif.n_frames):
        gif.seek(k)
        shown.append(np.asarray(gif.convert("RGB"), float))
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(shown))
    assert all((image[30, 3] == 255).all() for image in shown)  # the paper stays white


def test_a_long_trajectory_is_thinned_and_keeps_its_last_frame(leaving):
    gif = Image.open(io.BytesIO(animation(leaving * 30, size=100)))
    assert gif.n_frames <= painting.MAX_FRAMES + 1
    scenes, _ = module.make_scenes([leaving * 30], [""])
    assert len(scenes[0].drawings) <= module.MAX_FRAMES
    assert scenes[0].notes[0] == "frame 1 of 300" and scenes[0].notes[-1] == "frame 300 of 300"


def test_a_gif_that_would_be_too_large_is_made_smaller(leaving, monkeypatch):
    monkeypatch.setattr(painting, "MAX_GIF", 15_000)
    assert len(animation(leaving, size=300)) < 15_000


def test_a_bond_that_breaks_is_drawn_broken(leaving):
    scenes, half_width = module.make_scenes([leaving], [""])
    bonds = [sorted(map(tuple, drawing.bonds.tolist())) for drawing in scenes[0].drawings]
    assert bonds[0] == [(0, 1), (0, 2)] and bonds[-1] == [(0, 2)]
    assert [in_picture(drawing, half_width) for drawing in scenes[0].drawings][::9] == [3, 2]  # the atom has left


def test_the_view_follows_a_drifting_molecule(water):
    frames = [water.copy() for _ in range(20)]
    for k, frame in enumerate(frames):
        frame.positions += (1.5 * k, 0, 0)
    scenes, _ = module.make_scenes([frames], [""])
    first, last = scenes[0].drawings[0].positions, scenes[0].drawings[-1].positions
    assert last == pytest.approx(first)


def test_an_explosion_without_bounds_can_still_be_shown(water):
    frames = [water.copy() for _ in range(5)]
    frames[-1].positions[1] = 1e15
    frames[-2].positions[2] = -1e7
    assert len(animation(frames)) > 1000


# ---------------------------------------------------------------- one output, several formats


def test_a_view_carries_the_live_widget_and_a_picture_that_stands_alone(water):
    bundle = view(water, title="Water & <ice>")._repr_mimebundle_()
    assert set(bundle) == {LIVE, "text/html", "image/png", "text/plain"}
    assert bundle["text/html"].startswith('<img src="data:image/png;base64,')
    assert 'alt="Ball-and-stick picture of Water &amp; &lt;ice&gt;: H2O"' in bundle["text/html"]
    assert red(pixels(base64.b64decode(bundle["image/png"]))) > 1000


def test_the_picture_of_a_trajectory_moves(leaving):
    bundle = view(leaving)._repr_mimebundle_()
    source = bundle["text/html"].split('"')[1]
    assert source.startswith("data:image/gif;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).n_frames == 10
    assert "10 frames" in bundle["text/plain"]


def controls(shown):
    """Player, notes and viewers inside a live view."""
    row, (player, _) = shown.widget.children[0], shown.widget.children[1].children
    return player, [column.children[2] for column in row.children], [column.children[1] for column in row.children]


def test_the_player_loops_and_moves_every_viewer(leaving, monkeypatch):
    shown = view_side_by_side([leaving, leaving[:4]], titles=["whole", "short"])
    player, notes, viewers = controls(shown)
    assert player.repeat and player.max == 9
    sent = []
    monkeypatch.setattr(viewer, "_show_model", lambda widget, model: sent.append((viewers.index(widget), model)))
    player.value = 2
    assert sent == [(0, 2), (1, 2)] and [note.value for note in notes] == ["frame 3 of 10", "frame 3 of 4"]
    player.value = 9
    assert sent[2:] == [(0, 9), (1, 3)] and [note.value for note in notes] == ["frame 10 of 10", "ended at frame 4"]


def test_each_frame_goes_to_the_live_viewer_with_its_own_bonds(leaving):
    _, _, (widget,) = controls(view(leaving))
    (text,) = [m["args"][0]["data"] for m in widget._ngl_msg_archive if m["methodName"] == "loadFile"]
    models = text.split("@<TRIPOS>MOLECULE\n")[1:]
    assert [model.splitlines()[1] for model in models][::9] == ["3 2", "3 1"]


def test_the_browser_can_draw_before_python_has_time_to_answer(leaving):
    """Or else a viewer is blank for as long as the cells below it run."""
    _, _, (widget,) = controls(view(leaving))
    assert widget._callbacks_before_loaded == []  # nothing is left to send
    state = widget.get_state()
    assert state["n_components"] == 1 and state["_ngl_full_stage_parameters"]["clipDist"] == 0
    assert [m["methodName"] for m in state["_ngl_msg_archive"]] == ["loadFile", "set_camera_orientation"]
    assert state["_ngl_msg_archive"][1]["fire_embed"]
    assert [kind["type"] for kind in state["_ngl_repr_dict"]["0"].values()] == ["ball+stick", "licorice"]


def test_what_the_live_viewer_gets_is_turned_and_not_mirrored():
    atoms = molecule("CH3CH2OH")
    scenes, _ = module.make_scenes([[atoms]], [""])
    lines = viewer._mol2(scenes[0].drawings[0]).split("@<TRIPOS>ATOM\n")[1].split("@<TRIPOS>BOND")[0].splitlines()
    sent = np.array([line.split()[2:5] for line in lines], float)
    volumes = [np.linalg.det((p - p[0])[[1, 2, 4]]) for p in (atoms.positions, sent)]
    assert volumes[1] == pytest.approx(volumes[0], abs=0.01) and abs(volumes[0]) > 0.1


def test_the_same_molecule_is_seen_from_the_same_side_in_both_panels(leaving):
    other = [frame.copy() for frame in leaving]
    scenes, _ = module.make_scenes([leaving, other], ["a", "b"])
    assert scenes[1].drawings[0].positions == pytest.approx(scenes[0].drawings[0].positions)


# ---------------------------------------------------------------- when the live viewer cannot run


@pytest.mark.parametrize("version", ["4.0.1", "3.1.4", "4.1"])
def test_a_wrong_version_of_nglview_gives_the_picture_and_one_line_that_helps(version, leaving, monkeypatch, capsys):
    monkeypatch.setattr(metadata, "version", lambda name: version)
    shown = view(leaving)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and version in said[0] and "pip install nglview==4.0" in said[0]
    assert shown.widget is None and set(shown._repr_mimebundle_()) == {"text/html", "image/png", "text/plain"}


def test_without_nglview_there_is_still_the_picture(without_nglview, water, capsys):
    bundle = view(water)._repr_mimebundle_()
    assert LIVE not in bundle and bundle["text/html"].startswith("<img")
    assert "nglview is missing" in capsys.readouterr().out


def test_with_the_right_version_nothing_is_printed(water, capsys):
    assert metadata.version("nglview") == viewer.NGLVIEW
    view(water)
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------- bad input


def test_an_empty_list_says_what_is_expected():
    for frames in ([], iter([])):
        with pytest.raises(ValueError, match="empty list of frames was given; at least one"):
            view(frames)
    with pytest.raises(ValueError, match="list of trajectories"):
        view_side_by_side([])


def test_frames_with_different_atoms_are_told_apart(water):
    with pytest.raises(ValueError, match=r"frame 1 is CH4, but frame 0 is OH2.*view_side_by_side"):
        view([water, molecule("CH4")])


def test_a_position_that_is_not_a_number_names_the_frame_and_the_way_out(leaving):
    leaving[6].positions[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"frame 6 of 10 .* frames\[:6\]"):
        animation(leaving)


def test_things_that_are_no_structures_are_refused(water):
    for thing in (None, "H2O", Atoms()):
        with pytest.raises(TypeError, match=r"an ase.Atoms with at least one atom is expected"):
            view([thing])


def test_trajectories_not_put_in_one_list_are_noticed(leaving):
    with pytest.raises(ValueError, match="together in one list"):
        view_side_by_side(leaving, leaving)
    with pytest.raises(ValueError, match="one text for each"):
        view_side_by_side([leaving, leaving], titles=["only one"])
