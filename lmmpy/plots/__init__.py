"""Plots of a fit: data builders (frames), and drawings of frames on matplotlib axes."""
