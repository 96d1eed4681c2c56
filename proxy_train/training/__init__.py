"""One training: updates, schedule, checkpoints, and resuming."""
