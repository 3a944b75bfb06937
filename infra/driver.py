"""Pulumi's engine, driven: previews that are saved plans, updates that do just that, drift, and what a killed run left behind.

No type of Pulumi's crosses this border. Nothing that Pulumi prints is passed on: errors are the engine's own diagnostics.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from infra.engine import Engine, numbers
from infra.policies import Planned
from infra.safety import refuse_production

if TYPE_CHECKING:
    import pulumi.automation as auto

Program = Callable[[], None]
#: Operations that lose something: a plan that holds one is never applied.
LOSING: Final = frozenset(
    {"delete", "replace", "create-replacement", "delete-replaced", "discard", "discard-replaced", "read-replacement",
     "import-replacement", "remove-pending-replace"}
)  # fmt: skip
_STILL: Final = frozenset({"same", "read", "refresh"})
_MARKUP: Final = re.compile(r"<\{%[^%]*%\}>")
_ROOT: Final = "pulumi:pulumi:Stack"
_NEVER: Final = datetime.fromtimestamp(0, UTC)


class DriverError(Exception):
    """The engine refused, or was refused; nothing that is not said here was changed."""

    @property
    def first(self) -> str:
        """The first complaint: what follows it in an update is mostly its consequence."""
        return str(self).split("; expected resource operations", 1)[0]


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: what (`create`, `update`, `import` …), the resource's type and name, its URN, and which properties change."""

    kind: str
    type: str
    name: str
    urn: str
    properties: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Access entries that are there and that the program does not declare: the update would take them away."""

    def __str__(self) -> str:
        changed = f" ({', '.join(self.properties)})" if self.properties else ""
        return f"{self.kind} {self.type} {self.name}{changed}"


@dataclass(frozen=True, slots=True)
class Preview:
    """A saved plan: its file, the digest of it, and the operations that it holds."""

    operations: tuple[Operation, ...]
    digest: str
    plan: Path
    planned: tuple[Planned, ...] = ()
    """Every resource as the plan leaves it, for the rules of `infra.policies`."""

    @property
    def changes(self) -> tuple[Operation, ...]:
        """The operations that change something: the stack's state or the cloud."""
        return tuple(item for item in self.operations if item.kind not in _STILL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update did."""

    operations: tuple[Operation, ...]


class Driver:
    """One stack of one project. `variables` are all that the engine and its plugins see of the environment on top of this
    process's own; `secrets_provider` is the URL of a key (`gcpkms://…`), else a passphrase. Raises ProductionError for names that look like production.
    """

    def __init__(
        self, engine: Engine, folder: Path, project: str, stack: str, variables: Mapping[str, str], *,
        config: Mapping[str, str] | None = None, max_changes: int = 100, labels: Sequence[str] = (), secrets_provider: str = "",
    ) -> None:  # fmt: skip
        refuse_production(project, stack, variables.get("GOOGLE_CLOUD_PROJECT", ""), *labels)
        self._engine, self._folder, self._project, self._stack = engine, folder, project, stack
        self._variables, self._config, self._max = dict(variables), dict(config or {}), max_changes
        self._secrets_provider = secrets_provider
        self._chosen: auto.Stack | None = None
        self._clean = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def preview(self, program: Program, *, refresh: bool = False) -> Preview:
        """A saved plan; changes nothing in the cloud. `refresh` first reads everything anew into the stack's state."""
        with self._locked("preview"):
            self._settle(program)
            return self._preview(program, refresh)

    def up(self, program: Program, preview: Preview, allow: Collection[str] = ()) -> Outcome:
        """Do just what a preview holds. Raises DriverError when it would lose something, is too much, or is not the saved one.

        `allow` are URNs that may be deleted all the same: grants that an undo takes away again.
        """
        self.admit(preview, allow)
        with self._locked("up"):
            self._clean = False  # until it went through: what is interrupted leaves operations behind
            if not preview.plan.is_file() or _digest(preview.plan) != preview.digest:
                raise DriverError(f"{preview.plan}: is not the plan that was previewed; preview again")
            seen, stack = _Seen(), self._select(program)
            with _said(seen):
                stack.up(plan=str(preview.plan), on_event=seen, suppress_progress=True, color="never")
            self._compare(preview, seen)
            self._clean = True
            return Outcome(tuple(seen.operations))

    def admit(self, preview: Preview, allow: Collection[str] = ()) -> None:
        """Raises DriverError for a plan that is never applied."""
        losing = [
            item
            for item in preview.operations
            if item.kind in LOSING and not (item.kind == "delete" and item.urn in allow)
        ]
        if losing:
            raise DriverError(f"the engine would {losing[0]}: nothing is ever replaced or deleted from here")
        lost = [(item, entry) for item in preview.operations for entry in item.lost]
        if lost:
            raise DriverError(
                f"{lost[0][0]} would take away the access entry {lost[0][1]}: declare it, or remove it by hand"
            )
        if len(preview.changes) > self._max:
            raise DriverError(
                f"{len(preview.changes)} changes are more than the limit of {self._max}; nothing was changed"
            )

    def refresh(self, program: Program) -> tuple[Operation, ...]:
        """Read everything anew into the stack's state; what differed."""
        with self._locked("refresh"):
            self._settle(program)
            return self._refresh(program)

    def drift(self, program: Program) -> tuple[Operation, ...]:
        """What was changed by other hands: the operations that would bring the program's state back. Changes nothing."""
        with self._locked("drift"):
            self._settle(program)
            seen = _Seen()
            with _said(seen):
                self._select(program).preview(refresh=True, on_event=seen, suppress_progress=True, color="never")
            return tuple(item for item in seen.last() if item.kind not in _STILL)

    def export(self) -> dict[str, Any]:
        """The stack's state, secrets encrypted."""
        deployment = self._select(_nothing).export_stack().deployment
        return dict(deployment or {})

    def pending(self) -> tuple[Operation, ...]:
        """Operations that a killed run began and nobody saw the end of."""
        found = self.export().get("pending_operations") or ()
        return tuple(_pending(item) for item in found)

    def forget(self, urns: Collection[str]) -> None:
        """Take some resources, and what lies below them, out of the stack's state; they live on."""
        import pulumi.automation as auto

        with self._locked("forget"):
            stack = self._select(_nothing)
            state = stack.export_stack()
            deployment = dict(state.deployment or {})
            gone = set(urns)
            kept = []
            for item in deployment.get("resources") or ():  # parents and dependencies come first in a state
                if item["urn"] in gone or item.get("parent") in gone:
                    gone.add(item["urn"])
                else:
                    kept.append(item)
            for item in kept:
                item["dependencies"] = [urn for urn in item.get("dependencies") or () if urn not in gone]
                for name, found in (item.get("propertyDependencies") or {}).items():
                    item["propertyDependencies"][name] = [urn for urn in found or () if urn not in gone]
            deployment["resources"] = kept
            stack.import_stack(auto.Deployment(version=state.version, deployment=deployment))

    def abandon(self) -> int:
        """Forget every resource and leave it alive; the opposite of adoption. How many there were."""
        import pulumi.automation as auto

        with self._locked("abandon"):
            stack = self._select(_nothing)
            state = stack.export_stack()
            deployment = dict(state.deployment or {})
            kept = [item for item in deployment.get("resources") or () if item.get("type") == _ROOT]
            gone = [
                item
                for item in deployment.get("resources") or ()
                if item.get("custom") and "pulumi:providers" not in item["type"]
            ]
            deployment |= {"resources": kept, "pending_operations": []}
            stack.import_stack(auto.Deployment(version=state.version, deployment=deployment))
            return len(gone)

    def _preview(self, program: Program, refresh: bool) -> Preview:
        if refresh:
            self._refresh(program)
        seen, plan = _Seen(), self._folder / f"{self._stack}.plan.json"
        plan.unlink(missing_ok=True)
        with _said(seen):
            self._select(program).preview(plan=str(plan), on_event=seen, suppress_progress=True, color="never")
        plan.chmod(0o600)
        return Preview(tuple(seen.operations), _digest(plan), plan, tuple(seen.planned.values()))

    def _refresh(self, program: Program) -> tuple[Operation, ...]:
        seen = _Seen()
        with _said(seen):
            self._select(program).refresh(on_event=seen, suppress_progress=True, color="never")
        return tuple(item for item in seen.operations if item.kind not in _STILL)

    def _settle(self, program: Program) -> None:
        """Bring a state that a killed run left behind in order: its lock, and creations of which nobody saw the end."""
        if self._clean:
            return
        stack = self._select(program)
        deployment = dict(stack.export_stack().deployment or {})
        found = deployment.get("pending_operations") or ()
        if not found:
            self._clean = True
            return
        command = ["refresh", "--yes", "--non-interactive", "--suppress-progress"]
        for item in found:
            if item["type"] == "creating" and (own := _address(item["resource"], self._variables)):
                command += ["--import-pending-creates", item["resource"]["urn"], "--import-pending-creates", own]
        for arguments in (command, [*command[:4], "--clear-pending-creates"]):
            done = self._run(arguments)
            if done.returncode == 0 and not (self.export().get("pending_operations") or ()):
                return
        left = ", ".join(str(_pending(item)) for item in found)
        raise DriverError(f"an interrupted run left {left}, and the engine could not resolve it; run `pulumi refresh`")

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._engine.pulumi, *arguments, "--stack", self._stack], cwd=self._folder, env={**os.environ, **self._variables},
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    def _compare(self, preview: Preview, seen: _Seen) -> None:
        planned = Counter((item.kind, item.urn) for item in preview.changes)
        done = Counter((item.kind, item.urn) for item in seen.operations if item.kind not in _STILL)
        if strange := done - planned:
            kind, urn = next(iter(strange))
            raise DriverError(f"the engine did what was not previewed: {kind} {urn.rpartition('::')[2]}")

    def _select(self, program: Program) -> auto.Stack:
        """The stack with a program in it. Selecting it and its settings take four starts of the engine: done once."""
        import pulumi.automation as auto

        if self._chosen is None:
            options = auto.LocalWorkspaceOptions(
                work_dir=str(self._folder),
                env_vars=self._variables,
                pulumi_command=_command(self._engine),
                secrets_provider=self._secrets_provider or None,
                project_settings=auto.ProjectSettings(name=self._project, runtime="python"),
            )
            with _said(_Seen()):
                stack = auto.create_or_select_stack(
                    self._stack, project_name=self._project, program=program, opts=options
                )
                if self._config:
                    stack.set_all_config({key: auto.ConfigValue(value) for key, value in self._config.items()})
            # What an update did is read from its events; asking for outputs and history would start the engine thrice.
            stack.outputs = dict  # type: ignore[method-assign]
            stack.info = _no_summary  # type: ignore[method-assign]
            self._chosen = stack
        self._chosen.workspace.program = program
        return self._chosen

    @contextlib.contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        lock = FileLock(self._folder / "driver.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise DriverError(f"{what}: another run works on stack {self._stack}; wait for it to end") from None
        try:
            # Whoever holds our lock is alone: an engine's own lock is one that a killed run left.
            for left in self._locks():
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _locks(self) -> list[Path]:
        backend = self._variables.get("PULUMI_BACKEND_URL", "")
        if not backend.startswith("file://"):
            return []
        return list(Path(backend.removeprefix("file://")).glob(f".pulumi/locks/*/{self._project}/{self._stack}/*.json"))


class _Seen:
    """The engine's events: operations in order, every resource as it will be, and what the engine complained of."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.planned: dict[str, Planned] = {}
        self.errors: list[str] = []

    def __call__(self, event: Any) -> None:
        if event.resource_pre_event is not None:
            data = event.resource_pre_event.metadata
            kind = str(getattr(data.op, "value", data.op))
            if data.type == _ROOT or data.type.startswith("pulumi:providers:"):
                return
            properties = tuple(data.detailed_diff or ()) or tuple(data.diffs or ())
            name = data.urn.rpartition("::")[2]
            self.operations.append(Operation(kind, data.type, name, data.urn, properties, _lost(data)))
            if data.new is not None:
                inputs, protect = data.new.inputs or {}, bool(data.new.protect)
                self.planned[data.urn] = Planned(kind, data.type, name, inputs, protect=protect)
        elif event.res_outputs_event is not None:
            self._note_outputs(event.res_outputs_event.metadata)
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self.errors.append(_MARKUP.sub("", event.diagnostic_event.message).strip())

    def _note_outputs(self, data: Any) -> None:
        """Outputs of components and of the stack itself: what a program shows on purpose."""
        if data.new is not None and not data.new.custom and data.new.outputs:
            known = self.planned.get(data.urn) or Planned("same", data.type, data.urn.rpartition("::")[2])
            self.planned[data.urn] = replace(known, outputs=data.new.outputs)

    def last(self) -> list[Operation]:
        """The last operation of each resource: a refresh is followed by what is to be done."""
        return list({item.urn: item for item in self.operations}.values())


@contextlib.contextmanager
def _said(seen: _Seen) -> Iterator[None]:
    """Errors of the engine in its own words, without its whole output (which could hold values)."""
    import pulumi.automation as auto

    # Where an update fails, the program's server is told to stop in the middle of a call and logs the trace of it.
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL)

    try:
        yield
    except auto.ConcurrentUpdateError:
        raise DriverError("another engine works on this stack; wait for it, or `pulumi cancel` if it is gone") from None
    except auto.CommandError as error:
        lines = seen.errors or [line for line in str(error).splitlines() if line.strip().startswith("error:")][:3]
        raise DriverError("; ".join(dict.fromkeys(lines)) or "the engine failed without a reason") from None


def _command(engine: Engine) -> Any:
    import pulumi.automation as auto
    from semver import VersionInfo

    class Command(auto.PulumiCommand):
        def __init__(self) -> None:
            self.command = engine.pulumi
            self.version = VersionInfo(*numbers(engine.version)[:3])

    return Command()


def _no_summary(*_: object, **__: object) -> auto.UpdateSummary:
    import pulumi.automation as auto

    return auto.UpdateSummary("update", _NEVER, "", {}, {}, "succeeded")


def _nothing() -> None:
    """The program of operations that run none."""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lost(data: Any) -> tuple[str, ...]:
    """Access entries of a dataset in the old inputs and not in the new ones."""
    from infra.types import types
    from infra.types.difference import entry_key

    old, new = (getattr(side, "inputs", None) or {} for side in (data.old, data.new))
    if (
        not any(spec.unordered and name == "accesses" for name, spec in _fields(types(), data.type))
        or "accesses" not in new
    ):
        return ()
    kept = {entry_key(item) for item in new.get("accesses") or ()}
    return tuple(json.dumps(item, sort_keys=True) for item in old.get("accesses") or () if entry_key(item) not in kept)


def _fields(table: Mapping[str, Any], token: str) -> Sequence[tuple[str, Any]]:
    return list(table[token].fields.items()) if token in table else []


def _pending(item: Mapping[str, Any]) -> Operation:
    resource = item["resource"]
    return Operation(str(item["type"]), resource["type"], resource["urn"].rpartition("::")[2], resource["urn"])


def _address(resource: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    """The id that a resource has if its creation went through; empty where it cannot be known."""
    from infra.types import types

    spec = types().get(resource["type"])
    inputs = {
        "project": variables.get("GOOGLE_CLOUD_PROJECT", ""),
        "region": variables.get("GOOGLE_REGION", ""),
        **(resource.get("inputs") or {}),
    }
    if spec is None or spec.member or "gcp:secretmanager/secretVersion" in spec.token or "dataflow" in spec.token:
        return ""
    with contextlib.suppress(KeyError):
        return re.sub(r"\{(\w+)\}", lambda found: str(inputs[found.group(1)]), spec.own)
    return ""


def plan_summary(preview: Preview) -> str:
    """A preview as JSON lines for people and journals; no values."""
    return "\n".join(
        json.dumps({"do": item.kind, "type": item.type, "name": item.name, "changes": item.properties})
        for item in preview.changes
    )
