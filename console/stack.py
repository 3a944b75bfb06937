"""The stack of an environment by hand: take over what is live, preview, apply, look for drift. Works on the file in the target's folder."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from console.cloud import open_place
from console.places import Place
from regreen.cloud.executor import ExecutorError, Operation, Preview, refusal, too_much
from regreen.commands import FINDINGS, OK, UsageError

if TYPE_CHECKING:
    from infra.executor import PulumiExecutor
    from regreen.environment import Environment


def adopt(environment: Environment, target: Path) -> int:
    """Write the live resources into the stack's file, as they are, with import options; preview it; change nothing else.

    Exit code 1 where taking over would change something: then the file is written, and the reasons stand below.
    """
    path = target / environment.stack.file
    with open_place(environment, engine=True, start=False) as place:
        executor = _executor(place)
        document = executor.document(environment.stack.file, _content(path))
        snapshot = place.read(executor.adopts(environment), ())
        content = executor.adopt(document, snapshot, environment)
        preview = executor.preview(content)
    _write(path, content)
    changes = [item for item in preview.changes if item.kind != "import" or item.properties]
    print(f"{path}: {len(preview.changes) - len(changes)} live resources to import, as they are")
    _list(changes)
    if changes:
        print("taking over would change the above: correct the file, then `invoke infra.preview`")
        return FINDINGS
    print(f"next: invoke infra.up --environment {environment.name}")
    return OK


def preview(environment: Environment, target: Path) -> int:
    """What the stack's file would change, and the name to approve it by. Exit code 1 for a plan that is never applied."""
    with open_place(environment, engine=True, start=False) as place:
        found = _executor(place).preview(_desired(target / environment.stack.file))
    print(f"plan: {agreement(found)}")
    return _told(found, environment)


def agreement(found: Preview) -> str:
    """The name of a plan, the same wherever and whenever it is made: the stack file's content, and every operation."""
    told = sorted(str(item) for item in found.operations)
    return hashlib.sha256(found.content + "\0".join(told).encode()).hexdigest()[:16]


def up(environment: Environment, target: Path, *, yes: bool, plan: str = "") -> int:
    """Preview, and apply just that; then drop the import options of what was adopted. Asks first, except with `yes`.

    `plan` is the name of the plan that somebody approved: any other plan is not applied (exit code 1).
    """
    path = target / environment.stack.file
    with open_place(environment, engine=True, start=False) as place:
        executor = _executor(place)
        content = _desired(path)
        found = executor.preview(content)
        if (code := _told(found, environment)) != OK:
            return code
        if plan and plan != agreement(found):
            print(f"nothing was changed: this is plan {agreement(found)}, not {plan}; look at it, and approve it anew")
            return FINDINGS
        if found.changes:
            _admit(executor, environment)
            if not yes and not plan and not _agreed(environment):
                print("nothing was changed")
                return FINDINGS
            done = executor.apply(found)
            print(f"done: {len(done.operations)} operations")
        settled = executor.adopted(executor.document(environment.stack.file, content))
        if settled != content:
            again = executor.preview(settled)
            if again.changes:
                raise ExecutorError(f"a second preview still holds {again.changes[0]}; the import options stay")
            _write(path, settled)
            print(f"{path}: import options dropped; a second preview is empty")
    return OK


def drift(environment: Environment, target: Path, *, heal: bool) -> int:
    """What other hands changed since. Exit code 1 where there is drift; with `heal` it is taken back first."""
    with open_place(environment, engine=True, start=False) as place:
        executor = _executor(place)
        content = _desired(target / environment.stack.file)
        found = executor.drift(content)
        _list(found)
        if not found:
            print(f"{environment.name} is as {environment.stack.file} says")
            return OK
        if not heal:
            print(f"{len(found)} operations would bring {environment.name} back: add --heal")
            return FINDINGS
        _admit(executor, environment)
        healing = executor.heal(content)
        why = too_much(healing, environment.stack.max_changes)
        if why:
            raise ExecutorError(f"nothing was changed: {why}")
        executor.apply(healing)
        left = executor.drift(content)
        _list(left)
        print(f"healed: {len(healing.changes)} operations" if not left else f"{len(left)} operations are left")
        return FINDINGS if left else OK


def restore(environment: Environment, older: Path) -> int:
    """Back to an older stack file: what it does not know leaves the stack and lives on. Raises what the engine refuses."""
    content = _desired(older)
    with open_place(environment, engine=True, start=False) as place:
        executor = _executor(place)
        _admit(executor, environment)
        done = executor.restore(content)
    _list(done.operations)
    for line in done.evidence:
        print(f"  {line}")
    print(f"{environment.name} is back at {older}")
    return OK


def variables(environment: Environment) -> int:
    """Print what a shell needs so that the `pulumi` command works on the environment's own stack."""
    before = dict(os.environ)
    with open_place(environment, engine=True, start=False) as place:
        _executor(place)
        found = place.variables
    # The provider that this command started ends with it: the shell's engine starts its own.
    for name, value in sorted(found.items()):
        if before.get(name) != value and name != "PULUMI_DEBUG_PROVIDERS":
            print(f"export {name}={shlex.quote(value)}")
    return OK


def _executor(place: Place) -> PulumiExecutor:
    if place.executor is None:
        raise UsageError(place.no_engine)
    return place.executor


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _desired(path: Path) -> bytes:
    content = _content(path)
    if not content:
        raise UsageError(f"{path}: there is no such file; `invoke infra.adopt` writes it from what is live")
    return content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)


def _admit(executor: PulumiExecutor, environment: Environment) -> None:
    why = refusal(executor.identify(), environment)
    if why:
        raise ExecutorError(f"nothing was changed in {environment.name}: {why}")


def _told(found: Preview, environment: Environment) -> int:
    _list(found.changes)
    same = len(found.operations) - len(found.changes)
    print(f"{len(found.changes)} changes, {same} resources as they are")
    why = too_much(found, environment.stack.max_changes)
    if why:
        print(f"never applied: {why}")
        return FINDINGS
    return OK


def _list(operations: Iterable[Operation]) -> None:
    for item in operations:
        print(f"  {item}")


def _agreed(environment: Environment) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--yes: nobody is here to be asked; add it to apply the plan above")
    return input(f"apply this to {environment.name} ({environment.project.id})? [y/N] ").strip().lower() in ("y", "yes")
