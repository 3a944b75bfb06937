"""Which files stand beside the product: tests, examples, documents. What is true of services need not be true of them."""

from __future__ import annotations

import re
from typing import Final

_ASIDE: Final = re.compile(
    r"(?:^|/)(?:t|unit|tests?|testing|test[_-]\w+|\w+[_-]tests?|testdata|fixtures?|examples?|samples?|docs?|docs_src|demos?"
    r"|tutorials?|benchmarks?|bench|specs?|mocks?|stubs?)/"
    r"|(?:^|/)(?:test_[^/]*|[^/]*_tests?|tests?|conftest|[^/]*example[^/]*|[^/]*mock[^/]*)\.pyi?$"
)
#: Files of a suite, its helpers included.
_TEST_CODE: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|e2e|(?:\w+_)?tests?(?:_\w+)?|(?:integration|functional|unit)(?:_tests?)?)/(?:.*/)?[^/]+\.py$"
    r"|(?:^|/)(?:conftest|test_[^/]*|[^/]*_tests?)\.py$"
)

_DATA: Final = re.compile(r"(?:^|/)(?:test_?data|test-data|tests?/(?:.*/)?data|snippets|corpus)/|\{\{")


def is_aside(path: str) -> bool:
    """Whether a file, by its path, belongs to tests, examples, documents or measurements."""
    return bool(_ASIDE.search(path))


def is_test_code(path: str) -> bool:
    """Whether a file belongs to the tests, by its place and name; what tests read as data does not."""
    return bool(_TEST_CODE.search(path)) and not _DATA.search(path)
