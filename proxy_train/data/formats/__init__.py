"""The data set formats, one module each; ``registry`` lists them all."""
