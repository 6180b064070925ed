"""Downloading data sets, verifying and unpacking them."""
