"""Long work: many small questions in blocks, kept as they are answered, in one process or many."""
