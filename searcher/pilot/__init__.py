"""The pilot of a search: small trainings that tell what its measurements are worth, before it spends."""
