"""Space files, their settings, and the genes that follow from them."""
