"""Decides who gets a desk or a machine: availability, cost, council votes, consensus, event."""
