"""Running a target's own pytest in a checkout of its own, and comparing two such runs test by test."""

from __future__ import annotations

from regreen.facts.testrun.checkout import check_out
from regreen.facts.testrun.execute import Interpreter, InterpreterError, Limits, interpreter, run_tests
from regreen.facts.testrun.results import Category, Outcome, TestComparison, TestResult, TestRun, compare

__all__ = [
    "Category",
    "Interpreter",
    "InterpreterError",
    "Limits",
    "Outcome",
    "TestComparison",
    "TestResult",
    "TestRun",
    "check_out",
    "compare",
    "interpreter",
    "run_tests",
]
