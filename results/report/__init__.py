"""The page of a run, its dashboard, and the files beside them."""
