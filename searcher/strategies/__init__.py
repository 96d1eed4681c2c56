"""Search strategies: how the next candidate is proposed."""
