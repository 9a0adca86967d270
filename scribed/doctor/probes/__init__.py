"""What touches the world to gather evidence; what it means is judged one folder up."""
