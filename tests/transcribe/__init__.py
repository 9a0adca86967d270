"""`scribed transcribe`, its parts and the whole."""
