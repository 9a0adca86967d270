"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A shared machine pauses a process for longer than any deadline that finds a slow example;
# pytest-timeout is what ends a test that hangs.
settings.register_profile("scribed", deadline=None)
settings.load_profile("scribed")
