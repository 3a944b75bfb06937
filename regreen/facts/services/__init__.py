"""Facts about running services, each asked in its own protocol. Nothing is changed, but for a probe's own Kafka topic."""
