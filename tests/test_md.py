"""MD: the ensembles are what they say, and the guards stop what goes wrong without losing what went before."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.io import read

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.simulate import md
from tpainn_lite.simulate.md import run_md, trouble
from tpainn_lite.simulate.observables import energy_drift


class Springs(Calculator):
    """A smooth toy: a spring between every two atoms, at rest in the structure it was made for."""

    implemented_properties = ("energy", "forces")

    def __init__(self, atoms, stiffness=10.0, pull=0.0):
        super().__init__()
        self.rest, self.stiffness, self.pull = atoms.get_all_distances(), stiffness, pull

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        r = atoms.positions[None] - atoms.positions[:, None]  # (N, N, 3)
        d = np.linalg.norm(r, axis=-1) + np.eye(len(atoms))
        x = np.where(self.rest > 0, d - self.rest, 0.0)
        self.results["energy"] = float(0.25 * self.stiffness * (x**2).sum() - self.pull * atoms.positions[-1, 0])
        self.results["forces"] = self.stiffness * ((x / d)[..., None] * r).sum(axis=1)
        self.results["forces"][-1, 0] += self.pull


@pytest.fixture
def water():
    return ase_molecule("H2O")


def run(atoms, calculator=None, **settings):
    settings = {"progress": False, "n_steps": 200, **settings}
    return run_md(atoms, calculator or Springs(atoms), **settings)


# --- ensembles ---


def test_nve_keeps_the_total_energy(water):
    result = run(water, ensemble="nve", timestep=0.2, n_steps=2000)
    total = np.array(result.total_energy)
    assert result.stopped is None
    assert np.ptp(result.potential_energy) > 0.02  # something happened
    assert np.ptp(total) < 0.02 * np.ptp(result.potential_energy)
    assert abs(energy_drift(result.time, total, 3)) < 0.5


def test_nve_is_of_second_order_half_the_timestep_a_quarter_of_the_error(water):
    errors = []
    for timestep in (0.5, 0.25):
        result = run(water, ensemble="nve", timestep=timestep, n_steps=int(100 / timestep), every=1)
        errors.append(np.std(result.total_energy))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)


def test_nve_with_a_potential_keeps_the_total_energy(potential, ethanol):
    settings = {"ensemble": "nve", "timestep": 0.1, "n_steps": 300, "temperature": 10.0, "stop_when_broken": False}
    result = run(ethanol, PotentialCalculator(potential), **settings)
    assert result.stopped is None
    assert np.ptp(result.total_energy) < 0.02 * np.ptp(result.potential_energy)


def test_nve_neither_drifts_nor_turns(water):
    result = run(water, ensemble="nve", n_steps=100, every=1)
    momentum = result.frames[-1].get_momenta().sum(axis=0)
    angular = result.frames[-1].get_angular_momentum()
    np.testing.assert_allclose(momentum, 0, atol=1e-8)
    np.testing.assert_allclose(angular, 0, atol=1e-6)


def test_nvt_holds_the_temperature_on_average():
    atoms = ase_molecule("C6H6")
    result = run(atoms, Springs(atoms, 3.0), timestep=1.0, n_steps=6000, temperature=300.0)
    late = result.temperature[len(result.temperature) // 5 :]
    assert result.stopped is None
    assert np.mean(late) == pytest.approx(300, rel=0.08)
    expected = 300 * np.sqrt(2 / 36)  # 12 atoms, 36 momenta
    assert np.std(late) == pytest.approx(expected, rel=0.25)


def test_same_seed_same_run_other_seed_other_run(water):
    first, again, other = (run(water, n_steps=20, seed=seed).frames[-1].positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_run_keeps_what_was_asked_and_leaves_the_start_alone(water):
    before = water.copy()
    result = run(water, timestep=0.5, n_steps=100, every=20)
    assert result.time == [0, 10, 20, 30, 40, 50]
    series = (result.frames, result.temperature, result.potential_energy, result.total_energy)
    assert [len(values) for values in series] == [6] * 4
    np.testing.assert_array_equal(result.frames[0].positions, water.positions)
    assert water == before
    assert water.calc is None
    assert repr(result) == "MDRun(6 frames, 50 fs, ran to the end)"


def test_energies_of_a_run_are_those_of_its_frames(water):
    calculator = Springs(water)
    result = run(water, calculator, n_steps=20)
    for frame, potential_energy, total in zip(result.frames, result.potential_energy, result.total_energy, strict=True):
        assert Springs(water).get_potential_energy(frame) == pytest.approx(potential_energy)
        assert potential_energy + frame.get_kinetic_energy() == pytest.approx(total)


@pytest.mark.parametrize("atoms", [Atoms("O"), ase_molecule("CO2"), ase_molecule("N2")], ids=str)
@pytest.mark.parametrize("ensemble", ["nvt", "nve"])
def test_one_atom_and_linear_molecules_can_be_run(atoms, ensemble):
    result = run(atoms, n_steps=20, ensemble=ensemble)
    assert result.stopped is None
    assert np.isfinite(result.total_energy).all()
    assert result.temperature[0] == pytest.approx(300, rel=0.9)


# --- guards ---


def test_an_explosion_stops_the_run_with_a_reason_and_is_not_among_the_frames(water):
    result = run(water, Springs(water, 30.0), ensemble="nve", timestep=4.0, every=1, stop_when_broken=False)
    assert "exploded" in result.stopped
    assert 2 <= len(result.frames) < 200
    assert result.stopped.startswith(f"at {4 * len(result.frames)} fs")
    assert max(result.temperature) < 10 * 300 + 3000 and np.isfinite(result.total_energy).all()
    assert "stopped: at" in repr(result)


@pytest.mark.parametrize("away", [np.nan, np.inf, 1e5, 1e300])
def test_atoms_that_have_flown_away_are_an_explosion_and_end_no_process(water, away):
    water.calc = Springs(water)
    water.positions[2, 0] = away
    water.calc.results = {"energy": 0.0, "forces": np.zeros((3, 3))}
    assert "exploded" in trouble(water, 300.0, np.array([[0, 1]]))


def test_velocities_that_are_no_numbers_are_an_explosion(water):
    water.calc = Springs(water)
    water.set_momenta(np.full((3, 3), np.nan))
    assert "exploded" in trouble(water, 300.0, None)


def test_an_energy_that_is_no_number_stops_the_run_and_ends_it_before_it_begins(water):
    class Nothing(Springs):
        calls, last = 0, 0

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.calls += 1
            if self.calls > self.last:
                self.results["energy"] = np.nan

    with pytest.raises(ValueError, match="the energy of the first frame is nan eV"):
        run(water, Nothing(water))
    later = Nothing(water)
    later.last = 15
    result = run(water, later, every=10)
    assert "the energy is not a finite number" in result.stopped and result.time == [0.0, 5.0]


def test_an_atom_far_from_home_in_a_periodic_box_has_not_exploded():
    copper = bulk("Cu", cubic=True)
    copper.positions[0] += 30_000 * copper.cell[0]
    copper.calc = EMT()
    assert trouble(copper, 300.0, None) is None


def test_a_broken_bond_stops_the_run_and_is_named(water):
    result = run(water, Springs(water, 0.01, pull=0.5), every=1)
    assert "the bond O0-H2 broke" in result.stopped
    assert 2 <= len(result.frames) < 200


def test_a_broken_bond_is_let_go_on_request(water):
    result = run(water, Springs(water, 0.01, pull=0.5), n_steps=80, stop_when_broken=False)
    assert result.stopped is None
    assert result.frames[-1].get_distance(0, 2) > 1.7


def test_collapsed_atoms_stop_the_run_and_are_named():
    pair = Atoms("CC", [[0, 0, 0], [0, 0, 1.5]])
    springs = Springs(pair, 1.0)
    springs.rest = np.array([[0.0, 0.3], [0.3, 0.0]])
    for watched in (True, False):
        result = run(pair, springs, every=1, stop_when_broken=watched)
        assert "atoms C0 and C1 collapsed onto each other" in result.stopped
        assert result.frames[-1].get_distance(0, 1) < 0.76, "it is kept, to be looked at"


def test_a_calculator_that_gives_up_stops_the_run_and_keeps_the_frames(water):
    class GivesUp(Springs):
        n_calls = 0

        def calculate(self, *args, **kwargs):
            self.n_calls += 1
            if self.n_calls > 50:
                raise ValueError("a position is not a finite number")
            super().calculate(*args, **kwargs)

    result = run(water, GivesUp(water), every=10, timestep=1.0)
    assert result.stopped == "at 50 fs: a position is not a finite number"
    assert result.time == [0, 10, 20, 30, 40]


def test_bonds_through_the_boundary_are_bonds():
    rod = Atoms("HF", [[0.2, 2, 2], [3.4, 2, 2]], cell=[4.0] * 3, pbc=True)  # 0.8 Å apart, through the wall

    class Still(Springs):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results = {"energy": 0.0, "forces": np.zeros((2, 3))}

    assert run(rod, Still(rod), n_steps=20, temperature=1.0).stopped is None


# --- files ---


def test_the_trajectory_file_holds_the_frames_also_of_a_run_that_was_stopped(water, tmp_path):
    path = tmp_path / "run.traj"
    result = run(water, Springs(water, 0.01, pull=0.5), every=1, path=path)
    assert result.stopped
    frames = read(path, ":")
    assert len(frames) == len(result.frames)
    np.testing.assert_allclose(frames[-1].positions, result.frames[-1].positions)
    assert [f.get_potential_energy() for f in frames] == pytest.approx(result.potential_energy)


# --- bad input ---


def test_an_unknown_ensemble_is_an_error(water):
    with pytest.raises(ValueError, match=r"ensemble 'npp' is not one of \('nvt', 'nvt-nh', 'nve', 'npt'\)"):
        run(water, ensemble="npp")


BAD = {
    "timestep": (0, -1.0, np.nan, "0.5", None), "temperature": (-1, 0, np.inf, "hot"), "pressure": (np.nan, "1", None),
    "friction": (-1, np.nan, "x"), "n_steps": (0, -5, 2.5, "10", True), "every": (0, 1.5, None),
    "seed": (-1, 0.5, "one"), "max_disagreement": (0, -1, np.nan, "x"), "stop_when_broken": ("no", 2),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_setting_that_makes_no_sense_is_named_before_anything_runs(water, name, value):
    with pytest.raises((ValueError, TypeError), match=rf"{name} is .*expected"):
        run(water, **{name: value})


@pytest.mark.parametrize("bad", [None, "water.xyz", Atoms()], ids=str)
def test_what_is_no_structure_is_an_error(bad):
    with pytest.raises((ValueError, TypeError), match="expected"):
        run_md(bad, EMT(), n_steps=10, progress=False)


@pytest.mark.parametrize("bad", [None, EMT, "MMFF94", np.eye(3)], ids=str)
def test_what_is_no_calculator_is_an_error(water, bad):
    with pytest.raises(TypeError, match="an ASE calculator is expected"):
        run_md(water, bad, n_steps=10, progress=False)


def test_constant_pressure_needs_a_calculator_with_stress():
    with pytest.raises(ValueError, match="Springs has no stress, which constant pressure needs"):
        run(gas(8, 8.0), Springs(gas(8, 8.0)), ensemble="npt")


def test_a_bad_start_is_an_error_before_anything_runs():
    with pytest.raises(ValueError, match="atoms 0 and 1 are 0.010 Å apart"):
        run(Atoms("HH", [[0, 0, 0], [0, 0, 0.01]]))


def test_velocities_are_drawn_at_the_asked_temperature():
    atoms = Atoms("Ar500", np.random.default_rng(0).uniform(0, 1000, (500, 3)))
    result = run(atoms, Springs(Atoms("Ar500"), 0.0), n_steps=1, every=1, temperature=250.0, stop_when_broken=False)
    assert result.temperature[0] == pytest.approx(250, rel=0.1)
    assert result.frames[0].get_kinetic_energy() == pytest.approx(1.5 * 500 * units.kB * 250, rel=0.1)


# --- constant pressure, other thermostats ---


class IdealGas(Calculator):
    """Atoms that do not feel each other."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


class EinsteinCrystal(Calculator):
    """Every atom on a spring of its own, to where it was first."""

    implemented_properties = ("energy", "forces", "stress")
    home = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.home = atoms.positions.copy() if self.home is None else self.home
        away = atoms.positions - self.home
        stress = np.array(
            [(away[:, a] * away[:, b]).sum() for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
        )
        self.results = {"energy": 0.5 * (away**2).sum(), "forces": -away, "stress": stress / atoms.get_volume()}


def gas(n=64, edge=20.0):
    side = round(n ** (1 / 3))
    grid = np.array(list(np.ndindex(side, side, side))) * edge / side
    return Atoms(f"Ar{n}", grid, cell=[edge] * 3, pbc=True)


@pytest.fixture
def atoms_may_pass_through_each_other(monkeypatch):
    monkeypatch.setattr(md, "_collapsed", lambda _: None)


@pytest.mark.usefixtures("atoms_may_pass_through_each_other")
def test_an_ideal_gas_has_the_volume_that_its_pressure_and_temperature_say():
    """V = (N + 1) kT/P on average, at constant pressure."""
    n, kelvin, bar = 64, 300.0, 300.0
    volume = (n + 1) * units.kB * kelvin / (bar * units.bar)
    start = gas(n, volume ** (1 / 3))
    settings = {"temperature": kelvin, "pressure": bar, "timestep": 10.0, "n_steps": 8000, "every": 20, "seed": 2}
    run = run_md(start, IdealGas(), ensemble="npt", progress=False, stop_when_broken=False, **settings)
    assert run.stopped is None
    volumes = [atoms.get_volume() for atoms in run.frames[100:]]
    assert np.mean(volumes) == pytest.approx(volume, rel=0.08)
    assert np.std(volumes) / volume == pytest.approx(1 / np.sqrt(n + 1), rel=0.5)
    density = start.get_masses().sum() / units.kg / (volumes[0] * 1e-30) / 1000
    assert run.density[100] == pytest.approx(density)


def test_a_nose_hoover_chain_holds_the_temperature_of_a_crystal():
    copper = bulk("Cu", cubic=True).repeat(2)
    run = run_md(copper, EMT(), ensemble="nvt-nh", timestep=4.0, n_steps=2000, every=10, progress=False)
    assert np.mean(run.temperature[50:]) == pytest.approx(300, rel=0.1)


def test_constant_pressure_needs_a_box(water):
    with pytest.raises(ValueError, match=r"constant pressure needs a box periodic in all directions"):
        run_md(ase_molecule("H2O"), IdealGas(), ensemble="npt")


@pytest.mark.usefixtures("atoms_may_pass_through_each_other")
def test_a_box_that_swells_stops_the_run():
    run = run_md(
        gas(27, 6.0), IdealGas(), ensemble="npt", pressure=1.0, timestep=10.0, n_steps=3000, progress=False,
        stop_when_broken=False,
    )  # fmt: skip
    assert "times the volume it began with" in run.stopped


@pytest.mark.parametrize(("n_steps", "every", "possible"), [(10, 20, "20"), (105, 10, "100 or 110"), (7, 3, "6 or 9")])
def test_steps_that_no_frame_would_follow_are_an_error_that_says_how_many_to_ask_for(water, n_steps, every, possible):
    with pytest.raises(ValueError, match=f"n_steps is {n_steps}, which .* do not fill; {possible} would be"):
        run(water, n_steps=n_steps, every=every)
