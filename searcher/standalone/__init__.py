"""Trainings that belong to no search: one network, a group of processes, a study."""
