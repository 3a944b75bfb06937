"""Does a test that returned, and asserts now, fail when the code under test is broken?

For each repository, given as a local clone and a commit: convert the returning tests, run each converted test with the
real pytest, then break a function that it calls (it raises, returns None, returns the opposite) and run the test again,
converted and as it was. A converted test is proven when some break turns it red; breaks are tried until one
does, so this shows that a test can fail, not that it notices every fault. Prints a Markdown table.

    python scripts/return_to_assert_survey.py \\
        --repository owner/name path/to/clone commit path/to/python "tests/*.py" "test_*.py"

The interpreter is one in which pytest and what the repository's tests import are installed. The last two arguments
select test files by their path and say what `python_files` is (for suites that keep tests next to the code).
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checks.code import tests_assert_not_return
from regreen.facts.source import GitTree, Index, OverlayTree, survey
from regreen.facts.source.modules import modules
from regreen.facts.source.testcode import FunctionNode
from regreen.model import Change, compose
from regreen.policy import Policy
from remedies.code import return_to_assert

BREAKS = ("returns the opposite", "returns None", "raises")
GONE = "is gone"  # a single function, class or import that a test asks for, in a text or an import of its own
EMPTY = "is emptied"  # for a file that a test reads as text, or imports
GREEN, RED = "green", "red"


@dataclass(frozen=True, slots=True)
class Repository:
    """A clone, the commit to look at, the interpreter, and which files to take."""

    name: str
    path: Path
    commit: str
    python: str
    select: str
    python_files: str


@dataclass(slots=True)
class Result:
    """One converted test: its state unbroken, and the break that told most."""

    test: str
    how: str
    unbroken: str
    callee: str = ""
    broken: str = ""
    before: str = ""
    after: str = ""
    why: str = ""

    @property
    def proven(self) -> bool:
        """Whether a break of its callee turns the converted test red."""
        return self.after == RED


@dataclass(slots=True)
class Report:
    """What one repository gave."""

    repository: Repository
    found: int
    refused: dict[str, int] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if at least nine of ten converted tests that are green unbroken go red."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repository", nargs=6, action="append", required=True,
        metavar=("NAME", "PATH", "COMMIT", "PYTHON", "SELECT", "FILES"),
    )  # fmt: skip
    options = parser.parse_args(arguments)
    reports = []
    for name, path, commit, python, select, files in options.repository:
        reports.append(examine(Repository(name, Path(path), commit, python, select, files)))
    judged = [result for report in reports for result in report.results if result.unbroken == GREEN]
    proven = sum(result.proven for result in judged)
    print("\n".join((*summary(judged), *render(reports))))
    return 0 if judged and proven >= 0.9 * len(judged) else 1


def examine(repository: Repository) -> Report:
    """Convert the tests of one repository, break what they call, and see which go red."""
    config = f"[pytest]\npython_files = {repository.python_files}\n".encode()
    base = GitTree(repository.path, repository.commit)
    hidden: dict[str, bytes | None] = {
        name: None for name in _CONFIGS if base.exists(name) and name != "pyproject.toml"
    }
    tree = OverlayTree(base, {**hidden, "pytest.ini": config})
    known = survey(tree, [tests_assert_not_return], Policy())
    findings = [f for f in known.diagnosis.verdicts[0].findings if fnmatchcase(f.path, repository.select)]
    proposal = return_to_assert.propose(findings, known.index, Policy())
    report = Report(repository, len(findings))
    for refusal in proposal.refusals:
        report.refused[refusal.reason] = report.refused.get(refusal.reason, 0) + 1
    edits, _ = compose(tree, proposal.changes)
    with tempfile.TemporaryDirectory(prefix="return-to-assert-") as folder:
        plain, converted = Path(folder, "plain"), Path(folder, "converted")
        for place in (plain, converted):
            _checkout(base, place)
            for name in hidden:
                (place / name).unlink(missing_ok=True)
            (place / "pytest.ini").write_bytes(config)
        for path, content in edits.items():
            (converted / path).write_bytes(content)
        for change in proposal.changes:
            print(f"{repository.name}: {change.subject}", file=sys.stderr)
            report.results.append(_prove(change, repository, known.index, plain, converted))
    return report


_CONFIGS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml")


def _checkout(base: GitTree, place: Path) -> None:
    for path in base.paths():
        try:
            content = base.read(path)
        except FileNotFoundError:
            continue  # a partial clone: large files may be absent
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _prove(change: Change, repository: Repository, index: Index, plain: Path, converted: Path) -> Result:
    state, why = _run(converted, change.subject, repository)
    result = Result(change.subject, change.summary.partition(": ")[2], state, why=why)
    if state != GREEN:
        return result
    path, _, scope = change.subject.partition("::")
    candidates = list(_callees(index, path, scope.split("::")))
    if not candidates:
        result.why = "it calls nothing that is defined in the repository"
        return result
    for file, name, line in candidates:
        for how in (GONE,) if line < 0 else BREAKS if name else (EMPTY,):
            broken = _break(Path(converted, file).read_bytes(), name, line, how)
            if broken is None:
                continue
            after = _broken(converted, file, broken, change.subject, repository)
            if after == RED:
                own = _break(Path(plain, file).read_bytes(), name, line, how)
                before = _broken(plain, file, own, change.subject, repository) if own is not None else ""
                if not result.proven or (result.before != GREEN and before == GREEN):
                    result.callee, result.broken = f"{name} ({file})" if name else file, how
                    result.before, result.after = before, after
                if before == GREEN:
                    return result
            elif not result.after:
                result.callee, result.broken, result.after = f"{name} ({file})" if name else file, how, after
    if not result.proven:
        result.why = f"green although each of {len(candidates)} callees was broken"
    return result


def _callees(index: Index, path: str, scope: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """(file, name, line) of functions of the repository that a test calls: its own file's, then imported ones.

    With a negative line: what it asks for by name without a call. Without a name: files that the test reads as text, and those that it imports.
    """
    tree = ast.parse(index.tree.read(path))
    function = next((n for n in ast.walk(tree) if isinstance(n, FunctionNode) and n.name == scope[-1]), None)
    if function is None:
        return
    files = [path]
    for node in (*ast.walk(function), *tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            level, module = (node.level, node.module or "") if isinstance(node, ast.ImportFrom) else (-1, "")
            for alias in node.names:
                target = modules(index).resolve(path, level, module or alias.name)
                symbol = modules(index).member(target, alias.name) if isinstance(node, ast.ImportFrom) else None
                for found in (target.path, symbol.path if symbol else ""):
                    if found.endswith(".py") and found not in files:
                        files.append(found)
    imported = files[1:]
    packages = [file.removesuffix("__init__.py") for file in files[1:] if file.endswith("/__init__.py")]
    files += [name for name in index.files if name not in files and name.startswith(tuple(packages))]
    names = [
        call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute | ast.Name)
    ]
    texts = [n.value for n in ast.walk(function) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    read = [text for text in dict.fromkeys(texts) if text and index.tree.exists(text)]
    joined = "/".join(text for text in texts if text.replace(".", "").replace("_", "").isalnum())
    read += [name for name in index.tree.paths() if name.endswith(".py") and "/" in name and name in joined]
    for file in files:
        try:
            source = ast.parse(index.tree.read(file))
        except (OSError, SyntaxError, ValueError):
            continue
        for name in dict.fromkeys(names):
            for node in ast.walk(source):
                made = "__init__" if isinstance(node, ast.ClassDef) and node.name == name else name
                inner = node.body if isinstance(node, ast.ClassDef) and node.name == name else [node]
                for each in inner:
                    if not isinstance(each, FunctionNode) or each is function or name.startswith("test"):
                        continue
                    if each.name == made:
                        yield file, made, each.lineno
    yield from _asked_for(index, function, dict.fromkeys((*read, *imported)))
    yield from ((name, "", 0) for name in read)
    yield from ((file, "", 0) for file in imported)  # at last: what it imports is not there any more


def _asked_for(index: Index, function: ast.AST, files: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """(file, name, minus line) of functions, classes and imports that a test asks for in files that it reads or imports.

    It asks for them where it imports them, or has their name, or a line of theirs, in a text.
    """
    words = ast.unparse(function)
    texts = [n.value for n in ast.walk(function) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    for file in files:
        try:
            text = index.tree.read(file).decode("utf-8", "replace")
            body = ast.parse(text).body
        except (OSError, SyntaxError, ValueError):
            continue
        for node in body:
            own = ast.get_source_segment(text, node) or ""
            asked = any(len(line) > 12 and line in own for line in texts)
            if isinstance(node, FunctionNode | ast.ClassDef):
                if asked or re.search(rf"\b{node.name}\b", words):
                    yield file, node.name, -node.lineno
            elif asked and isinstance(node, ast.Import | ast.ImportFrom):
                yield file, own, -node.lineno


def _break(source: bytes, name: str, line: int, how: str) -> bytes | None:
    """A file with one function broken; None where that break says nothing (no value to turn round)."""
    if how == EMPTY:
        return b""
    tree = ast.parse(source)
    if how == GONE:
        gone = next(n for n in tree.body if n.lineno == -line)
        first = min([gone.lineno, *(d.lineno for d in getattr(gone, "decorator_list", ()))])
        rows = source.splitlines(keepends=True)
        return b"".join([*rows[: first - 1], *rows[gone.end_lineno or first :]])
    found = [n for n in ast.walk(tree) if isinstance(n, FunctionNode) and n.name == name]
    if not found:
        return None
    node = min(found, key=lambda n: abs(n.lineno - line))
    if how == "raises":
        node.body = [ast.parse("raise RuntimeError('broken on purpose')").body[0]]
    elif how == "returns None":
        node.body = [ast.parse("return None").body[0]]
    else:
        returns = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
        if not returns:
            return None
        for item in returns:
            item.value = ast.UnaryOp(ast.Not(), item.value)  # type: ignore[arg-type]
    ast.fix_missing_locations(node)
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    lines = source.splitlines(keepends=True)
    indent = " " * node.col_offset
    text = "".join(f"{indent}{row}\n" for row in ast.unparse(node).splitlines())
    return b"".join([*lines[: start - 1], text.encode(), *lines[node.end_lineno or start :]])


def _broken(place: Path, file: str, content: bytes | None, test: str, repository: Repository) -> str:
    target = place / file
    kept = target.read_bytes()
    assert content is not None
    target.write_bytes(content)
    try:
        return _run(place, test, repository)[0]
    finally:
        target.write_bytes(kept)


def _run(place: Path, test: str, repository: Repository) -> tuple[str, str]:
    """(green, red or `does not run`, and the last words of pytest)."""
    command = (repository.python, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", "addopts=", test)
    paths = os.pathsep.join((str(place), str(place / "src")))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, timeout=60, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return RED, "longer than a minute"
    last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "")
    if done.returncode == 0:
        return (GREEN, last) if " passed" in last else ("does not run", last)
    errors = [line for line in done.stdout.splitlines() if line.startswith("E  ")]
    return (RED if done.returncode == 1 else "does not run"), (errors[0][2:].strip() if errors else last)


def summary(judged: Sequence[Result]) -> Iterator[str]:
    """The totals, with what each of them does and does not show."""
    proven = [item for item in judged if item.proven]
    functions = [item for item in proven if item.broken not in (EMPTY, GONE)]
    gone = [item for item in proven if item.broken == GONE]
    visible = [item for item in proven if item.before == GREEN]
    nothing = [item for item in judged if not item.broken]
    share = f"{100 * len(proven) / len(judged):.0f} %" if judged else "none"
    yield f"- Converted tests that pass unbroken: {len(judged)}. Red under at least one break: {len(proven)} ({share})."
    yield f"- Red because a function that the test calls was broken: {len(functions)}."
    yield f"- Red because one function, class or import that the test asks for, and does not call, was taken away: {len(gone)}."
    yield f"- Red only because a whole file that the test reads or imports was emptied: {len(proven) - len(functions) - len(gone)}."
    yield f"- Of the red ones, green under the same break before the conversion, so that the conversion made the difference: {len(visible)}."
    yield f"- Nothing of the repository to break was found: {len(nothing)}. Green although broken: {len(judged) - len(proven) - len(nothing)}."


def render(reports: Sequence[Report]) -> Iterator[str]:
    """The tables, a repository each."""
    for report in reports:
        repository = report.repository
        yield f"\n## {repository.name} at `{repository.commit}`\n"
        yield f"{report.found} returning tests in `{repository.select}`; {len(report.results)} converted."
        for reason, count in sorted(report.refused.items()):
            yield f"- refused, {count}: {reason}"
        yield "\n| test | conversion | unbroken | broken callee | break | as it was | converted |\n|---|---|---|---|---|---|---|"
        for item in report.results:
            cells = (
                f"`{item.test}`", item.how, item.unbroken, item.callee or item.why, item.broken, item.before,
                item.after if item.proven or not item.why else f"{item.after} ({item.why})",
            )  # fmt: skip
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
