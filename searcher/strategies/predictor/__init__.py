"""The predictor strategy: a Gaussian process and its acquisition function."""
