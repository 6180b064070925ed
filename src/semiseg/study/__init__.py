"""From a suite to its runs, and from each run to what has to be made."""
