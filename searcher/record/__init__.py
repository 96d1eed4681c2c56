"""The record of all measurements: its forms, its storage, its lease."""
