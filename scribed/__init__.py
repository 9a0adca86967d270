"""scribed: the speech ear for robots. Sound in through ALSA, committed transcripts out on MQTT."""

from __future__ import annotations

__version__ = "0.1.0"
