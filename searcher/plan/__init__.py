"""What is to be measured next: jobs, the search as a plan, confirmation."""
