"""A look at a user's folder: what lies in it, which classes it may have, and what is odd about it."""
