"""What kind of error it is, from the lines that pytest printed for it."""

from __future__ import annotations

import re
from typing import Final

from regreen.facts.testrun.results import Category

# In order: the first that matches decides. Wordings: CPython's import and type machinery, pytest 6 to 9.
_RULES: Final = (
    (re.compile(r"ModuleNotFoundError|No module named "), Category.MISSING_MODULE),
    (re.compile(r"ImportError: cannot import name |ImportError: .*partially initialized"), Category.MISSING_NAME),
    (re.compile(r"consistent method resolution|duplicate base class"), Category.MRO),
    (re.compile(r"SyntaxError|IndentationError|TabError|source code .*null bytes|UnicodeDecodeError"), Category.SYNTAX),
    (
        re.compile(
            r"'[^']*' not found in `markers` configuration|PytestUnknownMarkWarning|Unknown pytest\.mark"
            r"|[Mm]arks? (?:cannot be|applied to) |[Mm]arker"
        ),
        Category.MARKER,
    ),
    (re.compile(r"fixture '[^']*' not found|[Ff]ixture .*(?:called directly|not found)|ScopeMismatch"), Category.FIXTURE),
    (re.compile(r"NameError|AttributeError: (?:partially initialized )?module .* has no attribute"), Category.MISSING_NAME),
    (re.compile(r"^(?:AssertionError|assert |Failed: )", re.MULTILINE), Category.ASSERTION),
)  # fmt: skip


def classify(error: str) -> Category:
    """The category of an error's text. OTHER is an answer too."""
    for pattern, category in _RULES:
        if pattern.search(error):
            return category
    return Category.OTHER
