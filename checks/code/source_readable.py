"""Every Python file can be read, decoded, parsed and compiled.

A file that does not parse hides every other fault in it, and one such module can keep a whole suite from being
collected. The error's own line is often not its cause: a damaged string delimiter surfaces lines later. Files are
read with the grammar of the Python that runs the check; what only a newer or an older Python accepts is said to be so.
Errors that only the compiler finds (`await` outside `async def`) count too: `ast.parse` accepts them.
"""

from __future__ import annotations

from typing import Final

from regreen.facts.source import Index, Interests
from regreen.facts.source.syntax import GRAMMAR
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.source-readable"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.python.org/3/reference/lexical_analysis.html"
INTERESTS: Final = Interests()

_EXPECTED: Final = {
    "io": "a file that can be opened",
    "nul": "text without NUL bytes",
    "encoding": "text in the encoding that the file declares (PEP 263), UTF-8 by default",
    "conflict": "a resolved merge",
    "python-2": "Python 3 source",
    "template": "a name that does not end in .py (.py.j2, say), or the file named in `exclude`",
    "notebook": "a notebook (.ipynb), or Python without magics",
    "too-large": "source small enough to be parsed, or the file named in `exclude`",
}
_NOTES: Final = frozenset(
    {"too-large", "newer-python", "template", "notebook"}
)  # true for this run, no fault of the file

EXAMPLES: Final = (
    Example("a string that is never closed", {"a.py": 'x = ""Text."\n'}, fires=1),
    Example("merge conflict markers", {"a.py": "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> topic\n"}, fires=1),
    Example("await outside an async function", {"a.py": "def f(g):\n    await g()\n"}, fires=1),
    Example("return at the top level", {"a.py": "return 1\n"}, fires=1),
    Example(
        "a value returned from an async generator", {"a.py": "async def f():\n    yield 1\n    return 2\n"}, fires=1
    ),
    Example("nonlocal at the top level", {"a.py": "nonlocal x\n"}, fires=1),
    Example("Python 2", {"a.py": "print 'hello'\n"}, fires=1),
    Example("break outside a loop", {"a.py": "if True:\n    break\n"}, fires=1),
    Example(
        "a template under a .py name",
        {"a.py": "class {{ name }}:\n    {% if x %}\n    y = 1\n    {% endif %}\n"},
        fires=1,
    ),
    Example("an exported notebook", {"a.py": "# In[1]:\n%matplotlib inline\nx = 1\n"}, fires=1),
    Example("braces that are valid Python", {"a.py": 'x = f"{{ {1} }}"\ny = {"a": {"b"}}\n'}),
    Example("an empty file", {"a.py": ""}),
    Example("quoted conflict markers", {"a.py": 'x = """\n<<<<<<< HEAD\n=======\n>>>>>>> b\n"""\n'}),
    Example("await inside an async function", {"a.py": "async def f(g):\n    return [await x for x in g]\n"}),
    Example("no newline at the end", {"a.py": "x = 1"}),
    Example("await in a string", {"a.py": "def f():\n    return 'await nothing'\n"}),
)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per file that could not be read."""
    findings = []
    for file in index.files.values():
        if file.error is None:
            continue
        kind, message, line, column = file.error
        findings.append(
            index.finding(
                ID,
                Severity.NOTE if kind in _NOTES else SEVERITY,
                file,
                (line, column, line, column) if line else (),
                observed=message,
                expected=_EXPECTED.get(kind, f"source that Python {GRAMMAR} compiles"),
                snippet=f"{kind}: {message}",
                data={"kind": kind},
            )
        )
    note = f"read with the grammar of Python {GRAMMAR}"
    if index.left_out:
        note += f"; {len(index.left_out)} Python files in backup, vendored or environment folders were left out"
    return Verdict.of(ID, len(index.files), findings, note)
