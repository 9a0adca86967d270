"""Many robots: bridged brokers, who may do what, several consumers."""
