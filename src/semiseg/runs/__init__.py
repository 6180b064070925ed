"""Run folders: specs, leases, records, evaluations. Imports without torch."""
