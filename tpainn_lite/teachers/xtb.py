"""Teachers between force field and DFT: GFN2-xTB and GFN1-xTB."""

from typing import Any

from ase.calculators.calculator import all_changes

from tpainn_lite.structures.charges import charge_and_multiplicity
from tpainn_lite.teachers.charged import ChargedCalculator


class XTBCalculator(ChargedCalculator):
    """GFN2-xTB through tblite, as an ASE calculator, with the charge and the multiplicity of each structure.

    They are those of `tpainn_lite.structures.charges`: ``info["charge"]`` and ``info["multiplicity"]``, or what the
    SMILES says.  Gives ``energy`` in eV, ``forces`` (N, 3) in eV/Å and, for boxes, ``stress`` (6,) in eV/Å³.

    Raises
    ------
    ValueError, CalculationFailed
        The charge or the multiplicity cannot be so; tblite does not converge.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE declares it
    level = "GFN2-xTB"

    def __init__(self) -> None:
        super().__init__(method=self.level)
        self.record: dict[str, Any] = {}  # of the last structure: charge and multiplicity; `label` keeps it

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        charge, multiplicity = charge_and_multiplicity(atoms)
        # each structure from its own first guess: labels do not depend on their order, nor hold what cannot be pickled
        tblite = _tblite()(
            method=self.parameters["method"], charge=charge, multiplicity=multiplicity, verbosity=0, cache_api=False
        )
        tblite.calculate(atoms, ["energy", "forces"], all_changes)
        self.results.update({key: tblite.results[key] for key in self.implemented_properties if key in tblite.results})
        self.record = {"charge": charge, "multiplicity": multiplicity}


class GFN1Calculator(XTBCalculator):
    """The same for GFN1-xTB."""

    level = "GFN1-xTB"


def gfn2_xtb() -> XTBCalculator:
    """The semi-empirical GFN2-xTB (Bannwarth et al. 2019, doi:10.1021/acs.jctc.8b01176), by tblite.

    A label costs about a thousand times as much as one of MMFF94.  ImportError without the extra ``xtb``.

    >>> gfn2_xtb().level  # doctest: +SKIP
    'GFN2-xTB'
    """
    _tblite()
    return XTBCalculator()


def gfn1_xtb() -> XTBCalculator:
    """The older semi-empirical GFN1-xTB (Grimme, Bannwarth, Shushkov 2017, doi:10.1021/acs.jctc.7b00118), by tblite.

    Its errors are others than those of `gfn2_xtb`, at the same price: Δ-learning on it may do better, and the mean of
    both better still.  ImportError without the extra ``xtb``.

    >>> gfn1_xtb().level  # doctest: +SKIP
    'GFN1-xTB'
    """
    _tblite()
    return GFN1Calculator()


def _tblite() -> Any:
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise ImportError("xTB needs tblite: pip install 'tpainn_lite[xtb]'") from error
    return TBLite
