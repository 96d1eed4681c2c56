"""What the measurements say: frontier, hypervolume, attainment, choices."""
