"""A teacher between force field and DFT: GFN2-xTB."""

from tpainn_lite.structures.protocols import Teacher


def gfn2_xtb() -> Teacher:
    """The semi-empirical GFN2-xTB (Bannwarth et al. 2019, doi:10.1021/acs.jctc.8b01176), by tblite.

    A label costs about a thousand times as much as one of MMFF94.  ImportError without the extra ``xtb``.

    >>> gfn2_xtb().level  # doctest: +SKIP
    'GFN2-xTB'
    """
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise ImportError("GFN2-xTB needs tblite: pip install 'tpainn_lite[xtb]'") from error
    # each structure from its own first guess: labels do not depend on their order, nor hold what cannot be pickled
    calculator = TBLite(method="GFN2-xTB", verbosity=0, cache_api=False)
    calculator.level = "GFN2-xTB"
    return calculator
