"""The data set formats, one module each; ``registry`` knows them all."""
