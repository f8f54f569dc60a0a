"""What labels: force fields, semi-empirical methods and DFT; what to label, and the one door for labels."""
