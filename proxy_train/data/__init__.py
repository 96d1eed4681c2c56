"""Data sets: their videos and labels, their formats, and the embedded ones."""
