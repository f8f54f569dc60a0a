"""Files of frames, labels and SMILES become `ase.Atoms`: other people's, and the sets that are shipped."""
