"""What a space file may say, and the genes that it works out to."""
