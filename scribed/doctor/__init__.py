"""`scribed doctor` and `scribed report`: evidence, what it means, and what may be shown of it."""
