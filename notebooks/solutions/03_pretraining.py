"""Solutions of 03_pretraining: a block `# %% exercise` each."""

# %% 03.1
uses = steps * 16 / len(train)

# %% 03.2
squared = ((said["forces"] - batch.forces) ** 2).mean()

# %% 03.3
too_high = 1.0

# %% 03.4
mine = tp.pretrain(train, valid, steps=600, batch_size=32, learning_rate=5e-3, progress=False, **size)
