"""Solutions of 06_molecular_dynamics: a block `# %% exercise` each."""

# %% 06.1
p = 2


# %% 06.2
def my_verlet(x, v, masses, forces_of, dt, n_steps):
    m, f = masses[:, None], forces_of(x)  # (N, 1), (N, 3)
    xs, vs = [x], [v]
    for _ in range(n_steps):
        v = v + dt / 2 * f / m
        x = x + dt * v
        f = forces_of(x)
        v = v + dt / 2 * f / m
        xs.append(x)
        vs.append(v)
    return np.array(xs), np.array(vs)  # (n_steps + 1, N, 3) each


# %% 06.3
def my_langevin(x, v, masses, forces_of, dt, n_steps, temperature, friction, rng):
    m, f = masses[:, None], forces_of(x)  # (N, 1), (N, 3)
    kept = np.exp(-friction * dt)
    kick = np.sqrt((1 - kept**2) * units.kB * temperature / m)  # (N, 1)
    xs, vs = [x], [v]
    for _ in range(n_steps):
        v = v + dt / 2 * f / m
        x = x + dt / 2 * v
        v = kept * v + kick * rng.normal(size=v.shape)
        x = x + dt / 2 * v
        f = forces_of(x)
        v = v + dt / 2 * f / m
        xs.append(x)
        vs.append(v)
    return np.array(xs), np.array(vs)  # (n_steps + 1, N, 3) each


# %% 06.4
scatter = 300 * np.sqrt(2 / (9 * 64))


# %% 06.5
def my_diffusion(positions, spacing, window, n_blocks=5):
    r = positions - positions.mean(axis=1, keepdims=True)  # (T, M, 3), without the drift
    lags = np.arange(round(window[0] / spacing), round(window[1] / spacing) + 1)
    slopes = []
    for block in np.array_split(r, n_blocks):
        msd = [((block[lag:] - block[:-lag]) ** 2).sum(axis=2).mean() for lag in lags]
        slopes.append(np.polyfit(lags * spacing, msd, 1)[0])  # Å²/ps
    values = 10 * np.array(slopes) / 6  # 10⁻⁹ m²/s
    return values.mean(), values.std(ddof=1) / np.sqrt(n_blocks)


print(my_diffusion(oxygen, 0.1, (1.0, 5.0)))

# %% 06.6
larger = missing / 2

# %% 06.7
kicked = list(tp.water_run(64, 0.997, 300, n_frames=300, spacing=100, friction=20, seed=3))
print(observables.diffusion(np.array([a.positions[::3] for a in kicked]), 0.1, window=(1.0, 5.0)))

# %% 06.8
longer = (results(ALL, "npt", "density")[0][1] / 0.001) ** 2
