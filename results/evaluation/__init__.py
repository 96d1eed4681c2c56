"""The evaluation of any network on any data set: scores, figures, confusion, wrong predictions."""
