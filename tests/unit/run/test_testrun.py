"""Classifying errors, comparing two runs, and one real run of pytest in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from regreen.facts.testrun import (
    Category,
    Interpreter,
    InterpreterError,
    Limits,
    Outcome,
    TestResult,
    TestRun,
    check_out,
    compare,
    interpreter,
    run_tests,
)
from regreen.facts.testrun.classify import classify
from tests.unit.run.toys import write

GREEN, RED, GONE = Outcome.PASSED, Outcome.FAILED, None


@pytest.mark.parametrize(
    ("error", "category"),
    [
        ("ModuleNotFoundError: No module named 'x'", Category.MISSING_MODULE),
        ("ImportError: cannot import name 'a' from 'b' (b.py)", Category.MISSING_NAME),
        ("AttributeError: module 'a' has no attribute 'b'", Category.MISSING_NAME),
        ("NameError: name 'x' is not defined", Category.MISSING_NAME),
        ("AttributeError: 'A' object has no attribute 'b'", Category.OTHER),
        ("'slo' not found in `markers` configuration option", Category.MARKER),
        ("Failed: Marks applied to fixtures have no effect", Category.MARKER),
        ("fixture 'db' not found", Category.FIXTURE),
        ("ScopeMismatch: You tried to access the function scoped fixture", Category.FIXTURE),
        ("TypeError: Cannot create a consistent method resolution order (MRO) for bases A, B", Category.MRO),
        ("TypeError: duplicate base class TimeoutError", Category.MRO),
        ("File \"a.py\", line 1\n    x = (\nSyntaxError: '(' was never closed", Category.SYNTAX),
        ("assert 1 == 2", Category.ASSERTION),
        ("AssertionError: no", Category.ASSERTION),
        ("Failed: DID NOT RAISE", Category.ASSERTION),
        ("ZeroDivisionError: division by zero", Category.OTHER),
        ("", Category.OTHER),
    ],
)
def test_an_error_has_a_category(error: str, category: Category) -> None:
    assert classify(error) is category


def run(broken: str = "", **outcomes: Outcome) -> TestRun:
    errors = (TestResult(broken, Outcome.ERROR),) if broken else ()
    results = tuple(TestResult(f"t.py::{name}", outcome) for name, outcome in outcomes.items())
    return TestRun("t", collection_errors=errors, results=results)


@pytest.mark.parametrize(
    ("before", "after", "field", "tests"),
    [
        (run(a=GREEN), run(a=RED), "regressions", ["t.py::a"]),
        (run(a=Outcome.SKIPPED), run(a=Outcome.ERROR), "regressions", ["t.py::a"]),
        (run(a=GREEN), run("t.py"), "regressions", ["t.py"]),
        (run(a=GREEN, b=GREEN), run(a=GREEN), "lost", ["t.py::b"]),
        (run(a=RED), run(), "lost", ["t.py::a"]),  # a red test that vanishes is hidden, not mended
        (run(m=GREEN), run(m=RED), "unmasked", ["t.py::m"]),
        (run(), run(m=RED), "unmasked", ["t.py::m"]),
        (run(m=RED), run(m=RED), "still_red", ["t.py::m"]),
        (run("t.py"), run(a=RED), "revealed", ["t.py::a"]),
        (run(a=Outcome.COLLECTED), run(a=RED), "revealed", ["t.py::a"]),
        (run("u.py"), run("u.py"), "still_red", ["u.py"]),
        (run(), run("u.py"), "revealed", ["u.py"]),
        (run("t.py"), run(a=GREEN, b=Outcome.SKIPPED), "fixed", ["t.py::a"]),
        (run(a=RED), run(a=GREEN), "fixed", ["t.py::a"]),
    ],
)
def test_two_runs_differ_in_one_way(before: TestRun, after: TestRun, field: str, tests: list[str]) -> None:
    found = compare(before, after, ["t.py::m"])

    fields = ("regressions", "lost", "unmasked", "revealed", "still_red", "fixed")
    filled = {
        name: [item if isinstance(item, str) else item.test for item in getattr(found, name)]
        for name in fields
        if getattr(found, name)
    }
    assert filled == {field: tests}


def test_what_passes_when_run_again_is_flaky_and_nothing_else() -> None:
    got_red = compare(run(a=GREEN, b=GREEN), run(a=RED, b=RED), (), ((), ["t.py::a"]))
    got_green = compare(run(a=RED, b=RED), run(a=GREEN, b=GREEN), (), (["t.py::a"], ()))

    assert [item.test for item in got_red.flaky] == ["t.py::a"]
    assert [item.test for item in got_red.regressions] == ["t.py::b"]
    assert [item.test for item in got_green.flaky] == ["t.py::a"]
    assert got_green.fixed == ("t.py::b",)


def test_an_unmasked_test_is_known_by_its_name_without_its_case() -> None:
    before = TestRun("t", results=(TestResult("t.py::C::m[1-a]", GREEN),))
    after = TestRun("t", results=(TestResult("t.py::C::m[1-a]", RED),))

    assert [item.test for item in compare(before, after, ["t.py::C::m"]).unmasked] == ["t.py::C::m[1-a]"]


PROJECT = {
    "pkg/pytest.ini": "[pytest]\nmarkers = slow: takes long\naddopts = -x -m 'not slow'\n",
    "pkg/tests/test_a.py": """
import os, socket, subprocess, sys, pytest
def test_ok(): assert os.environ.get("SECRET_OF_THE_CALLER") is None
def test_bad(): assert 1 == 2
def test_set_up(broken): pass
@pytest.fixture
def broken(): raise RuntimeError("password='hunter2hunter2'")
@pytest.mark.parametrize("x", [1, 2])
def test_case(x): assert x
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert 0
@pytest.mark.slow
def test_slow(): assert 0
def test_itself():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()): pass
def test_leak():
    subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); print('x', flush=True); time.sleep(600)", "regreen-leak", "TAG"], stdout=subprocess.PIPE).stdout.read(1)
""",
    "pkg/tests/test_b.py": "import not_there\n",
    "pkg/tests/test_c.py": "def broken(:\n",
}


#: Other workers of xdist run these tests at the same time.
TAG = f"of-{os.getpid()}"


@pytest.fixture(scope="module")
def python() -> Interpreter:
    return interpreter(Path(sys.executable))


@pytest.fixture(scope="module")
def real(python: Interpreter, tmp_path_factory: pytest.TempPathFactory) -> TestRun:
    """One run over a project with every kind of outcome (a second or two: a real pytest starts)."""
    folder = tmp_path_factory.mktemp("project")
    write(folder, {name: text.replace("TAG", TAG) for name, text in PROJECT.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_CALLER", "x")
        patch.setenv("PYTEST_ADDOPTS", "--nonsense")
        return run_tests(python, folder, folder, [("pkg",)], Limits(120), "tree-id")


def test_a_real_run_is_recorded_test_by_test(real: TestRun) -> None:
    path = "pkg/tests/test_a.py::"

    assert {result.test: str(result.outcome) for result in real.results} == {
        f"{path}test_ok": "passed", f"{path}test_bad": "failed", f"{path}test_set_up": "error",
        f"{path}test_case[1]": "passed", f"{path}test_case[2]": "passed", f"{path}test_skipped": "skipped",
        f"{path}test_expected": "xfailed", f"{path}test_itself": "passed", f"{path}test_leak": "passed",
        # Collected from the root, where the markers of pkg/pytest.ini do not hold, and so not deselected there.
        f"{path}test_slow": "collected",
    }  # fmt: skip
    assert (real.collected, real.problem, real.exit_code) == (10, "", 1)
    assert real.tree == "tree-id"


def test_errors_of_collection_are_all_there_with_their_category(real: TestRun) -> None:
    assert [(error.test, error.category) for error in real.collection_errors] == [
        ("pkg/tests/test_b.py", Category.MISSING_MODULE),
        ("pkg/tests/test_c.py", Category.SYNTAX),
    ]
    assert real.errors_by_category == {"missing module": 1, "syntax": 1, "assertion": 1, "other": 1}
    assert real.collection_errors[1].error.startswith("SyntaxError: ")


def test_secrets_in_errors_are_hidden(real: TestRun) -> None:
    (error,) = [result.error for result in real.results if result.test.endswith("test_set_up")]
    assert error == "RuntimeError: password='[redacted]'"


def test_nothing_that_tests_started_outlives_them(real: TestRun) -> None:
    assert real.count(Outcome.PASSED) == 5
    left = [process for process in psutil.process_iter(["cmdline"]) if TAG in (process.info["cmdline"] or ())]
    assert left == []


def test_a_run_that_takes_too_long_is_cut_and_proves_nothing(python: Interpreter, tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": "import time\ndef test_a(): time.sleep(600)\n"})

    found = run_tests(python, tmp_path, tmp_path, [()], Limits(0.5))

    assert found.problem == "the suite (all tests) did not end within 0.5 s"
    assert compare(found, found).problem == "before: the suite (all tests) did not end within 0.5 s"


def test_a_pytest_that_does_not_start_is_an_error_of_collection(python: Interpreter, tmp_path: Path) -> None:
    write(tmp_path, {"pytest.ini": "[pytest]\naddopts = --no-such-option\n", "test_a.py": "def test_a(): pass\n"})

    found = run_tests(python, tmp_path, tmp_path, [()], Limits(60))

    assert found.problem == ""
    assert [error.test for error in found.collection_errors] == ["(start of pytest)"]
    assert "unrecognized arguments: --no-such-option" in found.collection_errors[0].error


def test_an_editable_install_is_taken_from_the_checkout(tmp_path: Path) -> None:
    target, checkout = tmp_path / "target", tmp_path / "checkout"
    write(target, {"src/mine/__init__.py": "WHERE = 'target'\n"})
    write(
        checkout,
        {
            "src/mine/__init__.py": "WHERE = 'checkout'\n",
            "test_a.py": "from mine import WHERE\ndef test_a(): assert WHERE == 'checkout'\n",
        },
    )
    here = interpreter(Path(sys.executable))
    python = Interpreter(
        here.path, here.version, here.pytest, (*here.paths, str(target / "src"), str(target / "src/mine"))
    )

    found = run_tests(python, checkout, target, [()], Limits(60))

    assert [str(result.outcome) for result in found.results] == ["passed"]


def test_an_interpreter_that_cannot_serve_is_said(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)

    with pytest.raises(InterpreterError, match="there is no such program"):
        interpreter(tmp_path / "missing")
    with pytest.raises(InterpreterError, match="it does not answer as a Python does"):
        interpreter(fake)


def test_a_checkout_is_the_tree_to_the_byte(tmp_path: Path) -> None:
    entries = {
        "a\udcff.py": ("100644", "1"), "bin/run": ("100755", "2"), "link": ("120000", "3"), "sub": ("160000", "4"),
        "gone.py": ("100644", "5"),
    }  # fmt: skip
    blobs = {"1": b"\r\n", "2": b"#!", "3": b"bin/run", "5": b"x"}

    check_out(tmp_path, entries, blobs.__getitem__, {"gone.py": None, "new/n.py": b"n", "bin/run": b"edited"})

    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {"a\udcff.py", "bin", "bin/run", "link", "sub", "new", "new/n.py"}
    assert (tmp_path / "a\udcff.py").read_bytes() == b"\r\n"
    assert (tmp_path / "link").readlink() == Path("bin/run")
    assert (tmp_path / "bin/run").read_bytes() == b"edited"
    assert (tmp_path / "bin/run").stat().st_mode & 0o100
