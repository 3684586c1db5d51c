"""The engine: one loop for every method and task, exact checkpoints, and watchers around it."""
