"""Where potentials go: other programs for molecular dynamics, with proof that they compute the same there."""
