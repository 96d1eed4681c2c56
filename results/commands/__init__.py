"""Commands of the command line about runs and networks."""
