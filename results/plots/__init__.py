"""Pictures of a run: interactive and as files."""
