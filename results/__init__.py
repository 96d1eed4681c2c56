"""What was found, and getting it out: frontier, family, plots, report, export and streaming."""
