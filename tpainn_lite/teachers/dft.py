"""DFT as an ASE calculator: the expensive labels.

`PySCFCalculator("qm9")` computes molecules at the level of the QM9 data set (Ramakrishnan et al. 2014,
doi:10.1038/sdata.2014.22), B3LYP/6-31G(2df,p) as Gaussian defines it.  Two things must be right for that, and
neither is PySCF's default: the polarisation exponents, and a basis that mixes six Cartesian d functions with seven
pure f functions.

For other elements, and for molecules that are held together by dispersion, there are levels with D3(BJ)
(doi:10.1002/jcc.21759) and the Karlsruhe bases def2-SVP and def2-TZVP (doi:10.1039/b508541a): PBE0
(doi:10.1063/1.478522) and ωB97X-D3(BJ) (doi:10.1021/acs.jctc.8b00842), which is ωB97X-V (doi:10.1039/c3cp54374a)
with D3(BJ) in place of its VV10.
PySCF (the optional extra ``dft``) loads on first use.

`tpainn_lite.teachers.cp2k` computes liquids.
"""

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, all_changes
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree

from tpainn_lite.structures.arguments import check_choice, check_counts
from tpainn_lite.structures.charges import charge_and_multiplicity
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.teachers.charged import ChargedCalculator

# Polarisation functions of 6-31G(2df,p): Frisch, Pople, Binkley 1984, doi:10.1063/1.447079.
D_EXPONENTS = (1.6, 0.4)
F_EXPONENT = {"C": 0.8, "N": 1.0, "O": 1.4, "F": 1.85}
P_EXPONENT_H = 1.1

POPLE = "6-31G(2df,p)"
B3LYP = {"xc": "b3lyp", "name": f"B3LYP/{POPLE}", "open_shells": "unrestricted"}
QUICK = {"density_fit": True, "grid_level": 1}  # 2 meV/Å and < 0.7 meV from no density fitting on a fine grid
KARLSRUHE = {"open_shells": "unrestricted", "density_fit": True, "grid_level": 2}
PBE0, WB97X = {"xc": "pbe0-d3bj", **KARLSRUHE}, {"xc": "wb97x-d3bj", **KARLSRUHE}
# What each costs, and how far each is from the last: `benchmarks/dft_levels.py`, data/results/dft_levels.json.
LEVELS: dict[str, dict[str, Any]] = {
    "qm9": {**B3LYP, **QUICK},  # the labels we ship
    "qm9_exact": {**B3LYP, "density_fit": False, "grid_level": 4},  # QM9's own numbers
    "pbe0_svp": {**PBE0, "name": "PBE0-D3(BJ)/def2-SVP", "basis": "def2-svp"},
    "pbe0": {**PBE0, "name": "PBE0-D3(BJ)/def2-TZVP", "basis": "def2-tzvp"},
    "wb97x": {**WB97X, "name": "ωB97X-D3(BJ)/def2-TZVP", "basis": "def2-tzvp"},
}
OF_POPLE = {"H", "C", "N", "O", "F"}
LAST_OF_KARLSRUHE, FIRST_WITH_CORE = 86, 37  # radon; from rubidium on, a potential replaces the inner electrons
KEPT_ON_GRID = 1e9  # bytes
AT_ONCE = 30  # MB of values on the grid in one piece: as fast as PySCF's 2,000, with half of the memory


class PySCFCalculator(ChargedCalculator):
    """Kohn–Sham DFT for molecules, ions and radicals, as an ASE calculator.

    The charge and the multiplicity are those of each structure (`tpainn_lite.structures.charges`): ``info["charge"]``
    and ``info["multiplicity"]``, or what its SMILES says.  Paired electrons are computed restricted, others
    unrestricted.

    Gives ``energy`` in eV (the electronic energy; QM9's U0 minus its zero-point energy) and ``forces`` (N, 3)
    in eV/Å, with the integration grid's small net force (a few meV/Å) taken out.  An SCF that does not converge is
    tried once more with a second-order solver; then `ase.calculators.calculator.CalculationFailed`.

    Parameters
    ----------
    level
        One of `LEVELS`: "qm9" (H, C, N, O, F), "qm9_exact", or, up to radon and with dispersion, "pbe0_svp", "pbe0"
        and "wb97x", each more expensive than the one before.
    n_threads
        To label many molecules, one thread and several processes are faster.

    >>> from ase.build import molecule
    >>> water = molecule("H2O")
    >>> water.calc = PySCFCalculator("qm9")
    >>> round(water.get_potential_energy(), 1)
    -2079.7
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  as ASE declares it

    def __init__(self, level: str = "qm9", n_threads: int = 1) -> None:
        super().__init__()
        check_choice(tuple(LEVELS), level=level)
        check_counts(n_threads=n_threads)
        self.settings, self.n_threads = LEVELS[level], n_threads
        self.record: dict[str, Any] = {}  # of the last structure: SCF cycles, seconds, …; `label` keeps it
        # ((atomic numbers, charge, multiplicity), density matrix): the next frame of a molecule starts here
        self._last: tuple[tuple[bytes, int, int], np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    @property
    def level(self) -> str:
        """Name of the level of theory."""
        return self.settings["name"]

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        _check_molecule(atoms, self.settings.get("basis", POPLE))
        charge, multiplicity = charge_and_multiplicity(atoms)
        started, lib, same = time.perf_counter(), _pyscf().lib, (atoms.numbers.tobytes(), charge, multiplicity)
        with lib.with_omp_threads(self.n_threads):
            field = self._converged(atoms, same)
            gradient = field.nuc_grad_method()
            gradient.verbose = 0
            forces = -gradient.kernel() * Hartree / Bohr  # (N, 3) eV/Å
        self._last = (same, field.make_rdm1())
        self.results["energy"] = float(field.e_tot * Hartree)
        self.results["forces"] = forces - forces.mean(axis=0)
        self.record = {"scf_cycles": int(field.cycles), "seconds": round(time.perf_counter() - started, 2)}
        self.record |= {"charge": charge, "multiplicity": multiplicity}

    def _converged(self, atoms, same):
        field = mean_field(
            atoms, **{k: self.settings[k] for k in ("xc", "basis", "density_fit", "grid_level") if k in self.settings}
        )
        last, guess = self._last or (None, None)
        field.kernel(dm0=guess if last == same else None)
        if not field.converged:
            field = field.newton()
            field.kernel(field.mo_coeff, field.mo_occ)
        vars(field._numint).get("kept_on_grid", {}).clear()  # up to a gigabyte, not needed any more
        if not field.converged:
            raise CalculationFailed(
                f"the SCF of {atoms.get_chemical_formula()} did not converge, with DIIS or second order; "
                "is the geometry strongly distorted, or the multiplicity another one?"
            )
        return field


def mean_field(
    atoms: Atoms, xc: str = "b3lyp", basis: str = POPLE, density_fit: bool = True, grid_level: int = 1
) -> Any:
    """The PySCF mean-field object of a molecule; charge and multiplicity are the structure's own.

    6-31G(2df,p) has 6 Cartesian d and 7 pure f functions; PySCF's molecules are either Cartesian or pure throughout.
    So the molecule is Cartesian, and the orbitals are restricted to the span of T = blockdiag(identity for s, p, d;
    Cartesian-to-pure for f).  T does not depend on the geometry, so PySCF's analytic gradient stays exact.

    Parameters
    ----------
    xc
        PySCF's name of a functional; one that ends in ``-d3bj`` needs pyscf-dispersion.
    basis
        Or PySCF's name of another.
    grid_level
        0 to 9.

    Raises
    ------
    ValueError
        An element without a basis here, or no name of a functional.
    """
    check_counts(least=0, most=9, grid_level=grid_level)
    if not isinstance(xc, str) or not xc.strip():
        raise ValueError(f"xc is {xc!r}; the name of a functional is expected, like 'b3lyp'")
    pyscf = _pyscf(dispersion="-d3" in xc or "-d4" in xc)
    molecule = _pyscf_molecule(pyscf, atoms, basis)
    field = (pyscf.dft.UKS if molecule.spin else pyscf.dft.RKS)(molecule, xc=xc)
    if density_fit:
        field = field.density_fit(auxbasis="def2-universal-jkfit")
    field.grids.level = grid_level
    field.conv_tol, field.max_cycle, field.verbose = 1e-8, 60, 0
    field.conv_tol_grad = 1e-5  # PySCF's own 1e-4 leaves up to 1.6 meV/Å in the forces; costs one cycle in ten
    if basis == POPLE:
        _restrict_to_pure_f(pyscf, field)
    _keep_orbitals_on_grid(field._numint)
    return field


def _restrict_to_pure_f(pyscf, field):
    pure_f = _six_d_seven_f(pyscf, field.mol)  # (n_cartesian, n_functions)

    def orthogonal_basis(overlap, *_):
        return pure_f @ pyscf.scf.hf.check_linear_dependency(pure_f.T @ overlap @ pure_f)

    field.check_linear_dependency = orthogonal_basis


def _keep_orbitals_on_grid(numint):
    """Let every SCF cycle use the basis functions' values on the grid that the first one computed (a fifth faster)."""
    evaluate = numint.block_loop
    kept: dict[str, Any] = {}
    numint.kept_on_grid = kept

    def block_loop(mol, grids, nao=None, deriv=0, max_memory=2000, *args, **kwargs):
        blocks = evaluate(mol, grids, nao, deriv, min(max_memory, AT_ONCE), *args, **kwargs)
        too_many = 4 * 8 * len(grids.coords) * mol.nao > KEPT_ON_GRID
        if deriv != 1 or too_many:  # the gradient's second derivatives are used once
            yield from blocks
            return
        if kept.get("coords") is not grids.coords:
            kept["blocks"] = [(orbitals.copy("K"), *others) for orbitals, *others in blocks]  # 4 × grid × functions
            kept["coords"] = grids.coords
        yield from kept["blocks"]

    numint.block_loop = block_loop


def _check_molecule(atoms, basis):
    check_structure(atoms)
    if atoms.pbc.any():
        raise ValueError(
            f"{atoms.get_chemical_formula()} has pbc {atoms.pbc.tolist()}; PySCF computes single molecules here: set "
            "atoms.pbc = False if this is one, or take CP2KCalculator"
        )
    _check_elements(atoms, basis)


def _check_elements(atoms, basis):
    pople = basis == POPLE
    known = OF_POPLE if pople else set(chemical_symbols[1 : LAST_OF_KARLSRUHE + 1])
    unknown = ", ".join(sorted(set(atoms.get_chemical_symbols()) - known))
    if unknown and pople:
        raise ValueError(
            f"no {basis} basis here for {unknown}; H, C, N, O and F are supported: other levels know more elements, "
            'PySCFCalculator("pbe0") (--with pbe0) for one'
        )
    if unknown:
        raise ValueError(f"no {basis} basis for {unknown}; elements up to radon are supported")


def _pyscf(dispersion=False):
    try:
        with _processor_named():
            import pyscf
            import pyscf.dft
            import pyscf.scf

            if dispersion:
                import pyscf.dispersion
    except ImportError as error:
        what = "PySCF and pyscf-dispersion" if dispersion else "PySCF"
        raise ImportError(f"DFT labels need {what}: pip install 'tpainn_lite[dft]' (Linux and macOS)") from error
    return pyscf


@contextmanager
def _processor_named():
    """PySCF's wheels carry an OpenBLAS of 2018 that takes newer processors for one of 2004: matrix products take twice
    the time.  It reads this variable when it is loaded, unless the user has set it."""
    name, features = "OPENBLAS_CORETYPE", Path("/proc/cpuinfo")
    if name in os.environ or not features.exists() or not {"avx2", "fma"} <= set(features.read_text().split()):
        yield
        return
    os.environ[name] = "Haswell"
    try:
        yield
    finally:
        del os.environ[name]


def _pyscf_molecule(pyscf, atoms, basis):
    _check_elements(atoms, basis)
    geometry = [(int(z), tuple(xyz)) for z, xyz in zip(atoms.numbers, atoms.positions, strict=True)]
    charge, multiplicity = charge_and_multiplicity(atoms)
    settings = {"charge": charge, "spin": multiplicity - 1, "unit": "Angstrom", "verbose": 0}
    if basis == POPLE:
        settings |= {"basis": {symbol: _basis(pyscf, symbol) for symbol in set(atoms.symbols)}, "cart": True}
    else:
        heavy = {symbol for symbol, z in zip(atoms.symbols, atoms.numbers, strict=True) if z >= FIRST_WITH_CORE}
        settings |= {"basis": basis, "ecp": dict.fromkeys(heavy, basis)}
    return pyscf.gto.M(atom=geometry, **settings)


def _basis(pyscf, symbol):
    """6-31G with the polarisation functions of (2df,p), in PySCF's format."""
    shells = list(pyscf.gto.basis.load("6-31g", symbol))
    if symbol == "H":
        return shells + [[1, [P_EXPONENT_H, 1.0]]]
    d_shells = [[2, [exponent, 1.0]] for exponent in D_EXPONENTS]
    return shells + d_shells + [[3, [F_EXPONENT[symbol], 1.0]]]


def _six_d_seven_f(pyscf, molecule):
    from scipy.linalg import block_diag

    blocks = []
    for shell in range(molecule.nbas):
        angular, n = molecule.bas_angular(shell), molecule.bas_nctr(shell)
        size = (angular + 1) * (angular + 2) // 2
        block = pyscf.gto.mole.cart2sph(angular) if angular == 3 else np.eye(size)
        blocks += [block] * n
    return block_diag(*blocks)
