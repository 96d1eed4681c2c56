"""The costs of networks, known before training: closed form, operators, latency tables, fvcore."""
