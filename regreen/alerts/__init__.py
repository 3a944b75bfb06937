"""Alerts on failure and degradation: de-duplicated, escalated, resolved; sent through apprise."""
