"""Search spaces: architectures from genes, their profile, and scaled copies."""
