"""Recordings, URLs and devices to text: the daemon's pipeline without broker and store."""
