"""The schema of params.yaml, and how the file is read and checked."""
