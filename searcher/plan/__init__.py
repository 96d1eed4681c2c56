"""The plan of the next trainings: jobs, the search as a plan, confirmation."""
