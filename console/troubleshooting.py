"""The troubleshooting guide, made from the error classes: what each means, what it says, what to do next."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Error classes that end a command with exit code 2, and the next step for each. Others are handled before anybody sees them.
NEXT: Final[Mapping[str, str]] = {
    "regreen.commands.UsageError": "Correct the argument that the message names; `invoke --help diagnose` lists a task's options.",
    "regreen.run.options.OptionError": "Correct the argument that the message names.",
    "regreen.tomlsource.SourceError": "Open the file at the line that the message names; environments/twin.toml and plan.toml show every field.",
    "regreen.plan.PlanError": "Correct plan.toml at the line that the message names; `invoke docs --check` reads it without running anything.",
    "regreen.policy.PolicyError": "Correct the table `[tool.regreen]` in the target's pyproject.toml.",
    "regreen.decisions.DecisionsError": "Correct decisions.toml at the line that the message names; docs/runs.md says what a decision holds.",
    "regreen.suppress.BaselineError": "Write the baseline anew with `invoke diagnose --baseline REASON`, or correct it by hand.",
    "regreen.apply.git.GitError": "Do what git asks for in the message; the target's own work tree was not touched.",
    "regreen.facts.scratch.ScratchError": "Take away what cannot be copied, or give a git repository as the target.",
    "regreen.lock.LockedError": "Wait for the other run. Where its process is gone, the next run takes the lock by itself.",
    "regreen.journal.JournalError": "Keep the damaged journal for whoever looks into it, restore it from a backup, or move the folder `.git/regreen` away and begin anew.",
    "regreen.run.codec.RecordError": "The record is of another version: use that version, or make the run anew with `invoke remediate --phase 1 --fresh`.",
    "regreen.facts.testrun.execute.InterpreterError": "Give `--python` the interpreter of the target's own environment, with pytest installed in it, or `--static-only`.",
    "regreen.facts.services.order.NeedsError": "Correct `needs` in the environment's `[[dependency]]` tables: no service may need itself.",
    "regreen.facts.cloud.google.CloudError": "For 401 and 403 look at the account (`gcloud auth list`) and its roles; for a time-out, at the network; then run the command again. On the twin: `invoke twin.up`.",
    "regreen.cloud.executor.ExecutorError": "Nothing beyond what the message says was changed. Look with `invoke infra.preview`, correct the stack's file, and try again.",
    "regreen.ratchet.history.HistoryError": "Give a revision that exists in this clone; on CI fetch the whole history (`fetch-depth: 0`).",
    "regreen.mutants.gate.MutantError": "Make the target's tests green without mutants first; give `--python` its interpreter.",
    "regreen.trends.history.HistoryError": "Record a history with `pytest -p regreen_history --history tests.sqlite`; docs/trends.md says how.",
    "regreen.alerts.config.ConfigError": "Correct alerts.toml at the line that the message names, or set the variable; docs/pipeline.md shows one.",
    "regreen.alerts.ledger.LedgerError": "Move the ledger away: what is open is told anew.",
    "regreen.export.markdown.MarkdownError": "Give the JUnit file that the gate wrote: build/gates holds one for each stage.",
    "regreen.export.trace.ExportError": "Start the collector, or correct `--endpoint`: it is the address without `/v1/traces`.",
    "infra.engine.EngineError": "Get the engine with `invoke setup`; it says what is missing.",
    "infra.adopt.BlindError": "Give the account the right to list what the message names, then `invoke infra.adopt` again.",
    "infra.config.ConfigError": "Correct the stack's file where the message points to; `invoke infra.preview` reads it without changing anything.",
    "infra.driver.DriverError": "Nothing beyond what the message says was changed. `invoke infra.preview` shows what the engine would do now.",
    "infra.errors.StepError": "Do what the message asks for, then run the phase again: what was done is not done twice.",
    "infra.live.LiveError": "Look at the resource: somebody removed what the stack leaves as it is. `invoke infra.drift` shows the rest.",
    "infra.safety.ProductionError": "Nothing was done. Regreen never changes what looks like production: correct project, stack and label in the environment file.",
    "twin.process.TwinError": "Stop what is left with `invoke twin.down` or `invoke staging.down`, and start again.",
}  # fmt: skip
_PLACEHOLDER: Final = "…"
_INTRODUCTION: Final = """\
# Troubleshooting

<!-- Written by `invoke docs` from the error classes. -->

A command that ends with exit code 2 prints one line, `error: …`, and has changed nothing beyond what that line says. Search this page for its words; `…` stands for
what differs from case to case. Exit code 1 is no error: something was found, or could not be verified. Exit code 3 is a bug of Regreen's own: please report the text above it.

| what you see | what it is | next |
| --- | --- | --- |
| a check is `UNKNOWN` | it could not look: the note says why | give it what it needs; UNKNOWN opens no gate |
| a gate is `FAIL`, with open questions | a person must decide | answer them in decisions.toml ([runs.md](runs.md)), then run the phase again |
| a stage of `nox` is red | the stages after it did not run | `nox --no-dependencies -s unit` runs one stage alone; JUnit is in `build/gates` |
| a test is red only sometimes | `flaky` in the history | `invoke trends` names it; [trends.md](trends.md) |
| a failure of category `infrastructure` | refused, reset, timed out, 502 to 504 | `invoke status` says where the trouble begins |
| a failure of category `data` | something did not decode or validate | look at the record that the message names |
| staging does not come up, or something of it is left | | `invoke staging.down`, then `invoke staging.up`; ports and processes are taken back |
| what runs on the cloud is not what the stack's file says | drift | `invoke infra.drift`, then `invoke infra.drift --heal` |
| a deployment is red | | `invoke undo --run RUN`, or `invoke infra.restore --stack OLDER` |

## Errors
"""


@dataclass(slots=True)
class Found:
    """One error class: what it means, and the messages that it is raised with."""

    name: str
    meaning: str
    messages: set[str] = field(default_factory=set)


def page(root: Path) -> str:
    """The guide. KeyError for an error class of NEXT that there is not."""
    found = errors(root)
    parts = [_INTRODUCTION]
    for name in sorted(NEXT, key=lambda each: (each.split(".")[0] != "regreen", each)):
        each = found[name]
        module, _, short = name.rpartition(".")
        parts.append(f"### {short} ({module})\n\n{each.meaning}\n\n**Next:** {NEXT[name]}\n")
        if each.messages:
            parts.append("\n".join(f"- {_code(message)}" for message in sorted(each.messages)) + "\n")
    return "\n".join(parts)


def _code(message: str) -> str:
    mark = "``" if "`" in message else "`"
    space = " " if mark == "``" else ""
    return f"{mark}{space}{message}{space}{mark}"


def errors(root: Path) -> dict[str, Found]:
    """Every error class of our own packages by its full name, read without importing anything."""
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for place in ("regreen", "infra", "twin", "console", "tasks.py")
        for path in ([root / place] if place.endswith(".py") else sorted((root / place).rglob("*.py")))
    }
    found: dict[str, Found] = {}
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and any(_is_error(base) for base in node.bases):
                name = f"{_module(path, root)}.{node.name}"
                found[name] = Found(name, _first_paragraph(ast.get_docstring(node) or ""))
    for path, tree in trees.items():
        known = _seen_from(tree, _module(path, root), found)
        for raised, message in _raised(tree):
            if known.get(raised) in found:
                found[known[raised]].messages.add(message)
    return found


def _is_error(base: ast.expr) -> bool:
    name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
    return name.endswith(("Error", "Exception"))


def _module(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _seen_from(tree: ast.Module, module: str, found: Mapping[str, Found]) -> dict[str, str]:
    """Names as this module uses them → error classes: its own, imported ones (from a package that re-exports them, too), and
    names that only one class has.
    """
    bare = Counter(name.rpartition(".")[2] for name in found)
    names = {name.rpartition(".")[2]: name for name in found if bare[name.rpartition(".")[2]] == 1}
    names |= {name.rpartition(".")[2]: name for name in found if name.rpartition(".")[0] == module}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                for name in found:
                    if name.startswith(f"{node.module}.") and name.endswith(f".{alias.name}"):
                        names[alias.asname or alias.name] = name
    return names | {"fail": "regreen.tomlsource.SourceError"}


def _raised(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Class name and message of every `raise Name(…)`, and of `raise table.fail(…)`, whose message stands in the text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        called = node.exc.func
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        for argument in node.exc.args:
            message = _message(argument)
            if len(re.sub(rf"[\W{_PLACEHOLDER}]", "", message)) > 8:
                yield name, message


def _message(node: ast.expr) -> str:
    """The text of a message; what is put into it is `…`."""
    if isinstance(node, ast.Constant):
        text = node.value if isinstance(node.value, str) else ""
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else _PLACEHOLDER for part in node.values)
    else:
        return ""
    return " ".join(text.split())
