"""Runs on an environment: detect, edit the stack's configuration, apply it from a saved plan, verify, record."""

from regreen.cloud.executor import Executor, ExecutorError, Identity, Operation, Outcome, Preview
from regreen.cloud.run import CloudCatalogue, remediate_cloud

__all__ = [
    "CloudCatalogue",
    "Executor",
    "ExecutorError",
    "Identity",
    "Operation",
    "Outcome",
    "Preview",
    "remediate_cloud",
]
