"""Solutions of 03_pretraining: a block `# %% exercise` each."""

# %% 03.1
uses = 600 * 16 / len(train)


# %% 03.2
def my_loss(output, batch, energy_weight):
    n_atoms = torch.bincount(batch.batch)  # (B,)
    energy_error = (output["energy"] - batch.energy).abs() / n_atoms.sqrt()  # (B,) eV
    force_error = (output["forces"] - batch.forces).norm(dim=1)  # (N,) eV/Å
    return energy_weight * energy_error.mean() + force_error.mean()


# %% 03.3
def my_average(average, weights, decay):
    with torch.no_grad():
        for slow, fast in zip(average, weights, strict=True):
            slow.mul_(decay).add_(fast, alpha=1 - decay)


# %% 03.4
def my_stop(errors, patience):
    checks_since_best = len(errors) - 1 - int(np.argmin(errors))
    return checks_since_best >= patience


# %% 03.5
def my_fit(potential, train, valid, steps, batch_size, learning_rate, decay, check_every, patience, seed):
    graphs, rng = tp.graph.to_graphs(train, potential.cutoff), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(potential.parameters(), lr=learning_rate)
    average, best, losses, rows = deepcopy(potential), None, [], []
    for step in range(1, steps + 1):
        chosen = rng.choice(len(graphs), batch_size, replace=False)
        batch = tp.graph.collate([graphs[k] for k in chosen])
        loss = my_loss(potential(batch, differentiable=True), batch, energy_weight=0.3)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(potential.parameters(), 10.0)
        optimiser.step()
        my_average(average.parameters(), potential.parameters(), decay)
        losses.append(loss.item())
        if step % check_every == 0:
            error = tp.errors(average, valid)["force_mae"]
            rows.append({"step": step, "train_loss": np.mean(losses[-check_every:]), "force_mae": error})
            errors = [row["force_mae"] for row in rows]
            if error == min(errors):
                best = deepcopy(average.state_dict())  # a copy: state_dict() points at live weights
            if my_stop(errors, patience):
                break
    potential.load_state_dict(best)
    return rows


# %% 03.6
too_high = 1.0
