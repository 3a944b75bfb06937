"""What Regreen knows, in the forms that other systems read: Prometheus text, OTLP traces, JSON log lines, Markdown."""
