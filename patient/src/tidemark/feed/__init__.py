"""The trade feed: what a trade is, who serves it, who reads it."""
