"""Tests of `scribed doctor`, its judgements and its probes."""
