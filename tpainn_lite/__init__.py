"""tpainn_lite: learn, see and use transfer learning for machine-learned interatomic potentials.

    classical labels ─▶ pretrain ─▶ few DFT labels ─▶ autotune ─▶ a potential to run MD with

Units are ASE's, everywhere: eV, Å, amu, K; forces eV/Å, stress eV/Å³ (ASE's sign); times in fs.
Nothing heavy loads before it is used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {  # public name: its module
    "molecule": "forcefields",
    "conformers": "forcefields",
    "mmff94": "forcefields",
    "uff": "forcefields",
    "water": "classical_water",
    "water_run": "water_md",
    "water_runs": "water_md",
    "forcefield_for": "forcefields",
    "gfn2_xtb": "forcefields",
    "PySCFCalculator": "dft",
    "CP2KCalculator": "cp2k",
    "label": "labels",
    "label_stream": "labels",
    "label_file": "label_files",
    "normal_mode_frames": "sampling",
    "thermal_frames": "sampling",
    "rattled_frames": "sampling",
    "shaken_molecules": "sampling",
    "water_box": "assembly",
    "water_clusters": "assembly",
    "dimer_frames": "assembly",
    "distinct": "selection",
    "diverse": "selection",
    "load_molecules": "datasets",
    "load_water": "datasets",
    "load_qm9": "datasets",
    "load_scan": "datasets",
    "molecule_list": "datasets",
    "draw": "datasets",
    "load_results": "results",
    "read_frames": "datasets",
    "write_frames": "datasets",
    "split_by_molecule": "datasets",
    "to_graph": "graph",
    "PaiNN": "painn",
    "Potential": "potential",
    "pretrain": "transfer",
    "load_pretrained": "recipes",
    "autotune": "transfer",
    "train_from_scratch": "transfer",
    "delta_learn": "transfer",
    "learning_curve": "learning",
    "PotentialCalculator": "calculator",
    "Committee": "committee",
    "Domain": "domain",
    "run_md": "md",
    "run_project": "project",
    "errors": "observables",
    "energy_drift": "observables",
    "md_dashboard": "dashboard",
    "view": "viewer",
    "view_side_by_side": "viewer",
}
_MODULES = {*_HOME.values(), "checks", "plots", "teach", "training"}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"tpainn_lite.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"tpainn_lite.{name}")
    raise AttributeError(f"tpainn_lite has no {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted({*globals(), *__all__, *_MODULES})
