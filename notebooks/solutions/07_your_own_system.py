"""Solutions of 07_your_own_system: a block `# %% exercise` each."""

# %% 07.1
most = int(doubt.argmax())

# %% 07.2
red_from = next(f * length[0] / factors[0] for f in factors[factors > 1] if domain.doubts([pulled(f)])[0])

# %% 07.3
hot = {**settings, "temperature": 1000}
lasted = tp.run_md(relaxed, after.calculator(), **hot).time[-1]

# %% 07.4
yours = list(tp.shaken_molecules(["CC(N)=O"], 20, (300, 400), seed=0))
