"""Networks as files for other runtimes: written, run, compared."""
