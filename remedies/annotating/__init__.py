"""What a helper returns, proven from its text, and what mypy says about it."""
