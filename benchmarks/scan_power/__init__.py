"""How often scans for linkage and association find what is not there, and what is."""
