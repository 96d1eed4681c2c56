"""The supernet of a run: its training as a job, and whether a search may rest on it."""
