"""The tests of scribed."""
