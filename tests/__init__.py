"""The tests; a package, since others install a `tests` of their own beside the packages under test."""
