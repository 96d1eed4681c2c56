"""The parts of reading a list: its table, the meaning of its numbers, and its classes."""
