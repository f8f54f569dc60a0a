__version__: str

from .course import teach as teach
from .model import graph as graph
from .model.calculator import PotentialCalculator as PotentialCalculator
from .model.committee import Committee as Committee
from .model.domain import Domain as Domain
from .model.errors import errors as errors
from .model.graph import to_graph as to_graph
from .model.painn import PaiNN as PaiNN
from .model.potential import Potential as Potential
from .project.run import run_project as run_project
from .show import plots as plots
from .show.dashboard import md_dashboard as md_dashboard
from .show.viewer import view as view
from .show.viewer import view_side_by_side as view_side_by_side
from .simulate import observables as observables
from .simulate.md import run_md as run_md
from .simulate.observables import energy_drift as energy_drift
from .structures.build import (
    conformers as conformers,
)
from .structures.build import (
    dimer_frames as dimer_frames,
)
from .structures.build import (
    molecule as molecule,
)
from .structures.build import (
    water_box as water_box,
)
from .structures.build import (
    water_clusters as water_clusters,
)
from .structures.reading import read_frames as read_frames
from .structures.reading import write_frames as write_frames
from .structures.select import (
    distinct as distinct,
)
from .structures.select import (
    diverse as diverse,
)
from .structures.select import (
    draw as draw,
)
from .structures.select import (
    split_by_molecule as split_by_molecule,
)
from .structures.shipped import (
    load_molecules as load_molecules,
)
from .structures.shipped import (
    load_qm9 as load_qm9,
)
from .structures.shipped import (
    load_results as load_results,
)
from .structures.shipped import (
    load_scan as load_scan,
)
from .structures.shipped import (
    load_water as load_water,
)
from .structures.shipped import (
    molecule_list as molecule_list,
)
from .teachers.cp2k import CP2KCalculator as CP2KCalculator
from .teachers.dft import PySCFCalculator as PySCFCalculator
from .teachers.label import label as label
from .teachers.label import label_stream as label_stream
from .teachers.label_files import label_file as label_file
from .teachers.rdkit import forcefield_for as forcefield_for
from .teachers.rdkit import mmff94 as mmff94
from .teachers.rdkit import uff as uff
from .teachers.sample import (
    normal_mode_frames as normal_mode_frames,
)
from .teachers.sample import (
    rattled_frames as rattled_frames,
)
from .teachers.sample import (
    shaken_molecules as shaken_molecules,
)
from .teachers.sample import (
    thermal_frames as thermal_frames,
)
from .teachers.water import water as water
from .teachers.water_md import water_run as water_run
from .teachers.water_md import water_runs as water_runs
from .teachers.xtb import gfn2_xtb as gfn2_xtb
from .train import training as training
from .train.curves import learning_curve as learning_curve
from .train.recipes import load_pretrained as load_pretrained
from .train.transfer import (
    autotune as autotune,
)
from .train.transfer import (
    delta_learn as delta_learn,
)
from .train.transfer import (
    pretrain as pretrain,
)
from .train.transfer import (
    train_from_scratch as train_from_scratch,
)
