"""Advice for the owner of the images: the meaning of a finished trial, and which images to label next."""
