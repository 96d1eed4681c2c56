"""Trains and measures a job on videos."""
