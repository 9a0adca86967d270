"""Real peers and devices that misbehave on request."""
