"""Solutions of 05_liquid_water: a block `# %% exercise` each."""

# %% 05.1
n_pairs = len(box) * len(box) / box.get_volume() * 4 / 3 * np.pi * 5.0**3


# %% 05.2
def my_pairs(positions, width, cutoff):
    r = positions[None] - positions[:, None]  # (N, N, 3), from i to j
    r = r - width * np.round(r / width)  # of all images the nearest
    near = np.linalg.norm(r, axis=2) < cutoff  # (N, N)
    near = near & ~np.eye(len(positions), dtype=bool)
    idx_i, idx_j = np.nonzero(near)  # (E,), (E,)
    return idx_i, idx_j, r[idx_i, idx_j]


print(len(my_pairs(box.positions, box.cell[0, 0], 4.5)[0]), "pairs within 4.5 Å")

# %% 05.3
molecule = energies.mean() / 32
two_answers = [(0.0, molecule), (-10.0, molecule + 20.0)]


# %% 05.4
def my_split(positions, masses, forces):
    m = masses[:, None]  # (N, 1)
    arms = positions - (m * positions).sum(axis=0) / m.sum()  # (N, 3) Å
    push = m / m.sum() * forces.sum(axis=0)
    torque = np.cross(arms, forces).sum(axis=0)  # (3,) eV
    inertia = np.zeros((3, 3))  # amu Å²
    for mass, x in zip(masses, arms, strict=True):
        inertia += mass * (x @ x * np.eye(3) - np.outer(x, x))
    alpha = np.linalg.solve(inertia, torque)
    turn = m * np.cross(alpha, arms)
    return push, turn, forces - push - turn


one = [part.round(2) for part in my_split(box.positions[:3], box.get_masses()[:3], box.get_forces()[:3])]
print("push, turn and deformation of the first molecule, eV/Å:", *one, sep="\n")

# %% 05.5
boxes_needed = 130

# %% 05.6
longer = settings | {"steps": 1200, "progress": False}
boxes = tp.draw(pool, 40, seed=0)
mine = tp.autotune(tp.load_pretrained("water_iamoeba"), boxes, **longer), boxes
