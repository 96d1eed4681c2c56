"""The training of a supernet: one training of the weights that all networks of a space share."""
