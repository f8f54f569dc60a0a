"""DFT of liquids as an ASE calculator, with the program CP2K: their expensive labels.

`CP2KCalculator()` is revPBE-D3/TZV2P.  CP2K comes with Debian and Ubuntu (``apt-get install cp2k``) and with
conda (``conda install -c conda-forge cp2k``); ASE talks to it.
"""

import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ase.calculators.calculator import CalculationFailed, all_changes
from ase.calculators.cp2k import CP2K

from tpainn_lite.structures.arguments import check_choice, check_numbers
from tpainn_lite.structures.charges import charge_and_multiplicity
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.teachers.charged import ChargedCalculator

# Functional: revised PBE (Zhang, Yang 1998) with D3, zero damping (Grimme 2010). Pseudopotentials with non-linear core
# correction (Willand et al. 2013, doi:10.1063/1.4793260): with the usual ones forces depend on where the atoms lie on
# the grid, by 0.1 eV/Å at 400 Ry.
REVPBE_D3 = {"name": "revPBE-D3/TZV2P-GTH-NLCC", "cutoff": 480.0}
CP2K_LEVELS: dict[str, dict[str, Any]] = {"liquid": REVPBE_D3, "water": REVPBE_D3}
VALENCE = {  # electrons of the elements that have such a pseudopotential
    "H": 1, "B": 3, "C": 4, "N": 5, "O": 6, "F": 7, "Al": 3, "Si": 4, "P": 5, "S": 6, "Cl": 7,
}  # fmt: skip
LOWEST_CUTOFF, HIGHEST_CUTOFF = 50.0, 5000.0  # Ry
CP2K_INPUT = """
&FORCE_EVAL
  &DFT
    BASIS_SET_FILE_NAME GTH_BASIS_SETS
    POTENTIAL_FILE_NAME NLCC_POTENTIALS
    &MGRID
      CUTOFF {cutoff}
      REL_CUTOFF 40
      NGRIDS 5
    &END MGRID
    &QS
      EPS_DEFAULT 1.0E-10
      EXTRAPOLATION USE_PREV_WF
    &END QS
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF {eps_scf}
      MAX_SCF {max_scf}
      &OT
        MINIMIZER {minimizer}
        PRECONDITIONER FULL_ALL
        ENERGY_GAP {gap}
      &END OT
      &OUTER_SCF
        EPS_SCF {eps_scf}
        MAX_SCF 12
      &END OUTER_SCF
      &PRINT
        &RESTART OFF
        &END RESTART
      &END PRINT
    &END SCF
    &XC
      &XC_FUNCTIONAL
        &PBE
          PARAMETRIZATION REVPBE
        &END PBE
      &END XC_FUNCTIONAL
      &VDW_POTENTIAL
        POTENTIAL_TYPE PAIR_POTENTIAL
        &PAIR_POTENTIAL
          TYPE DFTD3
          REFERENCE_FUNCTIONAL revPBE
          PARAMETER_FILE_NAME dftd3.dat
          R_CUTOFF 15.0
        &END PAIR_POTENTIAL
      &END VDW_POTENTIAL
    &END XC
  &END DFT
  &SUBSYS
{kinds}
  &END SUBSYS
&END FORCE_EVAL
"""
CP2K_KIND = """    &KIND {element}
      BASIS_SET TZV2P-GTH
      POTENTIAL GTH-NLCC-PBE-q{valence}
    &END KIND"""
QUICK_SCF = {"minimizer": "DIIS", "gap": 0.01, "max_scf": 8, "eps_scf": "1.0E-5"}
SAFE_SCF = {"minimizer": "CG", "gap": 0.001, "max_scf": 30, "eps_scf": "1.0E-5"}


class CP2KCalculator(ChargedCalculator):
    """Periodic boxes of liquids with CP2K, as an ASE calculator; elements: those of `VALENCE`.

    CP2K runs on as a child process (ASE's `ase.calculators.cp2k`), so that each frame starts from the wave function of
    the one before: give frames in the order of their trajectory.  An SCF that does not converge, or that ends CP2K, is
    tried once more from scratch with a safer minimiser.  Each CP2K has one thread unless ``OMP_NUM_THREADS`` is set:
    several frames at once (`label`'s ``n_jobs``) use a machine better than several threads do.

    Charge and multiplicity are those of each structure (`tpainn_lite.structures.charges`); a charged box has a uniform
    background of the opposite charge, and unpaired electrons are computed unrestricted.

    Gives ``energy`` in eV, ``forces`` (N, 3) in eV/Å and ``stress`` (6,) in eV/Å³ with ASE's sign, the opposite of what
    CP2K prints.

    Parameters
    ----------
    level : of `CP2K_LEVELS`: "liquid" and "water" are the same, revPBE-D3, triple-zeta basis, 480 Ry
    cutoff : Ry, instead of the level's
    command : starts CP2K's shell; unless given, ``cp2k.psmp`` or ``cp2k`` is looked for

    Raises
    ------
    CalculationFailed, ValueError
        The SCF does not converge, or CP2K stops; the structure is no periodic box, or has an element without
        pseudopotential.

    >>> CP2KCalculator(cutoff=600).level
    'revPBE-D3/TZV2P-GTH-NLCC, 600 Ry'
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE declares it
    # ((SCF settings, electrons, elements), ASE's calculator, folder); none where settings were refused
    _running: Any = None

    def __init__(self, level: str = "liquid", cutoff: float | None = None, command: str | None = None) -> None:
        super().__init__()
        check_choice(tuple(CP2K_LEVELS), level=level)
        if cutoff is not None:
            check_numbers(least=LOWEST_CUTOFF, cutoff=cutoff)
            if cutoff > HIGHEST_CUTOFF:
                raise ValueError(f"cutoff is {cutoff:g} Ry; at most {HIGHEST_CUTOFF:g} is possible")
        if command is not None and (not isinstance(command, str) or not command.strip()):
            raise ValueError(f"command is {command!r}; what starts CP2K's shell is expected, like 'cp2k.psmp --shell'")
        self.cutoff, self.command = cutoff or CP2K_LEVELS[level]["cutoff"], command
        self.level = CP2K_LEVELS[level]["name"] + (f", {cutoff:g} Ry" if cutoff else "")
        self.record: dict[str, Any] = {}  # of the last structure: SCF steps, seconds, …; `label` keeps it

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_running": None}

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        _check_box(atoms)
        charge, multiplicity = charge_and_multiplicity(atoms)
        started, electrons = time.perf_counter(), (charge, multiplicity)
        try:
            results, steps = self._single_point(atoms, QUICK_SCF, electrons)
        except CalculationFailed:
            results, steps = self._single_point(atoms, SAFE_SCF, electrons)
        self.results.update({key: results[key] for key in self.implemented_properties})
        self.record = {"scf_steps": steps, "seconds": round(time.perf_counter() - started, 1)}
        self.record |= {"charge": charge, "multiplicity": multiplicity}

    def _single_point(self, atoms, scf, electrons):
        """ASE's results, and the number of SCF steps."""
        elements = tuple(sorted(set(atoms.get_chemical_symbols())))
        if self._running is not None and self._running[0] != (scf, electrons, elements):
            self.close()
        command = self.command or _cp2k_command()
        folder = self._running[2] if self._running else tempfile.TemporaryDirectory(prefix="tpainn-cp2k-")
        output = Path(folder.name, "box.out")
        before = output.stat().st_size if output.exists() else 0
        try:
            label = f"{folder.name}/box"
            cp2k = self._running[1] if self._running else self._started(scf, electrons, elements, command, label)
            self._running = ((scf, electrons, elements), cp2k, folder)
            cp2k.calculate(atoms.copy(), ["energy"], cp2k.check_state(atoms))
        except (AssertionError, BrokenPipeError, ValueError) as error:  # what ASE says when CP2K has died
            last_words = _tail(output)
            self.close()
            folder.cleanup()
            raise CalculationFailed(f"CP2K stopped; the end of its output:\n{last_words}") from error
        with open(output, encoding="utf-8", errors="replace") as file:
            file.seek(before)
            steps = _scf_steps(file.read())
        if steps is None:
            self.close()
            raise CalculationFailed(
                f"the SCF of {atoms.get_chemical_formula()} did not converge; is the geometry strongly distorted?"
            )
        return dict(cp2k.results), steps

    def _started(self, scf, electrons, elements, command, label):
        kinds = "\n".join(CP2K_KIND.format(element=element, valence=VALENCE[element]) for element in elements)
        text = CP2K_INPUT.format(cutoff=self.cutoff, kinds=kinds, **scf)
        ours = dict.fromkeys(("basis_set", "basis_set_file", "pseudo_potential", "potential_file", "cutoff", "xc"))
        charge, multiplicity = electrons
        spins = {"charge": charge, "multiplicity": multiplicity, "uks": multiplicity > 1}
        return CP2K(command=command, inp=text, label=label, max_scf=None, print_level="LOW", **spins, **ours)

    def close(self) -> None:
        """End the child process."""
        if self._running is not None:
            _, cp2k, folder = self._running
            self._running = None
            with suppress(AssertionError, OSError):
                cp2k.close()
            folder.cleanup()

    def __del__(self) -> None:
        self.close()


def _scf_steps(output):
    """SCF steps in a piece of CP2K's output; None if the last inner loop did not converge.

    CP2K holds back what it says about the outer loop until the next structure; the inner loops tell as much.
    """
    loops = re.findall(r"(SCF run converged in|inner SCF loop after reaching) +(\d+) steps", output)
    return sum(int(n) for _, n in loops) if loops and loops[-1][0].startswith("SCF run") else None


def _tail(output):
    return "\n".join(output.read_text(errors="replace").splitlines()[-12:]) if output.exists() else "(none)"


def _cp2k_command():
    for name in ("cp2k.psmp", "cp2k.ssmp", "cp2k"):
        if shutil.which(name):
            threads = "" if "OMP_NUM_THREADS" in os.environ else "env OMP_NUM_THREADS=1 "
            return f"{threads}{name} --shell"
    raise FileNotFoundError(
        "no CP2K on this machine. Debian and Ubuntu: apt-get install cp2k; conda: conda install -c conda-forge cp2k"
    )


def _check_box(atoms):
    check_structure(atoms)
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(VALENCE))
    if unknown or not atoms.pbc.all():
        given = f"{atoms.get_chemical_formula()} with pbc {atoms.pbc.tolist()}"
        raise ValueError(f"{given} was given; a periodic box of {', '.join(VALENCE)} is expected")
