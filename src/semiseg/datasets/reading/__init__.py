"""Reads images, masks and class files into arrays."""
