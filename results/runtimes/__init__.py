"""The runtimes that networks are exported for, one file each; ``registry`` has them all."""
