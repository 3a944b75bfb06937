"""Compute Engine: networks and load balancing. Everything else is served by the generic verbs."""
