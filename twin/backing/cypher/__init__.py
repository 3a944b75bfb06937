"""A small Cypher: parsed, run on a graph in memory, kept in SQLite. What it does not know is refused by name."""
