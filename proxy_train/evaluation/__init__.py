"""The evaluation of networks: metrics, evaluation of clips and streams, agreement of rankings."""
