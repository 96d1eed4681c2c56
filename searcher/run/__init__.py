"""One run: its session, log, overview, and its launch on a cluster."""
