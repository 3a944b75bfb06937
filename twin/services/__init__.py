"""Semantics: what each service does beyond the generic verbs, every rule with its source."""
