"""What git remembers of a file that can no longer be read."""
