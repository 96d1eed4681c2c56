"""Who is measured more thoroughly: rungs, halving, the chance to lie on the front."""
