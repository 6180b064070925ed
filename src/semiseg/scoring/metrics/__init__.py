"""The metrics of an evaluation, one file each."""
