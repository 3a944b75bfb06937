"""What one metadata file declares: requirements as they are written in pyproject.toml, setup.cfg, requirements files ….

Every reader takes the text of a file and yields `Declared` records. A file that cannot be read declares nothing and
says so (`OPAQUE`): a check must then not claim that something is missing. Nothing is executed; setup.py is parsed.
"""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

#: The name of a pseudo-declaration: this file may declare more than could be read.
OPAQUE: Final = "?"

_VERSION: Final = re.compile(r"^\d+(?:\.\d+)*")
_EGG: Final = re.compile(r"#(?:.*&)?egg=([\w.-]+)")
_PIP_INSTALL: Final = re.compile(r"\b(?:pip3?|uv pip|pipx|conda|mamba)\s+install\s+((?:[^\n&|;]|\\\n)+)")
_INLINE: Final = re.compile(r"(?m)^# /// script\r?\n((?:#(?: .*)?\r?\n)*?)# ///\s*$")
_TOX: Final = ("deps", "requires")
_CONDA: Final = re.compile(r"^([A-Za-z0-9_.-]+)\s*(.*)$")


class Declared(NamedTuple):
    """One declared distribution. `kind`: `require`, `constrain`, `lock`, `build`, `install` (a shell line) or `self`."""

    name: str
    specifier: str
    path: str
    group: str
    kind: str = "require"


def specifiers(text: str) -> SpecifierSet:
    """A version range; an empty one where the text is not understood."""
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return SpecifierSet()


def requirement_line(text: str, path: str, group: str, kind: str = "require") -> Declared | None:
    """A PEP 508 requirement, or a URL that names its distribution (`#egg=`, a wheel). None for anything else."""
    line = text.strip()
    if not line or line.startswith("#"):
        return None
    line = re.sub(r"\s+#.*$", "", re.split(r"\s--?[a-z]", line)[0])
    try:
        parsed = Requirement(line)
    except InvalidRequirement:
        egg = _EGG.search(text)
        if egg:
            return Declared(canonicalize_name(egg[1]), "", path, group, kind)
        wheel = re.search(r"([A-Za-z0-9_.]+?)-(\d[\w.]*)[-\w.]*\.(?:whl|tar\.gz|zip)", line)
        if wheel:
            return Declared(canonicalize_name(wheel[1]), f"=={wheel[2]}", path, group, kind)
        name = re.match(r"[A-Za-z0-9][\w.-]*", line)
        return Declared(canonicalize_name(name[0]), "", path, group, kind) if name and "/" not in line else None
    return Declared(canonicalize_name(parsed.name), str(parsed.specifier), path, group, kind)


def requirements_txt(text: str, path: str, kind: str = "require") -> Iterator[Declared]:
    """A pip requirements file. `-r` and `-c` includes are read on their own, as files of the tree."""
    for raw in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = raw.strip()
        editable = re.match(r"(?:-e|--editable)[ =]\s*(.+)", line)
        if editable:
            egg = _EGG.search(line)
            if egg:
                yield Declared(canonicalize_name(egg[1]), "", path, "", kind)
            continue
        if line.startswith("-"):
            continue
        found = requirement_line(line, path, "", kind)
        if found is not None:
            yield found


def includes(text: str) -> Iterator[str]:
    """The files that a requirements file includes, as written there."""
    for match in re.finditer(r"(?m)^\s*(?:-r|--requirement|-c|--constraint)[ =]\s*(\S+)", text):
        yield match[1]


def poetry_range(text: str) -> str:
    """A Poetry version constraint as a PEP 440 specifier; an empty string where there is no equivalent."""
    parts: list[str] = []
    for raw in text.split(","):
        part = raw.strip()
        if not part or part == "*" or "||" in part:
            continue
        body = part.lstrip("^~=")
        match = _VERSION.match(body)
        if part[0] in "^~" and not part.startswith("~=") and match:
            numbers = [int(n) for n in match[0].split(".")]
            if part[0] == "^":
                keep = next((i for i, n in enumerate(numbers) if n), len(numbers) - 1)
            else:
                keep = min(1, len(numbers) - 1)
            upper = [*numbers[:keep], numbers[keep] + 1]
            parts.append(f">={body},<{'.'.join(map(str, upper))}")
        elif match and match.start() == 0 and part[0].isdigit():
            parts.append(f"=={part}")
        else:
            parts.append(part)
    joined = ",".join(parts)
    try:
        SpecifierSet(joined)
    except InvalidSpecifier:
        return ""
    return joined


def _table(value: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _mapping(table: Mapping[str, Any], path: str, group: str) -> Iterator[Declared]:
    for name, value in table.items():
        if name.lower() == "python":
            continue
        text = value if isinstance(value, str) else value.get("version", "") if isinstance(value, dict) else ""
        yield Declared(canonicalize_name(name), poetry_range(text if isinstance(text, str) else ""), path, group)


def pyproject(text: str, path: str) -> Iterator[Declared]:
    """PEP 621, PEP 735 groups, and the tables of Poetry, PDM, Hatch, uv, Rye and pixi."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        yield Declared(OPAQUE, "", path, "not valid TOML")
        return
    project = _table(document, "project")
    poetry = _table(document, "tool", "poetry")
    for name in (project.get("name"), poetry.get("name")):
        if isinstance(name, str):
            yield Declared(canonicalize_name(name), "", path, "", "self")
    lists: list[tuple[str, Any]] = [("dependencies", project.get("dependencies"))]
    lists += _table(project, "optional-dependencies").items()
    lists += _table(document, "dependency-groups").items()
    lists += _table(document, "tool", "pdm", "dev-dependencies").items()
    lists += [(tool, _table(document, "tool", tool).get("dev-dependencies")) for tool in ("uv", "rye")]
    for name, environment in _table(document, "tool", "hatch", "envs").items():
        if isinstance(environment, dict):
            lists += [(name, environment.get(key)) for key in ("dependencies", "extra-dependencies")]
    for group, values in lists:
        for line in _strings(values):
            found = requirement_line(line, path, group)
            if found:
                yield found
    for line in _strings(_table(document, "build-system").get("requires")):
        found = requirement_line(line, path, "build-system", "build")
        if found:
            yield found
    yield from _mapping(_table(poetry, "dependencies"), path, "dependencies")
    yield from _mapping(_table(poetry, "dev-dependencies"), path, "dev")
    for group, table in _table(poetry, "group").items():
        yield from _mapping(_table(table, "dependencies"), path, group)
    for key in ("dependencies", "pypi-dependencies"):
        yield from _mapping(_table(document, "tool", "pixi", key), path, key)
    for feature in _table(document, "tool", "pixi", "feature").values():
        for key in ("dependencies", "pypi-dependencies"):
            yield from _mapping(_table(feature, key), path, key)
    dynamic = _strings(project.get("dynamic"))
    if "dependencies" in dynamic and not _table(document, "tool", "setuptools", "dynamic", "dependencies"):
        yield Declared(OPAQUE, "", path, "dependencies are dynamic")


def setup_cfg(text: str, path: str) -> Iterator[Declared]:
    """setuptools' declarative configuration, and tox's and nox-like `deps`."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        parser.read_string(text)
    except configparser.Error:
        yield Declared(OPAQUE, "", path, "cannot be read")
        return
    lists: list[tuple[str, str]] = []
    for section in parser.sections():
        keys: tuple[str, ...] = ()
        if section == "metadata" and parser.has_option(section, "name"):
            yield Declared(canonicalize_name(parser.get(section, "name").strip()), "", path, "", "self")
        elif section == "options":
            keys = ("install_requires", "tests_require", "setup_requires")
        elif section == "options.extras_require":
            keys = tuple(parser.options(section))
        elif section.startswith("testenv") or section == "tox" or path.endswith("tox.ini"):
            keys = ("deps", "requires")  # of any section: `{[testing]deps}` refers to them
        lists += [(key, parser.get(section, key)) for key in keys if parser.has_option(section, key)]
    for group, value in lists:
        for raw in re.split(r"[\n;]" if group not in _TOX else r"\n", value):
            line = re.sub(r"^[\w,!-]+:\s*", "", raw.strip()) if group in _TOX else raw.strip()
            if line.startswith(("-", "{", "file:")):
                continue
            found = requirement_line(line, path, group)
            if found:
                yield found


def setup_py(text: str, path: str) -> Iterator[Declared]:
    """The literal lists of a `setup()` call, followed through module-level names.

    What is computed is opaque, unless it is read from a requirements file, which is read on its own.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        yield Declared(OPAQUE, "", path, "cannot be parsed")
        return
    names: dict[str, ast.expr] = {}
    entries: dict[str, list[ast.keyword]] = {}
    reads = re.search(r"req\w*[\w/.-]*\.(?:txt|in)", text) is not None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                names.setdefault(target.id, node.value)
            elif isinstance(target, ast.Subscript):  # `extras["test"] = […]`, `options["install_requires"] = […]`
                if isinstance(target.value, ast.Name) and isinstance(target.slice, ast.Constant):
                    entries.setdefault(target.value.id, []).append(ast.keyword(str(target.slice.value), node.value))
                for line in _literals(node.value, {}, 0):
                    found = None if line == OPAQUE else requirement_line(line, path, "extras_require")
                    if found:
                        yield found
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    for call in calls:
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called != "setup":
            continue
        for keyword in _written_out(call, names, entries):
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                yield Declared(canonicalize_name(str(keyword.value.value)), "", path, "", "self")
            elif keyword.arg in ("install_requires", "tests_require", "setup_requires", "extras_require"):
                for line in _literals(keyword.value, names, 0):
                    if line == OPAQUE:
                        if not reads:
                            yield Declared(OPAQUE, "", path, "computed")
                        continue
                    found = requirement_line(line, path, keyword.arg)
                    if found:
                        yield found
            elif keyword.arg is None and not reads:
                yield Declared(OPAQUE, "", path, "computed")


def _written_out(
    call: ast.Call, names: Mapping[str, ast.expr], entries: Mapping[str, list[ast.keyword]]
) -> Iterator[ast.keyword]:
    """The keywords of a call; `**options` by the items of the one dictionary of that name, where it is a literal."""
    for keyword in call.keywords:
        known = names.get(keyword.value.id) if keyword.arg is None and isinstance(keyword.value, ast.Name) else None
        pairs: list[ast.keyword] | None = None
        if isinstance(known, ast.Dict):
            pairs = [
                ast.keyword(key.value, value)
                for key, value in zip(known.keys, known.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
            pairs = pairs if len(pairs) == len(known.keys) else None
        elif isinstance(known, ast.Call) and isinstance(known.func, ast.Name) and known.func.id == "dict":
            pairs = known.keywords if not known.args and all(item.arg for item in known.keywords) else None
        if pairs is None:
            yield keyword
        else:
            assert isinstance(keyword.value, ast.Name)
            yield from pairs
            yield from entries.get(keyword.value.id, ())


_SAME_ITEMS: Final = frozenset({"list", "set", "sorted", "tuple"})


def _literals(node: ast.expr, names: Mapping[str, ast.expr], depth: int) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield from (part for part in str(node.value).splitlines() if part.strip())
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for element in node.elts:
            yield from _literals(element, names, depth)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _literals(value, names, depth)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _literals(node.left, names, depth)
        yield from _literals(node.right, names, depth)
    elif isinstance(node, ast.Starred):
        yield from _literals(node.value, names, depth)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SAME_ITEMS and node.args:
        yield from _literals(node.args[0], names, depth)
    elif isinstance(node, ast.Name) and node.id in names and depth < 5:
        yield from _literals(names[node.id], names, depth + 1)
    else:
        yield OPAQUE


def environment_yml(text: str, path: str) -> Iterator[Declared]:
    """A conda environment: the items of `dependencies:`, and of the `pip:` list inside it."""
    inside = False
    for raw in text.splitlines():
        line = raw.split(" #")[0].rstrip()
        if re.match(r"^\S[\w-]*:", line):
            inside = line.startswith("dependencies:")
            continue
        item = re.match(r"^\s*-\s+[\"']?(?:[\w.-]+::)?([^\"']+)[\"']?$", line)
        if not inside or item is None or item[1].strip() in ("pip:", "python"):
            continue
        match = _CONDA.match(item[1].strip())
        if match:
            spec = re.sub(r"^=(?=\d)", "==", match[2].split("=py")[0].replace(" ", ""))
            spec = spec if not spec or str(specifiers(spec)) else ""
            yield Declared(canonicalize_name(match[1].partition("=")[0]), spec, path, "dependencies")


def pipfile(text: str, path: str) -> Iterator[Declared]:
    """Pipenv's `[packages]` and `[dev-packages]`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        yield Declared(OPAQUE, "", path, "not valid TOML")
        return
    for group in ("packages", "dev-packages"):
        yield from _mapping(_table(document, group), path, group)


def lock_toml(text: str, path: str) -> Iterator[Declared]:
    """poetry.lock, uv.lock, pdm.lock and pylock.toml: exact versions under `[[package]]` (`[[packages]]`)."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for key in ("package", "packages"):
        for item in document.get(key) or ():
            if isinstance(item, dict) and isinstance(item.get("name"), str):
                version = item.get("version")
                exact = f"=={version}" if isinstance(version, str) else ""
                yield Declared(canonicalize_name(item["name"]), exact, path, "", "lock")


def shell_lines(text: str, path: str) -> Iterator[Declared]:
    """`pip install …` in a Dockerfile, a workflow or a Makefile."""
    for match in _PIP_INSTALL.finditer(text):
        try:
            words = shlex.split(match[1].replace("\\\n", " "), comments=True)
        except ValueError:
            continue
        for word in words:
            if not word.startswith("-") and re.fullmatch(
                r"[A-Za-z][\w.-]*(?:\[[\w,-]+\])?(?:[<>=!~]=?[\w.*,<>=!~]+)?", word
            ):
                found = requirement_line(word, path, "shell", "install")
                if found and not word.endswith((".txt", ".in", ".toml")):
                    yield found


def session_installs(text: str, path: str) -> Iterator[Declared]:
    """The literal arguments of `session.install(…)` in a noxfile."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("install", "conda_install")
        ):
            for argument in node.args:
                if (
                    isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and argument.value[:1].isalpha()
                ):
                    found = requirement_line(argument.value, path, "nox", "install")
                    if found:
                        yield found


def inline_script(text: str, path: str) -> Iterator[Declared]:
    """PEP 723 metadata of a script (`# /// script`)."""
    match = _INLINE.search(text.replace("\r\n", "\n"))
    if match:
        body = "\n".join(line[2:] for line in match[1].splitlines())
        try:
            document = tomllib.loads(body)
        except tomllib.TOMLDecodeError:
            return
        for line in _strings(document.get("dependencies")):
            found = requirement_line(line, path, "script")
            if found:
                yield found
