"""From a suite to its runs, and from each run to the products that must be made."""
