"""Networks drawn at a cost, and small steps from one network to another."""
