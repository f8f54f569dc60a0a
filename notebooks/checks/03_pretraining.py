"""Checks of 03_pretraining: what a loss, an average, a rule for stopping and a training loop do on small data."""

from contextlib import contextmanager
from itertools import product
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, exercise, one_number

STEPS, BATCH = 600, 16  # of the run that 03.1 asks about
CUTOFF = 3.0
DECAY, EVERY, STEPS_HERE = 0.8, 5, 122  # of the runs that 03.5 is tried on


@exercise("03.1")
def uses_of_a_frame(answer, train):
    number, right = one_number(answer), STEPS * BATCH / len(train)
    mistakes = (
        (STEPS / len(train), "each step uses a whole batch"),
        (1 / right, "that is upside down"),
        (0.85 * right, "the frames of valid are not trained on"),
    )
    for wrong, why in mistakes:
        if abs(number - wrong) < 0.02 * wrong:
            raise Wrong(f"{number:.3g} is not the number of times: {why}")
    if abs(number - right) > 0.05 * right:
        raise Wrong(f"your number, {number:.4g}, is too {'large' if number > right else 'small'}")


@exercise("03.2")
def loss(answer):
    output, batch, n = random_output()
    for weight in (0.3, 2.0):
        given, right = answer(output, batch, weight), loss_of(output, batch, weight)
        if not isinstance(given, torch.Tensor) or given.numel() != 1:
            raise Wrong(f"your function returns {describe(given)}; one number, a tensor, is expected")
        energy, force = output["energy"] - batch.energy, output["forces"] - batch.forces
        length, mean = force.norm(dim=1).mean(), energy_mean(energy, n)
        mistakes = {
            "the energy error is divided by n; its root is meant": weight * (energy.abs() / n).mean() + length,
            "the energy error is not divided by the root of n": weight * energy.abs().mean() + length,
            "energy errors of different signs cancel": weight * (energy / n.sqrt()).mean() + length,
            "the energy weight stands at the forces": mean + weight * length,
            "the forces count by component; the length of each atom's error is meant": weight * mean
            + force.abs().mean(),
            "the squares of the force errors are in it; their lengths are meant": weight * mean
            + force.square().sum(dim=1).mean(),
            "the forces are summed over atoms; their mean is meant": weight * mean + force.norm(dim=1).sum(),
            "the energies are summed over molecules; their mean is meant": weight * mean * len(n) + length,
            "batch.energy holds the reference energies, too: compare output['energy'] with it": weight
            * energy_mean(output["interaction_energy"] - batch.energy, n)
            + length,
            "there are no forces in it": weight * mean,
            "there are no energies in it": length,
        }
        for why, wrong in mistakes.items():
            if alike(given, wrong) and not alike(wrong, right):
                raise Wrong(f"your loss is {given.item():.4g} where {right.item():.4g} is expected: {why}")
        if any(alike(given, wrong) for wrong in of_squares(energy, force, n, weight)):
            raise Wrong("your loss has squares of errors in it; lengths are meant, |ΔE| and ‖ΔF‖")
        if not alike(given, right):
            raise Wrong(f"your loss of a random output is {given.item():.4g}; the formula gives {right.item():.4g}")
    ends = [output["energy"], output["forces"]]
    slopes = torch.autograd.grad(given, ends, allow_unused=True) if given.requires_grad else [None]
    if any(slope is None for slope in slopes):
        raise Wrong("no gradient reaches the energies and the forces; .item(), .detach() and NumPy cut it off")


@exercise("03.3")
def average(answer):
    shapes = [(4, 3), (5,), ()]
    slow, fast = ([torch.randn(shape).requires_grad_() for shape in shapes] for _ in range(2))
    wanted = [tensor.detach().clone() for tensor in slow]
    for decay in (0.9, 0.5, 0.0):
        before = [tensor.detach().clone() for tensor in fast]
        old, given = [tensor.detach().clone() for tensor in wanted], list(slow)
        answer(slow, fast, decay)
        if any(now is not before for now, before in zip(slow, given, strict=True)):
            raise Wrong("you put new tensors into the list; change those that are in it (mul_, add_, lerp_, copy_)")
        for mine, new in zip(wanted, fast, strict=True):
            mine.copy_(decay * mine + (1 - decay) * new.detach())
        if not same(fast, before):
            raise Wrong("your function changes the weights; only the average may change")
        if same(slow, old):
            raise Wrong("the average is what it was: change its tensors in place (mul_, add_, lerp_, copy_)")
        if same(slow, [(1 - decay) * a + decay * b.detach() for a, b in zip(old, fast, strict=True)]) and decay != 0.5:
            raise Wrong("decay and 1 - decay are exchanged: with a decay of 0.9 nine tenths of the average stay")
        if not same(slow, wanted):
            raise Wrong(f"with a decay of {decay} the average is off: decay × average + (1 - decay) × weights is meant")
        with torch.no_grad():
            for tensor in fast:
                tensor.add_(torch.randn(tensor.shape))


@exercise("03.4")
def stopping(answer):
    rng = np.random.default_rng()
    for patience in (1, 2, 4):
        for _ in range(20):
            errors = [round(error, 1) for error in rng.permutation(100)[:9] / 10]
            for n in range(1, len(errors) + 1):
                stops, best = answer(errors[:n], patience), int(np.argmin(errors[:n]))
                if isinstance(stops, (str, bytes, type(None))) or np.size(stops) != 1:
                    raise Wrong(f"your function returns {describe(stops)}; True or False is expected")
                if bool(stops) != (n - 1 - best >= patience):
                    seen, does = ", ".join(map(str, errors[:n])), "stops" if stops else "goes on"
                    raise Wrong(
                        f"after the errors {seen}, and with a patience of {patience}, yours {does}; "
                        f"the best error is {n - 1 - best} check{'s' * (n - 1 - best != 1)} old"
                    )


@exercise("03.5")
def training_loop(answer):
    """A run that learns, one whose frames for validation have their forces turned round, short ones of two seeds."""
    train, valid = fresh_frames(int(np.random.default_rng().integers(2**31)))
    run = observed(answer, train, valid, steps=STEPS_HERE, patience=100)
    batches_are_drawn(run, train)
    if run.added:
        raise Wrong("the gradients of earlier steps are added to the new one: set them to zero before each backward()")
    rows_are_true(run)
    losses_are_means(run)
    if len(run.weights) < STEPS_HERE:
        raise Wrong(f"your run ends after {len(run.weights)} of {STEPS_HERE} steps, and its patience was not at an end")
    best_is_kept(run)
    before, after = run.error_of(run.first), run.error_of(run.left)
    if after > 0.8 * before:
        raise Wrong(
            f"{STEPS_HERE} steps bring the force error from {before:.0f} to {after:.0f} meV/Å only; more is possible"
        )
    run = observed(answer, train, [turned_round(atoms) for atoms in valid], steps=STEPS_HERE, patience=3)
    rows_are_true(run)
    ends_in_time(run, patience=3)
    best_is_kept(run)
    seed_decides(*(observed(answer, train, valid, steps=EVERY, patience=100, seed=seed) for seed in (0, 0, 1)))


@exercise("03.6")
def divergence(answer, few, size):
    rate = one_number(answer, "your learning rate")
    if rate <= 0:
        raise Wrong(f"a learning rate is above 0; yours is {rate:g}")
    settings = {"steps": 40, "check_every": 1, "batch_size": 10, "learning_rate": rate, "progress": False}
    try:
        rows = tp.training.fit(tp.new_potential(few, seed=0, **size), few, **settings)
    except tp.training.TrainingDiverged as error:
        print(error)
        return
    losses = [row["train_loss"] for row in rows]
    if np.mean(losses[-5:]) <= losses[0]:
        raise Wrong(f"with {rate:g} the loss still falls, from {losses[0]:.2f} to {np.mean(losses[-5:]):.2f} eV/Å")


# --- random numbers ---


def describe(thing):
    return f"a {type(thing).__name__}" + (f" of the shape {tuple(thing.shape)}" if hasattr(thing, "shape") else "")


def random_output():
    """(output of a potential, batch, atoms in each of its molecules): labels, and the same with random errors."""
    frames = [tp.molecule(smiles) for smiles in ("O", "CO", "C", "CC#N", "CCO")]
    batch = tp.graph.collate(tp.graph.to_graphs(frames, CUTOFF))
    n = torch.bincount(batch.batch)
    batch.energy, batch.forces = torch.randn(len(n)).double() - 40, torch.randn(len(batch.batch), 3)
    errors = torch.tensor([1, -1, 1, -1, 1]) * (0.5 + torch.rand(len(n)))  # of both signs
    output = {"energy": batch.energy + errors.double(), "forces": batch.forces + torch.randn(batch.forces.shape)}
    output["interaction_energy"] = output["energy"] + 40
    return {name: tensor.requires_grad_() for name, tensor in output.items()}, batch, n


def loss_of(output, batch, weight):
    energy = energy_mean(output["energy"] - batch.energy, torch.bincount(batch.batch))
    return weight * energy + (output["forces"] - batch.forces).norm(dim=1).mean()


def energy_mean(error, n):
    return (error.abs() / n.sqrt()).mean()


def of_squares(energy, force, n, weight):
    """Losses that have squares of the errors in place of lengths, of energies, of forces, or of both."""
    energies = [(energy.square() / divisor).mean() for divisor in (n, n.sqrt(), n**2, 1)]
    forces = [force.square().sum(dim=1).mean(), force.square().mean()]
    pairs = [*product(energies, [*forces, force.norm(dim=1).mean()]), *product([energy_mean(energy, n)], forces)]
    return [weight * one + other for one, other in pairs]


def alike(one, other):
    return abs(one.item() - other.item()) < 1e-5 * abs(other.item())


def same(ones, others):
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ones, others, strict=True))


def fresh_frames(seed):
    """Some 36 frames to train on and 12 to check with, of the same four molecules, so that a short run learns them."""
    shaken = tp.shaken_molecules(("CO", "CC", "C=O", "CN"), 12, 1000, seed)
    frames = tp.label(shaken, tp.mmff94(), progress=False)
    return [atoms for k, atoms in enumerate(frames) if k % 4], frames[::4]


def turned_round(atoms):
    """The same frame, whose forces point the other way: whoever learns gets worse on it."""
    from ase.calculators.singlepoint import SinglePointCalculator

    turned = atoms.copy()
    turned.calc = SinglePointCalculator(turned, energy=atoms.get_potential_energy(), forces=-atoms.get_forces())
    return turned


# --- the learner's training loop, and what can be seen of it from outside ---


def observed(answer, train, valid, steps, patience, seed=0):
    """A run of the learner's loop: its rows, the weights after every step, the batches, the weights that are left."""
    potential = tp.new_potential(train, n_features=8, n_interactions=1, cutoff=CUTOFF, seed=0)
    run = SimpleNamespace(
        potential=potential, valid=valid, first=weights_of(potential), weights=[], batches=[], used=set(), losses=[]
    )
    settings = {"steps": steps, "batch_size": 8, "learning_rate": 1e-2, "decay": DECAY, "check_every": EVERY}
    with watched(run), gradients_watched(run), losses_watched(run):
        rows = answer(potential, train, valid, **settings, patience=patience, seed=seed)
    run.left, run.rows = weights_of(potential), rows_of(rows)
    if not run.weights:
        raise Wrong("no optimiser of torch.optim has changed the potential's weights")
    missing = {"energies", "forces"} - run.used
    if missing:
        raise Wrong(f"your loss does not depend on the {' and '.join(sorted(missing))} that the potential gives")
    run.averages = [average_of(run, begin) for begin in (run.first, run.weights[0])]
    return run


@contextmanager
def watched(run):
    """While this lasts, steps of optimisers and differentiable outputs of the potential are written down."""

    def stepped(optimiser, args, kwargs):
        own = {id(parameter) for parameter in run.potential.parameters()}
        if own & {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}:
            run.weights.append(weights_of(run.potential))

    def answered(potential, args, kwargs, output):
        if output.get("forces") is None or not output["forces"].requires_grad:
            return
        graph = args[0] if args else kwargs["graph"]
        run.batches.append([round(energy, 3) for energy in graph.energy.flatten().tolist()])
        for key, name in (("interaction_energy", "energies"), ("forces", "forces")):
            output[key].register_hook(lambda slope, name=name: run.used.update([name] if slope.any() else []))

    hooks = [
        register_optimizer_step_post_hook(stepped),
        run.potential.register_forward_hook(answered, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

    def error_of(weights):
        kept = weights_of(run.potential)
        vector_to_parameters(weights, run.potential.parameters())
        error = tp.errors(run.potential, run.valid)["force_mae"]
        vector_to_parameters(kept, run.potential.parameters())
        return error

    run.error_of = error_of


@contextmanager
def gradients_watched(run):
    """While this lasts: does any step follow the sum of what is new and what earlier steps left?"""
    parameters, run.added = list(run.potential.parameters()), False
    new, old = {}, {}  # {number of a parameter: gradient} of this step, and what was there before it

    def found(k, slope):
        if k not in new and parameters[k].grad is not None:
            old[k] = parameters[k].grad.clone()
        new[k] = new.get(k, 0) + slope.detach()

    def steps(optimiser, args, kwargs):
        there = [k for k in old if parameters[k].grad is not None]
        if any(old[k].any() for k in there):
            used, own = (
                torch.cat([of[k].flatten() for k in there]) for of in ({k: parameters[k].grad for k in there}, new)
            )
            run.added |= bool(torch.cosine_similarity(used, own, dim=0) < 0.999)  # clipping keeps the direction
        new.clear()
        old.clear()

    hooks = [tensor.register_hook(lambda slope, k=k: found(k, slope)) for k, tensor in enumerate(parameters)]
    hooks.append(register_optimizer_step_pre_hook(steps))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def losses_watched(run):
    """While this lasts, what backward() is called for is written down."""
    backward = torch.autograd.backward

    def written_down(tensors, *args, **kwargs):
        loss = tensors if isinstance(tensors, torch.Tensor) else tensors[0]
        run.losses.append(float(loss.detach().sum()))
        return backward(tensors, *args, **kwargs)

    torch.autograd.backward = written_down
    try:
        yield
    finally:
        torch.autograd.backward = backward


def weights_of(potential):
    return parameters_to_vector(potential.parameters()).detach().clone()


def rows_of(rows):
    keys = {"step", "force_mae", "train_loss"}
    is_list = isinstance(rows, (list, tuple)) and len(rows) > 0
    if not is_list or not all(isinstance(row, dict) and keys <= row.keys() for row in rows):
        raise Wrong("a list of dictionaries is expected, with step, train_loss and force_mae, one for each check")
    return rows


def average_of(run, begin):
    """What the average is after each step, if it begins as this."""
    averages, slow = [], begin
    for weights in run.weights:
        slow = DECAY * slow + (1 - DECAY) * weights
        averages.append(slow)
    return averages


def batches_are_drawn(run, train):
    known = {round(atoms.get_potential_energy(), 3) for atoms in train}
    sizes = [len(batch) for batch in run.batches]
    if max(sizes) != 8 or sizes.count(8) < 0.7 * len(sizes):  # what is left over at the end of an epoch may be fewer
        raise Wrong(f"batch_size was 8; there are batches of {', '.join(map(str, sorted(set(sizes))))}")
    seen = [tuple(batch) for batch in run.batches]
    if not set().union(*seen) <= known:
        raise Wrong("frames that are not in train are trained on; those of valid are for checks alone")
    if len(set(seen)) == 1:
        raise Wrong("every batch is the same; draw new frames for each step")
    if len(set().union(*seen)) < 0.9 * len(known):
        raise Wrong(f"in all batches together there are only {len(set().union(*seen))} of {len(known)} frames")


def rows_are_true(run):
    """The rows are of every check, and their errors are those of the averaged weights."""
    steps, right = [row["step"] for row in run.rows], list(range(EVERY, len(run.weights) + 1, EVERY))
    if steps != right:
        odd = ", ".join(map(str, sorted(set(steps) ^ set(right))[:3])) or "several, in another order"
        raise Wrong(
            f"there should be a row of every {EVERY} steps (check_every), and of no other; yours differ at {odd}"
        )
    if not all(np.isfinite(one_number(row[key])) for row in run.rows for key in ("train_loss", "force_mae")):
        raise Wrong("a row has a loss or an error that is not a finite number")
    for row in run.rows:
        step, error = row["step"], one_number(row["force_mae"])
        if any(near(error, run.error_of(averages[step - 1])) for averages in run.averages):
            continue
        if near(error, run.error_of(run.weights[step - 1])):
            raise Wrong(f"the error in your row of step {step} is that of the latest weights, not of their average")
        if any(near(error / 1e3, run.error_of(a[step - 1]) / 1e6) for a in run.averages):
            raise Wrong("your force_mae is in eV/Å; meV/Å is expected, as tp.errors gives it")
        raise Wrong(
            f"the error in your row of step {step}, {error:.1f} meV/Å, is not that of the averaged weights, "
            f"{run.error_of(run.averages[0][step - 1]):.1f} meV/Å; does the average move at every step, and only once?"
        )


def losses_are_means(run):
    """Each row's loss is the mean since the row before, over steps or over frames."""
    if not len(run.losses) == len(run.weights) == len(run.batches):
        return  # not one loss and one batch for each step: nothing to compare with
    losses, sizes = np.array(run.losses), np.array([len(batch) for batch in run.batches])
    for row in run.rows:
        since, step, given = slice(row["step"] - EVERY, row["step"]), row["step"], one_number(row["train_loss"])
        rights = losses[since].mean(), np.average(losses[since], weights=sizes[since])
        if any(abs(given - right) < 1e-3 * abs(right) for right in rights):
            continue
        for wrong, what in (
            (losses[step - 1], "the loss of the last step alone"),
            (losses[:step].mean(), "the mean since the beginning of the run"),
            (losses[since].sum(), "a sum"),
        ):
            if abs(given - wrong) < 1e-3 * abs(wrong):
                raise Wrong(
                    f"the train_loss in your row of step {step} is {what}; the mean since the last check is meant"
                )
        raise Wrong(
            f"the train_loss in your row of step {step} is {given:.4g}; "
            f"the mean of your losses since the last check is {rights[0]:.4g}"
        )


def seed_decides(first, again, other):
    """One seed, one order of frames; another seed, another."""
    if first.batches != again.batches:
        raise Wrong("two runs with one seed draw different batches: draw with np.random.default_rng(seed)")
    if first.batches == other.batches:
        raise Wrong("runs with seed=0 and seed=1 draw the same batches: the seed that is given has to decide the draw")


def near(error, right):
    return abs(error - right) < 1e-4 * right + 1e-9


def ends_in_time(run, patience):
    """On these frames every step makes things worse: the run ends ``patience`` checks after its best one."""
    errors = [row["force_mae"] for row in run.rows]
    passed = len(errors) - 1 - int(np.argmin(errors))
    if passed != patience and len(run.weights) < STEPS_HERE:
        how = "too late" if passed > patience else "too early"
        raise Wrong(f"with a patience of {patience} your run ends {how}, {passed} checks after its best one")
    if passed > patience:
        raise Wrong(f"with a patience of {patience} your run never ends early; its best check was {passed} checks ago")


def best_is_kept(run):
    """The potential is left with the averaged weights of the best check."""
    best = run.rows[int(np.argmin([row["force_mae"] for row in run.rows]))]["step"]
    if any(same([run.left], [averages[best - 1]]) for averages in run.averages):
        return
    if same([run.left], [run.weights[-1]]):
        raise Wrong("the potential is left with its latest weights; the averaged ones of the best check are expected")
    if same([run.left], [run.weights[best - 1]]):
        raise Wrong("the potential is left with the weights of the best check, but not with their average")
    if any(same([run.left], [averages[-1]]) for averages in run.averages):
        raise Wrong(
            "the potential is left with the last average, not with the best one; "
            "a state_dict() points at live weights and goes on changing: copy it"
        )
    raise Wrong(f"the weights that are left are not the average at the best check, step {best}")
