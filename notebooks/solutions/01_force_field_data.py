"""Solutions of 01_force_field_data: a block `# %% exercise` each."""

# %% 01.1
a, b, _ = np.polyfit(bond_length[near], bond_energy[near], 2)  # a parabola through the points near the minimum
my_spring = (2 * a, -b / (2 * a))


# %% 01.2
def my_bonds(positions, bonds, k, r0):
    i, j = np.transpose(bonds)
    r_ij = positions[j] - positions[i]  # (B, 3) Å
    r = np.linalg.norm(r_ij, axis=1)  # (B,) Å
    energy = (k / 2 * (r - r0) ** 2).sum()
    pull = (k * (r - r0) / r)[:, None] * r_ij  # on i, towards j where the bond is too long
    forces = np.zeros(positions.shape)
    np.add.at(forces, i, pull)  # adds up where an atom has several bonds; forces[i] += pull does not
    np.add.at(forces, j, -pull)
    return energy, forces


# %% 01.3
def my_angle(positions, k, theta0):
    arm_a, arm_b = positions[1:] - positions[0]
    length_a, length_b = np.linalg.norm(arm_a), np.linalg.norm(arm_b)
    unit_a, unit_b = arm_a / length_a, arm_b / length_b
    cosine = unit_a @ unit_b
    theta = np.arccos(cosine)
    push = -k * (theta - theta0) / np.sin(theta)
    force_a = push * (cosine * unit_a - unit_b) / length_a
    force_b = push * (cosine * unit_b - unit_a) / length_b
    return k / 2 * (theta - theta0) ** 2, np.array([-force_a - force_b, force_a, force_b])


# %% 01.4
at_rest = 1e3 * np.abs(forces_of(at_minimum)).mean()

# %% 01.5
new_length = 0.96

# %% 01.6
acid = tp.normal_mode_frames(tp.molecule("CC(=O)O"), tp.mmff94(), 500, 20)
my_frames = tp.label(acid, tp.mmff94(), progress=False)
largest = max(my_frames, key=lambda atoms: np.abs(atoms.get_forces()).max())
strongest = np.abs(largest.get_forces()).max(axis=1).argmax()
print(largest.symbols[strongest], strongest)
