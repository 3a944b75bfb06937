"""Running a target's own pytest in a checkout of its own, and comparing two such runs test by test."""

from __future__ import annotations

from regreen.facts.testrun.checkout import check_out
from regreen.facts.testrun.execute import Interpreter, InterpreterError, Limits, interpreter, passing_again, run_tests
from regreen.facts.testrun.results import RED, Category, Outcome, TestComparison, TestResult, TestRun, compare

__all__ = [
    "RED",
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
    "passing_again",
    "run_tests",
]
