"""Run folders: specs, leases, records, evaluations. Importing this package does not import torch."""
