"""How good a network is: metrics, evaluation of clips and streams, agreement of ranks."""
