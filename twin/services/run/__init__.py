"""Cloud Run: one stored record per resource (in v2's form), seen through v1 (Knative) and v2."""
