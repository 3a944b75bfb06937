"""Where a project declares what it needs, and one more line in that place."""
