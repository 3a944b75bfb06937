"""What stands behind the tasks that need several parts of the house at once: an environment, its engine, its runs."""
