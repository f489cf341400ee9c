"""Time and criterion of lmmpy beside its peers, in one run on one machine (see README.md)."""
