"""Solutions of 00_tour: a block `# %% exercise` each."""

# %% 00.1
n_labels = 3600 / 6

# %% 00.2
gain = mean("T-PaiNN", 10) / mean("T-PaiNN", 50)

# %% 00.3
energy = {}
for side in (+1, -1):
    pushed = start.copy()
    pushed.calc = start.calc
    pushed.positions[0, 0] += side * 0.01
    energy[side] = pushed.get_potential_energy()
force_x = -(energy[+1] - energy[-1]) / 0.02
