"""Expands a suite into its runs, and decides which products must be made."""
