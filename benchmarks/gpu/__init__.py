"""Everything that is claimed of CUDA, on one card, within ten minutes: ``python -m benchmarks.gpu``."""
