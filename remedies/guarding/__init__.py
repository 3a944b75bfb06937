"""What the remedies that put a client behind something of the tree share."""
