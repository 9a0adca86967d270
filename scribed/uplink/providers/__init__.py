"""Protocols of the speech services, sans I/O: one file for each."""
