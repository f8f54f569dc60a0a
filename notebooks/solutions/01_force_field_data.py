"""Solutions of 01_force_field_data: a block `# %% exercise` each."""

# %% 01.1
a, b, _ = np.polyfit(r[near], energy[near], 2)  # a parabola through the points near the minimum
my_spring = (2 * a, -b / (2 * a))

# %% 01.2
left_over = 1e3 * np.abs(np.concatenate([atoms.get_forces() for atoms in at_minimum])).mean()

# %% 01.3
new_length = 0.96

# %% 01.4
acid = tp.normal_mode_frames(tp.molecule("CC(=O)O"), tp.mmff94(), 500, 20)
my_frames = tp.label(acid, tp.mmff94(), progress=False)
largest = max(my_frames, key=lambda atoms: np.abs(atoms.get_forces()).max())
atom = np.abs(largest.get_forces()).max(axis=1).argmax()
print(largest.symbols[atom], atom)
