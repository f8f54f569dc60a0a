"""DFT labels along reactions: where bonds break and form, B3LYP/6-31G(2df,p), what a force field cannot know.

    nice python data/make/reactions_b3lyp.py --jobs 2      # an hour on 2 cores; safe to interrupt

Frames are those of `reactive_frames.py`: two atoms pushed together, or pulled apart, along GFN2-xTB's path.  The
molecules of three to five heavy atoms are drawn from those of ``molecules_b3lyp``, and each stays in the part that it
is in there, so that nothing in ``test`` is in any training.  Closed shells throughout: what ends as two radicals is not
described by that, and ends with the reaction before.  ``info["reaction"]`` says which frames belong together.
"""

import argparse
import os
import warnings
from pathlib import Path

import cards
import numpy as np
from molecules_b3lyp import ENVIRONMENT
from reactive_frames import reaction

from tpainn_lite.reading.shipped import load_molecules
from tpainn_lite.structures.smiles import rdkit_molecule
from tpainn_lite.teachers.dft import PySCFCalculator
from tpainn_lite.teachers.label import label

DATA = Path(__file__).resolve().parents[1]
SET, JOURNAL = "reactions_b3lyp", DATA.parent / "build" / "reactions_b3lyp.jsonl"
SOURCE = "tpainn_lite data/make/reactions_b3lyp.py"
SEED = 20262
N_REACTIONS = {"train": 24, "valid": 4, "test": 16}
N_FRAMES, N_HEAVY = 7, (3, 5)  # of each reaction; fewest and most


def frames_of(part):
    """Frames of all reactions of a part, those of one reaction side by side."""
    rng = np.random.default_rng(SEED + len(part))
    names = sorted({atoms.info["smiles"] for atoms in load_molecules(part)})
    sizes = {name: rdkit_molecule(name).GetNumHeavyAtoms() for name in names}
    names = rng.permutation([name for name in names if N_HEAVY[0] <= sizes[name] <= N_HEAVY[1]])
    found = []
    for k, smiles in enumerate(names):
        frames = reaction(str(smiles), N_FRAMES, SEED + k)
        for number, atoms in enumerate(frames):
            atoms.info |= {"reaction": f"{part}/{k}", "part": part, "id": f"{part}/{k}/{number}", "source": SOURCE}
        found += [frames] if frames else []
        if len(found) == N_REACTIONS[part]:
            return [atoms for frames in found for atoms in frames]
    raise ValueError(f"{len(found)} reactions of the {len(names)} molecules of {part}; {N_REACTIONS[part]} are wanted")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    frames = [atoms for part in N_REACTIONS for atoms in frames_of(part)]
    print(f"{len(frames)} frames of {sum(N_REACTIONS.values())} reactions", flush=True)
    done = label(frames, PySCFCalculator("qm9"), JOURNAL, n_jobs=arguments.jobs)
    cards.write_set(SET, done, lambda atoms: atoms.info["part"], finished=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Since PySCF-2.3")  # about B3LYP's definition: ours is Gaussian's
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    main()
