"""Tests of uplink."""
