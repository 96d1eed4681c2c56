"""Prepared data: videos decoded once, and clips read from there or decoded on demand."""
