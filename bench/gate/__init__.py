"""The gate beside others, on speech in noise whose truth is known by construction."""
