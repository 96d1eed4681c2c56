"""What a network is: its parts, its text and JSON forms, the published ones."""
