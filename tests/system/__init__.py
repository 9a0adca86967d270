"""scribed as a service: under a real systemd, on a throw-away copy of this machine."""
