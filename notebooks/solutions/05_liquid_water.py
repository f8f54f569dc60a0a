"""Solutions of 05_liquid_water: a block `# %% exercise` each."""

# %% 05.1
n_pairs = len(box) * len(box) / box.get_volume() * 4 / 3 * np.pi * 5.0**3

# %% 05.2
molecule = energies.mean() / 32
two_answers = [(0.0, molecule), (-10.0, molecule + 20.0)]

# %% 05.3
pushes = f.reshape(32, 3, 3).sum(axis=1)

# %% 05.4
boxes_needed = 130

# %% 05.5
longer = settings | {"steps": 1200, "progress": False}
mine = tp.autotune(tp.load_pretrained("water_iamoeba"), tp.draw(pool, 40, seed=0), **longer)
