"""The stand-in for the cloud."""
