"""Run folders: what training writes and everything else reads; imports no torch."""
