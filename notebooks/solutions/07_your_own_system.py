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
