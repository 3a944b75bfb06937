"""What the outside sees: REST, WebSocket, health."""
