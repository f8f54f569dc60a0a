"""Solutions of 06_molecular_dynamics: a block `# %% exercise` each."""

# %% 06.1
p = 2

# %% 06.2
scatter = 300 * np.sqrt(2 / (9 * 64))

# %% 06.3
larger = missing / 2

# %% 06.4
kicked = list(tp.water_run(64, 0.997, 300, n_frames=300, spacing=100, friction=20, seed=3))
braked = observables.diffusion(np.array([a.positions[::3] for a in kicked]), 0.1, window=(1.0, 5.0))[0]

# %% 06.5
longer = (results(ALL, "npt", "density")[0][1] / 0.001) ** 2
