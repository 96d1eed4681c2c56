"""A page that runs an exported network in a browser; the scripts beside this module are its parts."""
