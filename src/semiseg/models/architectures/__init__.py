"""Architectures, one file each; torch is not imported before a network is built."""
