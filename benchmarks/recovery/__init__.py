"""Whether two-trait models of a family study find what is true, and how well their intervals and tests keep."""
