"""A whole study in one folder, from structures to a potential that was compared with DFT."""
