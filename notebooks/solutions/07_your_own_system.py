"""Solutions of 07_your_own_system: a block `# %% exercise` each."""

# %% 07.1
most = int(doubt.argmax())

# %% 07.2
red_from = next(f * length[0] / factors[0] for f in factors[factors > 1] if domain.doubts([pulled(f)])[0])

# %% 07.3
hot = {**settings, "temperature": 1000}
lasted = tp.run_md(relaxed, after.calculator(), **hot).time[-1]

# %% 07.4
several = [list(tp.shaken_molecules([name], 20, (300, 400), seed=0)) for name in ("CN", "CO", "CC=O")]
yours = max(several, key=lambda frames: np.mean([not why for why in domain.doubts(frames)]))


# %% 07.5
def calibrate(disagreement, error, wanted):
    ratios = np.sort(error / disagreement)
    rank = int(np.ceil(wanted * (len(ratios) + 1)))  # among the n known ratios and the next one
    return ratios[rank - 1] if rank <= len(ratios) else np.inf


# %% 07.6
def compare(first, second):
    difference = np.mean(first) - np.mean(second)
    variances = [np.var(errors, ddof=1) / len(errors) for errors in (first, second)]
    error = np.sqrt(sum(variances))
    return difference, error, bool(abs(difference) > 2 * error)


# %% 07.7
def interval(before, after, share):
    random = np.random.default_rng(0)
    fall = np.asarray(before) - np.asarray(after)
    drawn = random.integers(len(fall), size=(4000, len(fall)))
    means = fall[drawn].mean(axis=1)
    tail = (1 - share) / 2
    return np.quantile(means, tail), np.quantile(means, 1 - tail)
