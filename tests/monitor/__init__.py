"""What the monitor makes of what it hears."""
