"""The settings of a run: model, reading, and checks on this machine."""
