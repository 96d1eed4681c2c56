"""What a candidate is: architectures, spaces of them, their networks and their costs."""
