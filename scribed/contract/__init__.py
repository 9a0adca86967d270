"""The contract with the robot, as documents: JSON Schemas and AsyncAPI, made of what encodes."""
