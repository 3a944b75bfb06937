"""Edits of pytest's configuration files that keep every other byte: ini and TOML."""
