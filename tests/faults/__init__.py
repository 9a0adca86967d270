"""The bench of faults: what was captured is known to the sample, and so is what became of it."""
