"""Every third-party module that is imported is brought by a distribution that the project's metadata declares.

What is only installed by chance, or as a dependency of a dependency, is gone after the next update. All metadata of the
tree counts: pyproject.toml (PEP 621, dependency groups, Poetry, PDM, Hatch, uv), setup.cfg, setup.py, requirements files
with their includes, conda environments, Pipfiles, tox, nox, inline script metadata (PEP 723), `pip install` lines of
Dockerfiles and workflows. Imports for type checkers, guarded ones and
those inside functions (features on demand) are left alone. Where no metadata exists, or the
metadata is computed by code, nothing is claimed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from regreen.facts.source import Context, Index, Interests
from regreen.facts.source.declarations import inline_script
from regreen.facts.source.distributions import PYTHON_2, declared, known, providers
from regreen.facts.source.guards import CONDITIONAL, IMPORT_GUARDED, IMPORT_HANDLER, TYPE_CHECKING_ONLY, VERSION_GUARDED
from regreen.facts.source.importpass import imports
from regreen.facts.source.metadata import Metadata, metadata
from regreen.facts.source.modules import ModuleMap, modules
from regreen.facts.source.unseen import is_built
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.dependencies-declared"
VERSION: Final = 4
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://packaging.python.org/en/latest/specifications/dependency-specifiers/"

_EXCUSED: Final = TYPE_CHECKING_ONLY | IMPORT_GUARDED | IMPORT_HANDLER | VERSION_GUARDED | CONDITIONAL
#: Modules that a host program brings: no distribution can be declared for them.
#: Files that only one program reads, which is installed beside the project: its import is there by then.
_RUN_BY: Final = {"noxfile.py": "nox", "locustfile.py": "locust", "fabfile.py": "fabric"}
_HOSTS: Final = frozenset(
    {
        "FreeCAD", "apt", "apt_pkg", "bpy", "com", "conftest", "dbutils", "gdb", "ghidra", "gimpfu", "hou", "idaapi",
        "idautils", "idc", "java", "javax", "js", "lldb", "machine", "maya", "micropython", "nuke", "org", "pyodide",
        "setup", "sublime", "sublime_plugin", "test", "tests", "uno", "unreal", "vim", "weechat", "xbmc", "xbmcaddon",
        "xbmcgui", "xbmcplugin", "xbmcvfs",
    }
)  # fmt: skip
_DATA: Final = re.compile(
    r"(?:^|/)(?:test_?data|test-data|tests?/(?:.*/)?data|snippets|corpus|docs?|examples?|cookbook)/|\{\{"
)
_ALWAYS: Final = frozenset({"setuptools", "pip", "wheel"})  # in the environment that builds the project
_META: Final = {"requirements.txt": "requests>=2\n"}

EXAMPLES: Final = (
    Example("a module that nothing declares", {**_META, "a.py": "import yaml\n"}, fires=1),
    Example("one finding for many importers", {**_META, "a.py": "import yaml\n", "b.py": "from yaml import load\n"}, fires=1),
    Example("a dotted distribution", {**_META, "a.py": "from google.cloud import bigquery\n"}, fires=1),
    Example("an extension that the tree builds", {**_META, "ext/CMakeLists.txt": "add_library(fast_add MODULE add.c)\n", "a.py": "import fast_add\n"}),
    Example("a folder that another test puts on the path", {
        **_META, "tests/samples/shop/orders.py": "", "tests/test_a.py": "from shop import orders\n", "tests/samples/till/orders.py": "", "tests/test_b.py": "from till import gone\n"}, fires=1),
    Example("a plugin named like a library that it wraps", {
        **_META, "requirements.txt": "nvidia-riva-client\n", "ns/plugins/nvidia/a.py": "import riva.client\n"}),
    Example("a feature on demand", {**_META, "a.py": "def f():\n    import attr\n"}),
    Example("only a lock file holds it", {**_META, "poetry.lock": '[[package]]\nname = "idna"\nversion = "3.4"\n', "a.py": "import idna\n"}, fires=1),
    Example("one script's own metadata is its own", {**_META, "a.py": '# /// script\n# dependencies = ["pyyaml"]\n# ///\nimport yaml\n', "b.py": "import yaml\n"}, fires=1),
    Example("declared under another name", {"requirements.txt": "PyYAML==6\nopencv-python-headless\nbeautifulsoup4\npython-dateutil\nPillow\n", "a.py": "import yaml, cv2, bs4, dateutil.parser, PIL.Image\n"}),
    Example("in pyproject", {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["httpx[http2]>=0.2"]\n', "a.py": "import httpx\n"}),
    Example("in a group", {"pyproject.toml": '[project]\nname = "x"\n[dependency-groups]\ndev = ["pytest"]\n', "a.py": "import pytest, _pytest.fixtures\n"}),
    Example("by Poetry", {"pyproject.toml": '[tool.poetry]\nname = "x"\n[tool.poetry.group.dev.dependencies]\nruamel-yaml = "^0.17"\n', "a.py": "import ruamel.yaml\n"}),
    Example("in an included file", {"requirements.txt": "-r deps/more.txt\n", "deps/more.txt": "six\n", "a.py": "import six\n"}),
    Example("in setup.py", {"setup.py": "from setuptools import setup\nR = ['six']\nsetup(name='x', install_requires=R)\n", "a.py": "import six\n"}),
    Example("in a dictionary for setup.py", {"setup.py": "from setuptools import setup\nwhere = '; os_name == \"posix\"'\nkw = {'name': 'x'}\nbase = ['six', 'attrs' + where]\nkw['install_requires'] = base\nkw['extras_require'] = {'all': list(set(base + ['pyyaml']))}\nsetup(**kw)\n", "a.py": "import six, yaml, attr\n"}),
    Example("not in the dictionary for setup.py", {"setup.py": "from setuptools import setup\nkw = dict(name='x', install_requires=['attrs'])\nsetup(**kw)\n", "a.py": "import six\n"}, fires=1),
    Example("a dictionary that is put together", {"setup.py": "from setuptools import setup\nkw = {**read(), 'name': 'x'}\nsetup(**kw)\n", "a.py": "import six\n"}),
    Example("computed in setup.py", {"setup.py": "from setuptools import setup\nsetup(install_requires=read())\n", "a.py": "import six\n"}),
    Example("the standard library", {**_META, "a.py": "import os, distutils, tomllib, concurrent.futures\n"}),
    Example("a guarded import", {**_META, "a.py": "try:\n    import yaml\nexcept ImportError:\n    yaml = None\n"}),
    Example("a module of the tree", {**_META, "yaml.py": "", "a.py": "import yaml\n"}),
    Example("no metadata at all", {"a.py": "import yaml\n"}),
    Example("the project itself", {"pyproject.toml": '[project]\nname = "my-app"\n', "tests/test_a.py": "import my_app\n"}),
    Example("a fork of it", {"requirements.txt": "ft-scikit-optimize\n", "a.py": "from skopt import Optimizer\n"}),
    Example("in a section of tox.ini that others refer to", {"tox.ini": "[test-requirements]\ndeps =\n    attrs\n    six >= 1\n\n[testenv]\ndeps =\n    {[test-requirements]deps}\n", "a.py": "import six\n"}),
    Example("tox's own requirements", {"tox.ini": "[tox]\nrequires =\n    six\n", "a.py": "import six\n"}),
    Example("an interface to a service", {"requirements.txt": "atlassian-python-api\n", "a.py": "from atlassian import Jira\n"}),
    Example("a module of Python 2 is no distribution", {**_META, "a.py": "import urlparse\n"}),
    Example("the program that runs the file", {**_META, "noxfile.py": "import nox\n", "load/locustfile.py": "import locust\n"}),
    Example("installed in a Dockerfile", {**_META, "Dockerfile": "RUN pip install pyyaml==6.0\n", "a.py": "import yaml\n"}),
)  # fmt: skip


def _script(ctx: Context) -> None:
    text = ctx.source.decode("utf-8", "replace")
    names = [item.name for item in inline_script(text, "")]
    if names:
        ctx.emit("script", names)


INTERESTS: Final = Interests(finish=_script, needles=("# /// script",))


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per import name that no metadata declares, at its first import."""
    known_metadata = metadata(index)
    if not known_metadata.sources:
        return Verdict(ID, 0, note="no project metadata was found, so nothing can be declared")
    opaque = {posixpath.dirname(item.path): item for item in known_metadata.opaque}
    if "" in opaque:
        item = opaque[""]
        return Verdict(ID, 0, note=f"{item.path}: {item.group}; what it declares cannot be told without running it")
    scripts = {file.path: frozenset(record[1]) for file, record in index.records(ID)}
    names = known_metadata.names | _ALWAYS
    places: dict[str, list[tuple[str, tuple[int, ...], str]]] = {}
    brought: dict[str, str] = {}
    for path, position, name in _external(index):
        top = name.partition(".")[0]
        shown = name if top in ("google", "azure", "ruamel", "zope", "opentelemetry") else top
        if shown not in brought:
            brought[shown] = declared(shown, names) or (
                "its own" if top.replace("_", "-") in known_metadata.own else ""
            )
        if brought[shown] or (path in scripts and declared(shown, scripts[path])) or _covered(path, opaque):
            continue
        places.setdefault(_short(shown), []).append((path, position, name))
    places = {shown: found for shown, found in places.items() if providers(shown) or not is_built(index, shown)}
    findings = [_finding(index, known_metadata, shown, found) for shown, found in places.items()]
    return Verdict.of(ID, len(index.files), findings)


def _short(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:3] if parts[:2] == ["google", "cloud"] else parts[:2])


def _external(index: Index) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Unguarded absolute imports of what is neither in the tree nor Python's own: (path, position, dotted name)."""
    found = modules(index)
    judged: dict[str, bool] = {}
    for path, item, name in imports(index).external:
        if path not in judged:
            judged[path] = not (path.endswith(".pyi") or _DATA.search(path) or found.guessed(path))
        top = name.partition(".")[0]
        if not judged[path] or item[7] & _EXCUSED or item[8] or top in _HOSTS or top in PYTHON_2:
            continue
        if _RUN_BY.get(path.rpartition("/")[2]) == top:
            continue
        if _held_elsewhere(found, name, item):
            continue
        if item[4] == 0 and name in ("google.cloud", "google", "azure", "zope"):
            for inner, _ in item[6]:
                yield path, item[:4], f"{name}.{inner}"
        else:
            yield path, item[:4], name


def _held_elsewhere(found: ModuleMap, name: str, item: tuple[Any, ...]) -> bool:
    """Whether a folder of the tree holds just what is imported, under a name that no known distribution has.

    Another module's `sys.path` edit may lead there, as when one test prepares the path for those that follow.
    """
    top, _, rest = name.partition(".")
    if known(top) or providers(top):
        return False
    wanted = [rest] if rest else [inner for inner, _ in item[6]] if item[4] == 0 else []
    return any(
        f"{key}/{inner.replace('.', '/')}" in found.sources for key in found.by_name.get(top, ()) for inner in wanted
    )


def _covered(path: str, opaque: Mapping[str, object]) -> bool:
    folder = posixpath.dirname(path)
    while folder:
        if folder in opaque:
            return True
        folder = posixpath.dirname(folder)
    return False


def _finding(index: Index, found: Metadata, shown: str, places: list[tuple[str, tuple[int, ...], str]]) -> Finding:
    path, position, _ = places[0]
    usual = providers(shown)
    name = usual[0] if usual else shown.replace("_", "-").replace(".", "-").lower()
    files = len({place[0] for place in places})
    lock = next((item.path for item in found.of(name) if item.kind == "lock"), "")
    observed = (
        f"`{shown}` is imported in {files} file{'s' if files > 1 else ''}; no metadata declares a distribution for it"
    )
    if lock:
        observed += f" ({lock} holds it as a dependency of another)"
    certain = "yes" if usual or known(shown.partition(".")[0]) else "no"
    return Finding(
        ID,
        shown,
        index.span(index.files[path], position),
        observed,
        f"a declared distribution such as {name}" if certain == "yes" else "a declared distribution that brings it",
        SEVERITY,
        f"import {shown}",
        (
            ("module", shown),
            ("distribution", name),
            ("certain", certain),
            ("locked", lock),
            ("files", "\n".join(dict.fromkeys(place[0] for place in places))),
        ),
    )
