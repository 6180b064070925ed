"""Architectures, one file each; free of torch until a network is built."""
