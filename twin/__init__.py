"""A local Google Cloud that unmodified clients can talk to: see docs/twin.md."""
