"""The parts of `scribed demo`, which the tests use as well."""
