"""Other projects' listeners, which scribed is measured beside, in environments of their own."""
