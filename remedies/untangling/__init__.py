"""Who uses an imported name, and when: what must hold before its import can move."""
