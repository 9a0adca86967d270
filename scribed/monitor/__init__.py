"""`scribed monitor`: what robots say on MQTT, to look at."""
