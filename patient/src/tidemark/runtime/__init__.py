"""What every service shares: time, settings, tracing."""
