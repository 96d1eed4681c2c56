"""Which videos there are, what they are labelled, and the embedded data sets."""
