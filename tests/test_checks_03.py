"""The checks of notebook 03 take what is right however it is written, and say what is wrong with the rest."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

import tpainn_lite as tp
from tpainn_lite.course.checks import checks_of, verdict
from tpainn_lite.course.teach import solutions

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKS = checks_of("03", NOTEBOOKS / "checks")
SOLUTIONS = solutions(NOTEBOOKS / "solutions" / "03_pretraining.py")
FRAMES = [None] * 1700  # of which only the number counts


def solved(*numbers, changes=()):
    """What the solutions of these exercises define, with ``{old: new}`` changed in the last."""
    names = {"torch": torch, "np": np, "tp": tp, "deepcopy": deepcopy, "train": FRAMES}
    for number in numbers:
        code = SOLUTIONS[number]
        for old, new in dict(changes if number == numbers[-1] else ()).items():
            assert old in code, f"{old!r} is not in the solution of {number}"
            code = code.replace(old, new)
        exec(code, names)
    return names


# --- the number of uses ---


@pytest.mark.parametrize("right", [600 * 16 / 1700, np.float32(5.65), torch.tensor(5.6)])
def test_uses_of_a_frame(right):
    assert verdict(CHECKS["03.1"], right, train=FRAMES) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (600 / 1700, "a whole batch"),
        (9600 / 2000, "frames of valid"),
        (1700 / 9600, "upside down"),
        (9600, "too large"),
        (1, "too small"),
        ("6", None),
    ],
)
def test_a_wrong_number_of_uses_is_called_so(wrong, words):
    assert (words or "too large") in verdict(CHECKS["03.1"], wrong, train=FRAMES)


# --- the loss ---


def in_a_loop(output, batch, weight):
    total, n_graphs = 0, int(batch.batch.max()) + 1
    for k in range(n_graphs):
        n = (batch.batch == k).sum()
        total = total + weight * abs(output["energy"][k] - batch.energy[k]) / n**0.5 / n_graphs
    return total + (((output["forces"] - batch.forces) ** 2).sum(-1) ** 0.5).mean()


def test_a_loss_may_be_written_in_any_way():
    for right in (solved("03.2")["my_loss"], in_a_loop):
        assert verdict(CHECKS["03.2"], right) is None


SUM = "energy_weight * energy_error.mean() + force_error.mean()"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_atoms.sqrt()": "n_atoms"}, "its root is meant"),
        ({" / n_atoms.sqrt()": ""}, "not divided by the root"),
        ({".abs()": ""}, "cancel"),
        ({".norm(dim=1)": ".abs()"}, "the length of each atom's error"),
        ({".norm(dim=1)": ".square().sum(dim=1)"}, "squares"),
        ({SUM: "energy_error.mean() + energy_weight * force_error.mean()"}, "stands at the forces"),
        ({" + force_error.mean()": ""}, "no forces"),
        ({"force_error.mean()": "force_error.sum()"}, "summed over atoms"),
        ({SUM: "energy_error"}, "one number"),
        ({"force_error.mean()": "force_error.mean().detach()"}, "no gradient"),
        ({"return ": "return 2 * "}, "the formula gives"),
        ({'output["energy"]': 'output["interaction_energy"]'}, "holds the reference energies, too"),
        ({".norm(dim=1)": ".square()"}, "squares of errors"),
        ({".abs() / n_atoms.sqrt()": ".square() / n_atoms"}, "squares of errors"),
        ({".abs() / n_atoms.sqrt()": ".square() / n_atoms", ".norm(dim=1)": ".square()"}, "squares of errors"),
    ],
)  # fmt: skip
def test_a_wrong_loss_is_named(change, words):
    assert words in verdict(CHECKS["03.2"], solved("03.2", changes=change)["my_loss"])


# --- the average ---


def lerped(average, weights, decay):
    for slow, fast in zip(average, weights, strict=True):
        slow.data.lerp_(fast.data, 1 - decay)


def copied(average, weights, decay):
    for slow, fast in zip(average, weights, strict=True):
        slow.data = decay * slow.data + (1 - decay) * fast.data


def test_an_average_may_be_written_in_any_way():
    for right in (solved("03.3")["my_average"], lerped, copied):
        assert verdict(CHECKS["03.3"], right) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mul_(decay).add_(fast, alpha=1 - decay)": "mul_(1 - decay).add_(fast, alpha=decay)"}, "are exchanged"),
        ({"slow.mul_(decay).add_(fast": "slow = slow.mul(decay).add(fast"}, "in place"),
        ({"slow.mul_(decay)": "fast.mul_(decay)"}, "changes the weights"),
        ({"for slow, fast in zip(average, weights, strict=True)": "for k, fast in enumerate(weights)",
          "slow.mul_(decay).add_(": "average[k] = average[k].mul(decay).add("}, "you put new tensors into the list"),
        ({"alpha=1 - decay": "alpha=1"}, "the average is off"),
        ({"torch.no_grad()": "torch.enable_grad()"}, "it raised RuntimeError"),
    ],
)  # fmt: skip
def test_a_wrong_average_is_named(change, words):
    assert words in verdict(CHECKS["03.3"], solved("03.3", changes=change)["my_average"])


# --- when to stop ---


def no_better_lately(errors, patience):
    return len(errors) > patience and min(errors[-patience:]) > min(errors[:-patience])


def test_a_rule_for_stopping_may_be_written_in_any_way():
    for right in (solved("03.4")["my_stop"], no_better_lately):
        assert verdict(CHECKS["03.4"], right) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda errors, patience: len(errors) - 1 - int(np.argmin(errors)) > patience, "yours goes on"),
        (lambda errors, patience: len(errors) > 1 and errors[-1] > errors[-2], "checks old"),
        (lambda errors, patience: len(errors) > patience, "yours stops"),
        (lambda errors, patience: False, "the best error is 1 check old"),
        (lambda errors, patience: None, "True or False is expected"),
    ],
)
def test_a_wrong_rule_is_shown_where_it_errs(wrong, words):
    assert words in verdict(CHECKS["03.4"], wrong)


# --- the training loop ---


def of_the_library(potential, train, valid, steps, batch_size, learning_rate, decay, check_every, patience, seed):
    """With torch's own average, in epochs, and with the rule for stopping written out."""
    graphs, order = tp.graph.to_graphs(train, potential.cutoff), []
    rng, optimiser = np.random.default_rng(seed), torch.optim.Adam(potential.parameters(), lr=learning_rate)
    averaged = torch.optim.swa_utils.AveragedModel(
        potential, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    )
    rows, waited, best, total = [], 0, (np.inf, None), 0.0
    for step in range(steps):
        if len(order) < batch_size:
            order = rng.permutation(len(graphs)).tolist()
        batch = tp.graph.collate([graphs[order.pop()] for _ in range(batch_size)])
        output = potential(batch, True, True)
        energy = (output["energy"] - batch.energy) / torch.bincount(batch.batch)
        loss = energy.square().mean() + (output["forces"] - batch.forces).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        averaged.update_parameters(potential)
        total += loss.item()
        if (step + 1) % check_every:
            continue
        error = tp.errors(averaged.module, valid)["force_mae"]
        rows.append({"step": step + 1, "train_loss": total / check_every, "force_mae": error})
        total, waited = 0.0, waited + 1
        if error < best[0]:
            best, waited = (error, [p.detach().clone() for p in averaged.module.parameters()]), 0
        if waited == patience:
            break
    with torch.no_grad():
        for own, kept in zip(potential.parameters(), best[1], strict=True):
            own.copy_(kept)
    return rows


def with_gradients_asked_for(
    potential, train, valid, steps, batch_size, learning_rate, decay, check_every, patience, seed
):
    """Gradients by torch.autograd.grad, never set to zero but replaced; torch's random numbers."""
    graphs, generator = tp.graph.to_graphs(train, potential.cutoff), torch.Generator().manual_seed(seed)
    optimiser, average = torch.optim.RMSprop(potential.parameters(), lr=learning_rate), deepcopy(potential)
    rows, kept, losses = [], [], []
    for step in range(1, steps + 1):
        chosen = torch.randperm(len(graphs), generator=generator)[:batch_size]
        batch = tp.graph.collate([graphs[int(k)] for k in chosen])
        output = potential(batch, differentiable=True)
        loss = (output["energy"] - batch.energy).abs().mean() + (output["forces"] - batch.forces).abs().mean()
        weights = list(potential.parameters())
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
            weight.grad = slope
        optimiser.step()
        lerped(average.parameters(), potential.parameters(), decay)
        losses.append(loss.item())
        if step % check_every == 0:
            rows.append({"step": step, "train_loss": sum(losses) / len(losses)})
            rows[-1]["force_mae"] = tp.errors(average, valid)["force_mae"]
            losses.clear()
            kept.append(deepcopy(average.state_dict()))
            if no_better_lately([row["force_mae"] for row in rows], patience):
                break
    best = min(range(len(rows)), key=lambda k: rows[k]["force_mae"])
    potential.load_state_dict(kept[best])
    return rows


BUILT = ("03.2", "03.3", "03.4", "03.5")
DRAW = "rng.choice(len(graphs), batch_size, replace=False)"


def test_a_training_loop_may_be_written_in_any_way():
    for right in (solved(*BUILT)["my_fit"], of_the_library, with_gradients_asked_for):
        assert verdict(CHECKS["03.5"], right) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deepcopy(average.state_dict())": "average.state_dict()"}, "not with the best one"),
        ({"    potential.load_state_dict(best)": "    pass"}, "left with its latest weights"),
        ({"tp.errors(average, valid)": "tp.errors(potential, valid)"}, "of the latest weights, not of their average"),
        ({"my_stop(errors, patience)": "my_stop(errors, patience + 1)"}, "too late, 4 checks"),
        ({"my_stop(errors, patience)": "my_stop(errors, 1)"}, "patience"),
        ({"my_stop(errors, patience)": "False"}, "never ends early"),
        ({DRAW: "range(batch_size)"}, "every batch is the same"),
        ({DRAW: "rng.choice(len(graphs), 4)"}, "batches of 4"),
        ({"to_graphs(train,": "to_graphs(valid,"}, "not in train"),
        ({"optimiser.step()": "None"}, "no optimiser"),
        ({"my_average(average.parameters()": "(average.parameters()"}, "is not that of the averaged weights"),
        ({"if step % check_every == 0:": "if step % check_every == 0 or step == steps:"}, "yours differ at 122"),
        ({"return rows": "return None"}, "a list of dictionaries is expected"),
        ({"lr=learning_rate": "lr=1e-6"}, "more is possible"),
        ({"optimiser.zero_grad()": "None"}, "gradients of earlier steps are added"),
        ({"energy_weight=0.3": "energy_weight=0.0"}, "does not depend on the energies"),
        ({"default_rng(seed)": "default_rng(0)"}, "seed=0 and seed=1 draw the same batches"),
        ({"default_rng(seed)": "default_rng()"}, "two runs with one seed draw different batches"),
        ({"np.mean(losses[-check_every:])": "losses[-1]"}, "the last step alone"),
        ({"np.mean(losses[-check_every:])": "np.mean(losses)"}, "since the beginning of the run"),
        ({"np.mean(losses[-check_every:])": "np.sum(losses[-check_every:])"}, "a sum"),
        (
            {"np.mean(losses[-check_every:])": "np.mean(losses[-check_every:]) ** 2"},
            "of your losses since the last check is",
        ),
    ],
)  # fmt: skip
def test_a_wrong_training_loop_is_named(change, words):
    assert words in verdict(CHECKS["03.5"], solved(*BUILT, changes=change)["my_fit"])


def test_a_loss_of_forces_alone_is_named():
    names = solved(*BUILT)
    names["my_loss"] = lambda output, batch, energy_weight: (output["forces"] - batch.forces).norm(dim=1).mean()
    assert "does not depend on the energies" in verdict(CHECKS["03.5"], names["my_fit"])


# --- divergence ---


def test_a_learning_rate_is_tried():
    given = {"few": tp.load_molecules("train")[::60], "size": {"n_features": 8, "n_interactions": 1, "cutoff": 3.0}}
    for right in (1.0, torch.tensor(10.0)):
        assert verdict(CHECKS["03.6"], right, **given) is None
    for wrong, words in ((1e-3, "still falls"), (-1.0, "above 0"), ("high", "a number is expected")):
        assert words in verdict(CHECKS["03.6"], wrong, **given)
