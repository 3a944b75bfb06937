"""The pages that people see, and the assets that they load."""
