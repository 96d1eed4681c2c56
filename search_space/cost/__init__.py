"""What a network costs, known before training: closed form, operators, latency tables, fvcore."""
