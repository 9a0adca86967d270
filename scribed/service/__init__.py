"""The machine around the daemon: systemd, credentials, the journal, names."""
