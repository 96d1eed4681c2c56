"""A family of networks: chosen by budget, trained, and written."""
