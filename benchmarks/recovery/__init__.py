"""Whether two-trait models of a family study find what the data were drawn from, and how well intervals and tests keep."""
