"""What must survive a restart, and the thread that owns it."""
