"""What a network costs where it runs: time, memory, tables of latencies."""
