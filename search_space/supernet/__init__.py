"""The weights that all networks of a space share."""
