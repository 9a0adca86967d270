"""Text to the robot: topics, payloads, outbox, the MQTT wire and the thread that owns them."""
