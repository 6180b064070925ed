"""Data sets: sources, readers, checks, split lists, decoded stores and views."""
