"""The resources of a run, and the machines and queues that provide them."""
