"""Running a network's step: runners, streams, latency, isolated processes."""
