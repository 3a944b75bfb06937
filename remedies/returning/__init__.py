"""Tests that return, turned into tests that assert. The parts of `remedies.code.return_to_assert`."""
