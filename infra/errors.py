"""Errors that several parts of `infra` raise."""

from __future__ import annotations


class StepError(Exception):
    """A step was refused or failed; the message says what was done before."""
