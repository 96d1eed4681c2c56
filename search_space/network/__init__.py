"""The networks: every Architecture as a torch module, for whole clips and frame by frame."""
