"""Solutions of 02_painn_from_scratch: a block `# %% exercise` each."""

# %% 02.1
n_pairs = 9 * 8  # each of the nine atoms hears the eight others

# %% 02.2
arrows = along_r[:, None] * dir_ij[:, :, None]

# %% 02.3
allowed = ["B", "D"]  # squared lengths, and a dot product

# %% 02.4
torque = torch.linalg.cross(x.detach(), forces).sum(dim=0)  # zero: the energy does not change when the molecule turns
