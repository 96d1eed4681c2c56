"""Search spaces, their profiles, and scaled copies of them."""
