"""What a staging system stands on, as real processes: Kafka's protocol, PostgreSQL, Redis, Cypher over Bolt, a registry."""

from twin.backing.stack import NAMES, Backing, find, start

__all__ = ["NAMES", "Backing", "find", "start"]
