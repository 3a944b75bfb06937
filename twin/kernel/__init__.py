"""The generic engine over Google's discovery documents. It knows no service; twin.services does."""
