"""DFT labels of our own: liquid water, revPBE-D3, with energies, forces and stress.

Boxes of 32 H2O at several densities and temperatures, from q-TIP4P/F MD and, in a second round, from MD with the
potential that the labels of the first round made (`water_frames.py`); single molecules and pairs in a box; three boxes
of 64 H2O.  Split by time: of each trajectory, the first block is for training, a later one for validation, the last for
testing, 1 ps apart; two trajectories at a density of their own are for testing alone.  Needs CP2K (Debian and Ubuntu:
``apt-get install cp2k``).  Safe to interrupt: every label is kept in ``build/water_dft/`` at once, and the command goes
on from there.

    nice python data/make/water_dft.py --jobs 2      # some hours on 2 cores
    python data/make/water_dft.py --dry-run          # what is left: frames, hours, MB
    python data/make/water_dft.py --hours 0          # keep what is labelled so far in unfinished.extxyz.xz

The parts are written when both rounds are labelled, and not before.
"""

import argparse
import os
import time
import warnings

import cards
from joblib import Parallel, delayed
from water_frames import BLOCKS, BUILD, SECOND_STATES, SET, first_round, second_round

from tpainn_lite.teachers.cp2k import CP2KCalculator
from tpainn_lite.teachers.label import label

SECONDS = 50  # one frame of 32 H2O takes about this on one core of 2024


def label_round(trajectories, done, jobs, deadline):
    """Label what is not labelled yet; each trajectory in order, by a CP2K of its own.  Adds to ``done``."""
    todo = _todo(trajectories, done)
    tasks = [delayed(_label_one)(name, frames, deadline) for name, frames in todo.items() if frames]
    for name, labelled in Parallel(jobs, return_as="generator_unordered")(tasks):
        done |= {frame.info["id"]: frame for frame in labelled}
        print(f"{name}: {len(labelled)} of {len(todo[name])} frames labelled", flush=True)


def _label_one(name, frames, deadline):
    limit = None if deadline is None else max(0.0, deadline - time.time())
    calculator = CP2KCalculator("water")
    try:
        return name, label(frames, calculator, BUILD / f"{name}.jsonl", progress=False, time_limit=limit)
    except ValueError as error:  # none of them: say so, and leave the others alone
        print(f"{name}: {error}", flush=True)
        return name, []
    finally:
        calculator.close()


def _todo(trajectories, done):
    return {name: [f for f in frames if f.info["id"] not in done] for name, frames in trajectories.items()}


def say_what_is_left(trajectories, done, jobs):
    """Frames, hours and MB; a second round that is not sampled yet is counted too."""
    n_second = len(SECOND_STATES) * sum(map(len, BLOCKS.values()))
    if any(name.startswith("second") for name in trajectories):
        n_second = 0
    work = n_second + sum(len(f) / 96 for frames in _todo(trajectories, done).values() for f in frames)
    n_frames, n_todo = (sum(map(len, x.values())) + n_second for x in (trajectories, _todo(trajectories, done)))
    hours, size = work * SECONDS / 3600 / jobs, work * 0.008
    print(f"{n_frames} frames, {n_todo} to label (before looking in build/):", end=" ")
    print(f"about {hours:.1f} hours with {jobs} processes and {size:.1f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--hours", type=float, help="begin no label after so many hours; write what there is")
    parser.add_argument("--dry-run", action="store_true", help="only say what is to be done")
    arguments = parser.parse_args()
    done, trajectories = cards.labelled(SET), first_round(arguments.jobs)
    say_what_is_left(trajectories, done, arguments.jobs)
    if arguments.dry_run:
        return
    deadline = None if arguments.hours is None else time.time() + 3600 * arguments.hours
    label_round(trajectories, done, arguments.jobs, deadline)
    first_is_done = deadline is None or not any(_todo(trajectories, done).values())
    if first_is_done:
        trajectories |= second_round(list(done.values()), arguments.jobs)
        label_round(trajectories, done, arguments.jobs, deadline)
    frames = [frame for trajectory in trajectories.values() for frame in trajectory]
    finished = deadline is None or (first_is_done and not any(_todo(trajectories, done).values()))
    ready = [done[frame.info["id"]] for frame in frames if frame.info["id"] in done]
    for frame in ready:
        second = frame.info["trajectory"].startswith("second")
        frame.info["sampled_with"] = "first autotuned potential" if second else "q-TIP4P/F"
    cards.write_set(SET, ready, lambda frame: frame.info["part"], finished)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)  # Lightning's advice
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
