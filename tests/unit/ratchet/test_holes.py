"""Ways to let a test pass without checking: skips, handlers, guards, doubles; added and taken away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regreen.ratchet import Grade, TestVerdict, compare

Judge = Callable[[str, str], TestVerdict]

EQUAL, WEAKER, STRONGER, UNKNOWN = Grade.EQUAL, Grade.WEAKER, Grade.STRONGER, Grade.UNKNOWN
BODY = "def test_it():\n    assert f(1) == 3\n"

# what is added, and the grades of adding it and of taking it away
ADDED: list[tuple[str, str, Grade, Grade]] = [
    ("skip", "@pytest.mark.skip\n" + BODY, WEAKER, STRONGER),
    ("skip with a reason", "@pytest.mark.skip(reason='later')\n" + BODY, WEAKER, STRONGER),
    ("skipif", "@pytest.mark.skipif(sys.platform == 'win32', reason='x')\n" + BODY, WEAKER, STRONGER),
    ("skipif never", "@pytest.mark.skipif(False, reason='x')\n" + BODY, EQUAL, EQUAL),
    ("xfail", "@pytest.mark.xfail\n" + BODY, WEAKER, STRONGER),
    ("xfail for a reason", "@pytest.mark.xfail(reason='bug', strict=True)\n" + BODY, WEAKER, STRONGER),
    ("unittest skip", "@unittest.skip('later')\n" + BODY, WEAKER, STRONGER),
    ("expectedFailure", "@unittest.expectedFailure\n" + BODY, WEAKER, STRONGER),
    ("named skip", "windows = pytest.mark.skipif(os.name == 'nt', reason='x')\n@windows\n" + BODY, WEAKER, STRONGER),
    ("module skip mark", "pytestmark = pytest.mark.skip\n" + BODY, WEAKER, STRONGER),
    ("module skip", "pytest.skip('no', allow_module_level=True)\n" + BODY, WEAKER, STRONGER),
    ("importorskip", "pytest.importorskip('numpy')\n" + BODY, WEAKER, STRONGER),
    ("retries", "@pytest.mark.flaky(reruns=3)\n" + BODY, WEAKER, EQUAL),
    ("module condition", "if sys.platform == 'linux':\n    def test_it():\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("patched subject", "@mock.patch('product.f', return_value=3)\n" + BODY.replace("()", "(m)"), WEAKER, EQUAL),
    ("patched collaborator", "@mock.patch('product.inner')\n" + BODY.replace("()", "(m)"), UNKNOWN, EQUAL),
    ("patched clock", "@mock.patch('time.time')\n" + BODY.replace("()", "(m)"), EQUAL, EQUAL),
    ("plain mark", "@pytest.mark.slow\n" + BODY, EQUAL, EQUAL),
    ("fixture used", "@pytest.mark.usefixtures('clean')\n" + BODY, EQUAL, EQUAL),
    ("decorator of its own", "@odd\n" + BODY, UNKNOWN, EQUAL),
    ("decorator that may skip", "@requires_network\n" + BODY, UNKNOWN, EQUAL),
    ("skip in the body", "def test_it():\n    pytest.skip('no')\n    assert f(1) == 3\n", WEAKER, STRONGER),
    ("skip on a condition", "def test_it():\n    if slow:\n        pytest.skip('no')\n    assert f(1) == 3\n", WEAKER, STRONGER),
    ("xfail in the body", "def test_it():\n    pytest.xfail('no')\n    assert f(1) == 3\n", WEAKER, STRONGER),
    ("importorskip in the body", "def test_it():\n    np = pytest.importorskip('numpy')\n    assert f(1) == 3\n", WEAKER, STRONGER),
    ("early return", "def test_it():\n    if slow:\n        return\n    assert f(1) == 3\n", WEAKER, STRONGER),
    ("if", "def test_it():\n    if ready:\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("if always", "def test_it():\n    if True:\n        assert f(1) == 3\n", EQUAL, EQUAL),
    ("if never", "def test_it():\n    if False:\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("if on itself", "def test_it():\n    if f(1):\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("handler", "def test_it():\n    try:\n        assert f(1) == 3\n    except Exception:\n        pass\n", WEAKER, STRONGER),
    ("bare handler", "def test_it():\n    try:\n        assert f(1) == 3\n    except:\n        pass\n", WEAKER, STRONGER),
    ("handler of an error", "def test_it():\n    try:\n        assert f(1) == 3\n    except OSError:\n        return\n", WEAKER, STRONGER),
    ("handler that raises", "def test_it():\n    try:\n        assert f(1) == 3\n    except OSError:\n        raise\n", EQUAL, EQUAL),
    ("handler that leaves", "def test_it():\n    try:\n        prepare()\n    except OSError:\n        return\n    assert f(1) == 3\n", WEAKER, STRONGER),
    ("suppress", "def test_it():\n    with contextlib.suppress(OSError):\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("while", "def test_it():\n    while more():\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("match", "def test_it():\n    match kind:\n        case 1:\n            assert f(1) == 3\n", WEAKER, STRONGER),
    ("generator", "def test_it():\n    for _ in []:\n        assert f(1) == 3\n", WEAKER, STRONGER),
    ("patch in the body", "def test_it():\n    with mock.patch('product.f', return_value=3):\n        assert f(1) == 3\n", WEAKER, EQUAL),
    ("monkeypatch", "def test_it(monkeypatch):\n    monkeypatch.setattr('product.f', lambda x: 3)\n    assert f(1) == 3\n", WEAKER, EQUAL),
    ("monkeypatch of an object", "def test_it(monkeypatch):\n    monkeypatch.setattr(product, 'f', lambda x: 3)\n    assert f(1) == 3\n", WEAKER, EQUAL),
    ("spy", "def test_it(mocker):\n    mocker.spy(product, 'f')\n    assert f(1) == 3\n", EQUAL, EQUAL),
]  # fmt: skip


@pytest.mark.parametrize(("after", "grade"), [(row[1], row[2]) for row in ADDED], ids=[row[0] for row in ADDED])
def test_added(judged: Judge, after: str, grade: Grade) -> None:
    assert judged(BODY, after).grade is grade


@pytest.mark.parametrize(("before", "grade"), [(row[1], row[3]) for row in ADDED], ids=[row[0] for row in ADDED])
def test_taken_away(judged: Judge, before: str, grade: Grade) -> None:
    assert judged(before, BODY).grade is grade


def test_a_guard_whose_branches_both_check_is_a_changed_expectation(judged: Judge) -> None:
    after = "if new:\n    assert f(1) == 3\nelse:\n    assert f(1) == 4"
    assert judged("assert f(1) == 3", after).grade is Grade.UNKNOWN


def test_a_skip_that_skips_less_is_stronger(judged: Judge) -> None:
    def skipped(condition: str) -> str:
        return f"@pytest.mark.skipif({condition}, reason='x')\n{BODY}"

    assert judged(skipped("cpus() < 4"), skipped("cpus() < 2")).grade is Grade.STRONGER
    assert judged(skipped("cpus() < 2"), skipped("cpus() < 4")).grade is Grade.WEAKER
    assert judged(skipped("cpus() < 2"), skipped("cpus() < 2")).grade is Grade.EQUAL


def test_reasons_name_the_hole(judged: Judge) -> None:
    assert judged(BODY, ADDED[26][1]).reason == "`assert f(1) == 3` now depends on if ready true"
    assert "product.f" in judged(BODY, ADDED[14][1]).reason


ASYNC = "async def test_it():\n    assert await f(1) == 3\n"


@pytest.mark.parametrize(
    ("before", "after", "grade"),
    [
        ("def test_it():\n    assert asyncio.run(f(1)) == 3\n", "@pytest.mark.asyncio\n" + ASYNC, EQUAL),
        ("def test_it():\n    assert loop.run_until_complete(f(1)) == 3\n", "@pytest.mark.anyio\n" + ASYNC, EQUAL),
        (BODY, "@pytest.mark.asyncio\n" + ASYNC, EQUAL),
        (BODY, ASYNC, UNKNOWN),
        ("@pytest.mark.asyncio\n" + ASYNC, ASYNC, UNKNOWN),
        (ASYNC, "@pytest.mark.asyncio\n" + ASYNC, EQUAL),
        ("@pytest.mark.asyncio\n" + ASYNC, BODY, EQUAL),
    ],
)
def test_async_conversions(judged: Judge, before: str, after: str, grade: Grade) -> None:
    assert judged(before, after).grade is grade


def test_an_async_method_of_a_plain_test_case_never_runs(judged: Judge) -> None:
    before = (
        "class T(unittest.IsolatedAsyncioTestCase):\n    async def test_it(self):\n        assert await f(1) == 3\n"
    )
    found = judged(before, before.replace("IsolatedAsyncioTestCase", "TestCase"))
    assert (found.grade, found.reason) == (Grade.WEAKER, "an async method of a plain TestCase is never awaited")


def test_auto_mode_is_read_from_the_configuration() -> None:
    config = {"pyproject.toml": b'[tool.pytest.ini_options]\nasyncio_mode = "auto"\n'}
    result = compare({"tests/test_a.py": BODY.encode()}, {"tests/test_a.py": ASYNC.encode()}, context_after=config.get)
    assert [v.grade for v in result.tests] == [Grade.EQUAL]


def test_a_mark_that_the_configuration_deselects() -> None:
    config = {"pytest.ini": b'[pytest]\naddopts = -m "not slow"\n'}
    after = {"tests/test_a.py": ("@pytest.mark.slow\n" + BODY).encode()}
    result = compare({"tests/test_a.py": BODY.encode()}, after, context_after=config.get)
    assert [v.grade for v in result.tests] == [Grade.WEAKER]


IN_CLASS = (
    "class T(unittest.TestCase):\n    @async_test\n    async def test_it(self):\n        assert await f(1) == 3\n"
)


def test_a_decorator_may_run_the_coroutine(judged: Judge) -> None:
    more = IN_CLASS + "        assert await f(2) == 4\n"
    assert judged(IN_CLASS, more).grade is Grade.STRONGER
    assert judged(IN_CLASS, IN_CLASS.replace("    @async_test\n", "")).grade is Grade.WEAKER
    assert judged(IN_CLASS, IN_CLASS.replace("async_test", "pytest.mark.slow")).grade is Grade.WEAKER


def test_a_coroutine_that_never_ran_loses_nothing(judged: Judge) -> None:
    idle = IN_CLASS.replace("    @async_test\n", "")
    assert judged(idle, idle + "        assert await f(2) == 4\n").grade is Grade.STRONGER


@pytest.mark.parametrize(
    "talk", ["logger.exception('no')", "self.log.error('no')", "print('no')", "logging.info('no')"]
)
def test_what_only_tells_people_something_is_no_obligation(judged: Judge, talk: str) -> None:
    before = f"def test_it():\n    try:\n        f(1)\n    except OSError:\n        {talk}\n        assert False\n"
    after = before.replace(f"        {talk}\n", "")
    assert judged(before, after).grade is Grade.EQUAL
    assert judged(f"def test_it():\n    f(1)\n    {talk}\n", "def test_it():\n    f(1)\n").grade is Grade.EQUAL


def test_a_call_of_that_name_on_the_product_is_one(judged: Judge) -> None:
    before = "def test_it():\n    f(1)\n    future.exception()\n"
    found = judged(before, "def test_it():\n    f(1)\n")
    assert (found.grade, found.reason) == (Grade.WEAKER, "no longer checks `exception(...)`")
