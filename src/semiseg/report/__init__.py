"""Tables, statistics, plots and pages; reads only what training wrote to disk."""
