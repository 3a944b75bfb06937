"""From the feed to the broker, without losing a trade."""
