"""Sound to utterances: sources, the gate and the thread that owns them."""
