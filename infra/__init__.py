"""Pulumi for a staging environment: components, the program, the engine's driver, and the rehearsal on the twin."""
