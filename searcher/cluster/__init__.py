"""Ray: the engine, its adapters, workers, nodes, and signs of life."""
