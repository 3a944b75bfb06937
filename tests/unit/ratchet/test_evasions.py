"""Rewrites that look like refactorings and check less: none of them may pass as equal or stronger."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regreen.ratchet import Comparison, Grade

CHECK = "r = f(1)\nassert r == 3"
RAISES = "with pytest.raises(ValueError):\n    f(1)"
TEST = "def test_x():\n    assert f(1)\n"
METHOD = "class T(TestCase):\n    def test_x(self):\n        self.assertTrue(f(1))\n"
FIXTURE = "@pytest.fixture\ndef c():\n    return Client()\ndef test_x(c):\n    assert c.get()\n"

EVASIONS: list[tuple[str, str]] = [
    ("r = client.get('/a')\nassert r.ok", "r = client.get('/a')\nr.ok = True\nassert r.ok"),
    (CHECK, "r = f(1)\nr = 3\nassert r == 3"),
    (CHECK, "r = f(1) or 3\nassert r == 3"),
    (CHECK, "r = f(1)\nif r != 3:\n    r = 3\nassert r == 3"),
    (CHECK, "r = f(1)\nr = r if r == 3 else 3\nassert r == 3"),
    (CHECK, "try:\n    r = f(1)\nexcept Exception:\n    r = 3\nassert r == 3"),
    (CHECK, "expected = r = f(1)\nassert r == expected"),
    ("r = f(1)\nassert r.x == 3", "r = f(1)\nassert getattr(r, 'x', 3) == 3"),
    ("assert f(1) == 3", "assert f(1) == 3 if f(1) else True"),
    ("assert f(1) == 3", "assert not f(1) or f(1) == 3"),
    ("assert f(1) == 3", "assert f(1) == mock.ANY"),
    ("assert f(1) == [1, 2]", "assert f(1) == [1, mock.ANY]"),
    ("m.assert_called_once_with(1)", "m.assert_called_once_with(ANY)"),
    ("assert f(1) == 3", "assert (lambda: f(1) == 3)"),
    ("assert f(1) == 3", "f(1) == 3"),
    ("assert f(1) == 3", "assert [f(1) == 3]"),
    ("assert f(1) == 3", "assert f'{f(1) == 3}'"),
    ("assert f(1) == 3", "assert str(f(1) == 3)"),
    ("assert f(1) == 3", "def assert_(x):\n    pass\nassert_(f(1) == 3)"),
    ("assert f(1) == 3", "yield\nassert f(1) == 3"),
    ("assert f(1) == 3", "assert f(1) == f(1)"),
    ("assert f(1) == 3", "assert abs(f(1) - 3) < 100"),
    ("self.assertEqual(f(1), 3)", "self.assertTrue(f(1), 3)"),
    ("self.assertEqual(f(1), 3)", "self.assertIsNotNone(f(1), 3)"),
    (RAISES, "with pytest.raises(ValueError):\n    raise ValueError"),
    (RAISES, "with pytest.raises(ValueError):\n    f(1)\n    raise ValueError"),
    (RAISES, "with pytest.raises(ValueError):\n    g(1)\n    f(1)"),
    (RAISES, "with pytest.raises(ValueError):\n    int('x')\n    f(1)"),
    (RAISES, "try:\n    f(1)\nexcept ValueError:\n    pass"),
    ("for x in items:\n    assert f(x)", "for x in items[:1]:\n    assert f(x)"),
    ("for x in [1, 2]:\n    assert f(x)", "for x in [1, 2]:\n    if x == 2:\n        continue\n    assert f(x)"),
    ("for x in [1, 2]:\n    assert f(x)", "for x in [1, 2]:\n    assert f(x)\n    break"),
    ("for x in g():\n    assert f(x)", "for x in g():\n    if f(x):\n        break"),
    ("xs = g()\nassert len(xs) == 3\nfor x in xs:\n    assert x.ok", "xs = g()\nfor x in xs:\n    assert x.ok"),
    ("assert a.b == 1\na.run()\nassert a.b == 2", "a.run()\nassert a.b == 2"),
    ("a.run()\nassert a.b == 2", "assert a.b == 2\na.run()"),
    ("a.run()\nassert a.b == 2", "assert a.b == 2"),
    ("a.run()\nassert a.b == 2", "a.stop()\nassert a.b == 2"),
    ("a.run()\nassert a.b == 2", "a.b = 2\nassert a.b == 2"),
    ("called = []\nrun(called)\nassert called == [1]", "called = []\ncalled.append(1)\nassert called == [1]"),
    ("called = []\nrun(called)\nassert called == [1]", "called = [1]\nassert called == [1]"),
    ("assert f(1) == 3\nassert f(2) == 4", "x = 1\nassert f(x) == 3"),
    ("data = f(1)\nassert data == {'a': 1}", "data = f(1)\nexpected = data\nassert data == expected"),
    ("data = f(1)\nassert data == {'a': 1}", "data = f(1)\nassert data == dict(data)"),
    ("assert x.y.z(1).w == 'a'", "assert x.y.z(1).w.lower() == 'a'"),
    ("assert f(1).strip() == 'a'", "assert 'a' in f(1)"),
    ("assert set(f(1)) == {1, 2}", "assert set(f(1)) >= {1, 2}"),
    ("assert f(1) == {'a': 1, 'b': 2}", "assert f(1).items() >= {'a': 1}.items()"),
    ("assert f(1) == {'a': 1, 'b': 2}", "assert f(1)['a'] == 1"),
    ("assert f(1) is False", "assert not f(1)"),
    ("assert f(1) == 0", "assert not f(1)"),
    ("assert f(1) != 0", "assert f(1) is not None"),
    ("assert any(x.ok for x in f(1))", "assert [x.ok for x in f(1)]"),
    ("assert all(x.ok for x in f(1))", "assert (x.ok for x in f(1))"),
    ("r.stdout.fnmatch_lines(['*a*', '*b*'])", "r.stdout.fnmatch_lines(['*a*'])"),
    ("f(1)", "if ready:\n    f(1)"),
    ("f(1)", "if slow:\n    pytest.skip('no')\nf(1)"),
    ("f(1)\nf(2)", "f(1)"),
    (TEST, "def f(a):\n    return 1\ndef test_x():\n    assert f(1)\n"),
    (TEST, "@pytest.fixture(autouse=True)\ndef no():\n    pytest.skip('x')\n" + TEST),
    (TEST, "@pytest.mark.usefixtures('skip_slow')\n" + TEST),
    (TEST, "@pytest.fixture\ndef c():\n    pytest.skip('x')\ndef test_x(c):\n    assert f(1)\n"),
    ("def setup_module():\n    pass\n" + TEST, "def setup_module():\n    pytest.skip('x')\n" + TEST),
    ("from p import f\n" + TEST, "def f(a):\n    return 1\n" + TEST),
    ("from p import f\n" + TEST, "from p import g as f\n" + TEST),
    ("from p import f\n" + TEST, "from p import f\nf = lambda a: 1\n" + TEST),
    (METHOD, METHOD.replace("def test_x", "def setUp(self):\n        self.skipTest('x')\n    def test_x")),
    (METHOD, "@unittest.skip('x')\n" + METHOD),
    (METHOD, METHOD.replace("def test_x", "def assertTrue(self, x):\n        pass\n    def test_x")),
    (FIXTURE, FIXTURE.replace("Client()", "Mock()")),
    (FIXTURE, FIXTURE.replace("return", "pytest.skip('x')\n    return")),
    (FIXTURE, FIXTURE.replace("return Client()", "c = Client()\n    c.get = lambda: 1\n    yield c")),
]


@pytest.mark.parametrize(("before", "after"), EVASIONS)
def test_never_passes(compared: Callable[[str, str], Comparison], before: str, after: str) -> None:
    found = compared(before, after)
    assert found.grade in {Grade.WEAKER, Grade.UNKNOWN}, found.tests
