# ruff: noqa: I001  in the order of the story
# The public names, for editors and type checkers; __init__.py reads from here where each of them is.

__version__: str

from .structures.build import (
    conformers as conformers,
    dimer_frames as dimer_frames,
    molecule as molecule,
    water_box as water_box,
    water_clusters as water_clusters,
)
from .structures.geometry import composition as composition
from .structures.liquids import liquid as liquid
from .structures.select import (
    distinct as distinct,
    diverse as diverse,
    draw as draw,
    split_by_molecule as split_by_molecule,
)

from .reading.frames import read_frames as read_frames, write_frames as write_frames
from .reading.qm9 import load_qm9 as load_qm9
from .reading.shipped import (
    load_molecules as load_molecules,
    load_results as load_results,
    load_methanol as load_methanol,
    load_reactions as load_reactions,
    load_scan as load_scan,
    load_water as load_water,
    molecule_list as molecule_list,
)

from .teachers.cp2k import CP2KCalculator as CP2KCalculator
from .teachers.dft import PySCFCalculator as PySCFCalculator
from .teachers.label import label as label, label_stream as label_stream
from .teachers.label_files import label_file as label_file
from .teachers.liquid_md import liquid_run as liquid_run, liquid_runs as liquid_runs
from .teachers.mmff_liquid import mmff94_liquid as mmff94_liquid
from .teachers.openmm_teacher import openmm_teacher as openmm_teacher
from .teachers.parallel import side_by_side as side_by_side
from .teachers.rdkit import forcefield_for as forcefield_for, mmff94 as mmff94, uff as uff
from .teachers.sample import (
    normal_mode_frames as normal_mode_frames,
    rattled_frames as rattled_frames,
    shaken_molecules as shaken_molecules,
    thermal_frames as thermal_frames,
)
from .teachers.water import water as water
from .teachers.water_md import water_run as water_run, water_runs as water_runs
from .teachers.gfn_ff import gfn_ff as gfn_ff
from .teachers.xtb import gfn1_xtb as gfn1_xtb, gfn2_xtb as gfn2_xtb

from .model import graph as graph, painn as painn
from .model.check import DataCheck as DataCheck, check_data as check_data
from .model.calculator import PotentialCalculator as PotentialCalculator
from .model.committee import Committee as Committee
from .model.domain import Domain as Domain
from .model.error_bars import ErrorBars as ErrorBars
from .model.errors import energy_mae as energy_mae, errors as errors, force_mae as force_mae
from .model.graph import to_graph as to_graph
from .model.painn import PaiNN as PaiNN
from .model.potential import Potential as Potential
from .model.pretrained import load_label_slider as load_label_slider, load_pretrained as load_pretrained
from .model.references import (
    fit_atomref as fit_atomref,
    rereference as rereference,
    with_elements as with_elements,
)

from .course import teach as teach

from .train import training as training
from .train.curves import learning_curve as learning_curve, mean_error as mean_error
from .train.energy_fit import EnergyFit as EnergyFit
from .train.transfer import (
    autotune as autotune,
    delta_learn as delta_learn,
    new_potential as new_potential,
    pretrain as pretrain,
    train_from_scratch as train_from_scratch,
)

from .simulate import observables as observables
from .simulate.md import run_md as run_md
from .simulate.observables import energy_drift as energy_drift

from .engines.export import export as export

from .show import plots as plots
from .show.viewer import view as view, view_side_by_side as view_side_by_side

from .page import explain as explain
from .page.widget import live as live

from .project.run import run_project as run_project
