"""How many electrons a structure has, and how many are unpaired: what every quantum-mechanical teacher must know.

A structure says it in ``atoms.info``: ``charge`` in e and ``multiplicity``, 2S + 1.  Where it does not, its SMILES says
it (formal charges, radical electrons), or ASE's initial charges and magnetic moments do.
"""

from typing import Any

import numpy as np
from ase import Atoms

from tpainn_lite.structures.arguments import ForceFieldError, shown
from tpainn_lite.structures.smiles import smiles_charge, smiles_unpaired, unpaired_of_atom

CHARGE_KEYS = ("charge", "total_charge", "net_charge", "qm_charge", "Charge")  # of ``info``; the second is MACE's
SPIN_KEYS = ("spin", "total_spin", "spin_multiplicity")  # 2S + 1 as fairchem and MACE have it, or 2S as PySCF does
ELECTRONS = ("multiplicity", *CHARGE_KEYS, *SPIN_KEYS)  # all that tell one molecule from its ions
TRIPLETS = ("O2", "S2", "OS", "HN", "CH2")  # small molecules whose ground state is none of paired electrons
NONMETALS = {1, 2, *range(5, 11), *range(14, 19), *range(33, 37), *range(52, 55)}  # atomic numbers
WHOLE, ROUNDED = 0.05, 5e-4  # e or μB, and for each atom, by which initial charges may miss a whole number


def total_charge(atoms: Atoms) -> int:
    """The charge of a structure in e: ``info["charge"]``, or its SMILES', or the sum of ASE's initial charges; else 0.

    Raises
    ------
    ValueError
        What the structure says is no whole number, or contradicts its SMILES.

    >>> total_charge(Atoms("OHHH", info={"charge": 1}))
    1
    """
    given, written = _whole(atoms, CHARGE_KEYS), smiles_charge(_smiles(atoms))
    if given is not None and written is not None and given[1] != written:
        raise ValueError(
            f'{_called(atoms)} has info["{given[0]}"] = {given[1]}, but its SMILES {atoms.info["smiles"]!r} has the '
            f"charge {written}: one of the two has to be corrected"
        )
    if given is not None:
        return given[1]
    return written if written is not None else _sum_of(atoms, "initial_charges", "charge") or 0


def charge_and_multiplicity(atoms: Atoms) -> tuple[int, int]:
    """The charge of a structure in e (see `total_charge`), and its multiplicity 2S + 1.

    The multiplicity is ``info["multiplicity"]``; or ``info["spin"]``, taken as 2S + 1 or as 2S, whichever suits the
    number of electrons; or what the radical electrons of the SMILES or ASE's initial magnetic moments add up to.  Where
    nothing says it, single atoms follow Hund's rule, O₂ and its like are triplets, and other electrons are paired.

    Raises
    ------
    ValueError
        What the structure says cannot be so; or nothing says where an odd number of electrons comes from.

    >>> charge_and_multiplicity(Atoms("OO", [[0, 0, 0], [0, 0, 1.2]]))
    (0, 3)
    """
    charge = total_charge(atoms)
    electrons = int(atoms.numbers.sum()) - charge
    if electrons < 0:
        raise ValueError(f"{_called(atoms)} has {atoms.numbers.sum()} electrons; with a charge of {charge} e, too few")
    multiplicity = _given_multiplicity(atoms, electrons)
    if multiplicity is None:
        multiplicity = _ground_state(atoms, charge, electrons)
    if not 1 <= multiplicity <= electrons + 1 or (multiplicity - 1 - electrons) % 2:
        raise ValueError(
            f"{_called(atoms)} with the charge {charge} has {electrons} electrons, which cannot have the multiplicity "
            f'{multiplicity} (2S + 1): info["charge"] or info["multiplicity"] has to be corrected'
        )
    return charge, multiplicity


def check_electrons(atoms: Atoms, smiles: str | None, method: str) -> None:
    """Raise `ForceFieldError` where ``info`` says of the electrons something else than what a force field assumes.

    Parameters
    ----------
    smiles
        That the force field knows the molecule by; None where it knows neutral molecules of paired electrons alone.
    method
        Its name.
    """
    if not any(atoms.info.get(key) is not None for key in ELECTRONS):
        return
    charge, unpaired = smiles_charge(smiles) or 0, smiles_unpaired(smiles) or 0
    given = _whole(atoms, CHARGE_KEYS)
    assumed = "neutral molecules" if smiles is None else f"{smiles!r}, whose charge is {charge}"
    if given is not None and given[1] != charge:
        raise ForceFieldError(
            f'{_called(atoms)} has info["{given[0]}"] = {given[1]}, but {method} describes {assumed}: correct one of '
            "them, or take a teacher that counts electrons (gfn2-xtb, DFT)"
        )
    multiplicity = _given_multiplicity(atoms, int(atoms.numbers.sum()) - charge)
    if multiplicity not in (None, 1 + unpaired):
        raise ForceFieldError(
            f"{_called(atoms)} has the multiplicity {multiplicity}, but {method} knows nothing of spins: take a "
            "teacher that counts electrons (gfn2-xtb, DFT)"
        )


def same_electrons(one: Atoms, other: Atoms) -> bool:
    """Whether ``info`` says the same of the bonds and electrons of two structures; else they may differ in energy."""
    there, here = one.info, other.info
    pairs = ((there.get(key), here.get(key)) for key in ("smiles", *ELECTRONS))
    return all(a is b or str(a) == str(b) for a, b in pairs)


def _given_multiplicity(atoms, electrons):
    if (given := _whole(atoms, ("multiplicity",))) is not None:
        return given[1]
    if (given := _whole(atoms, SPIN_KEYS)) is not None:
        is_multiplicity = given[1] >= 1 and (given[1] - 1 - electrons) % 2 == 0
        return given[1] if is_multiplicity else given[1] + 1
    moment = _sum_of(atoms, "initial_magmoms", "multiplicity")
    return None if moment is None else abs(moment) + 1


def _ground_state(atoms, charge, electrons):
    """What is most probably meant where nothing is said of spins."""
    written = smiles_unpaired(_smiles(atoms))
    if written is not None:
        return written + 1
    if len(atoms) == 1:
        return unpaired_of_atom(int(atoms.numbers[0]), charge) + 1
    if charge == 0 and atoms.get_chemical_formula() in TRIPLETS:
        return 3
    said = charge or any(key in atoms.info for key in CHARGE_KEYS)
    metallic = atoms.pbc.any() and not set(atoms.numbers.tolist()) <= NONMETALS
    if electrons % 2 and not said and not metallic:
        raise ValueError(
            f"{_called(atoms)} has an odd number of electrons ({electrons}), and nothing says whether it is an ion or "
            'a radical: atoms.info["charge"] (in e), or atoms.info["multiplicity"] = 2, is expected (charge=1 in the '
            "line above its atoms, in a file)"
        )
    return 1 + electrons % 2


def _whole(atoms: Atoms, keys: tuple[str, ...]) -> tuple[str, int] | None:
    """(key, value) of the first of these that ``info`` has; ValueError unless it is a whole number, the same in all."""
    found = [(key, _number(atoms, key, atoms.info[key])) for key in keys if atoms.info.get(key) is not None]
    if len({value for _, value in found}) > 1:
        both = " and ".join(f'info["{key}"] = {value}' for key, value in found)
        raise ValueError(f"{_called(atoms)} has {both}: one of the two has to be removed")
    return found[0] if found else None


def _number(atoms: Atoms, key: str, value: Any) -> int:
    try:
        number = float(np.asarray(value).reshape(()).item())
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(value, bool) or not np.isfinite(number) or number != round(number):
        raise ValueError(f'{_called(atoms)} has info["{key}"] = {shown(value)}; a whole number is expected')
    return round(number)


def _sum_of(atoms, name, key):
    """Sum of initial charges or moments; None where there are none, ValueError where they make no whole number."""
    if not atoms.has(name) or not np.any(atoms.arrays[name]):
        return None
    total = float(atoms.arrays[name].sum())
    if atoms.arrays[name].ndim > 1 or not abs(total - round(total)) <= WHOLE + ROUNDED * len(atoms):
        raise ValueError(
            f'the {name} of {_called(atoms)} add up to {total:g}, no whole number: atoms.info["{key}"] is expected'
        )
    return round(total)


def _smiles(atoms):
    smiles = atoms.info.get("smiles")
    return smiles if isinstance(smiles, str) else None


def _called(atoms):
    return atoms.get_chemical_formula()
