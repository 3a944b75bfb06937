"""What a run needs of whoever changes a cloud. `infra` implements it with Pulumi; tests with a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud import Snapshot
    from regreen.facts.cloud.stack import StackFile

#: Operations that lose something; a preview that holds one is never applied.
LOSING: Final = frozenset(
    {"delete", "replace", "create-replacement", "delete-replaced", "discard", "import-replacement"}
)


class ExecutorError(Exception):
    """The engine, the plan or the environment refused; nothing that is not said here was changed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the environment says of itself, live: the project's id, number and labels."""

    project: str
    number: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a preview: what (`create`, `update`, `import` …), the type, the name, and which properties change."""

    kind: str
    type: str
    name: str
    properties: tuple[str, ...] = ()

    def __str__(self) -> str:
        changed = f" ({', '.join(self.properties)})" if self.properties else ""
        return f"{self.kind} {self.type.rpartition(':')[2]} {self.name}{changed}"


@dataclass(frozen=True, slots=True)
class Preview:
    """A saved plan. `digest` names exactly what `apply` would do; `content` is the stack file that it was made from."""

    digest: str
    operations: tuple[Operation, ...]
    content: bytes
    plan: str = ""
    against: tuple[str, ...] = ()
    """The rules that the plan breaks, in words: one that breaks any is never applied."""

    @property
    def changes(self) -> tuple[Operation, ...]:
        """The operations that would change something."""
        return tuple(item for item in self.operations if item.kind not in ("same", "read", "refresh"))

    @property
    def losing(self) -> tuple[Operation, ...]:
        """The operations that would lose something."""
        return tuple(item for item in self.operations if item.kind in LOSING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, and one line of evidence for each effect. Prior live values stand in the older stack file."""

    operations: tuple[Operation, ...]
    evidence: tuple[str, ...] = ()


class Executor(Protocol):
    """Plans, applies and takes back changes of one environment. All its errors are ExecutorError."""

    def identify(self) -> Identity:
        """The live project, read now."""

    def document(self, path: str, content: bytes) -> StackFile:
        """The stack's configuration. Raises ExecutorError for a file that cannot be used."""

    def adopts(self, environment: Environment) -> tuple[str, ...]:
        """The kinds of resources that adoption must have read."""

    def adopt(self, document: StackFile, snapshot: Snapshot, environment: Environment) -> bytes:
        """The file with every live resource of the environment taken over as it is; import options included."""

    def adopted(self, document: StackFile) -> bytes:
        """The file of an adoption that went through, without import options."""

    def preview(self, content: bytes) -> Preview:
        """A saved plan for a stack file; changes nothing."""

    def apply(self, preview: Preview) -> Outcome:
        """Do just what the preview says. Raises ExecutorError where the engine wants anything else."""

    def step(self, name: str) -> str:
        """Take a step that no stack can: `reencrypt-table:market.trades`. One line of evidence."""

    def unstep(self, name: str) -> str:
        """Take such a step back. Raises ExecutorError where that cannot be done, and says so before doing anything."""

    def drift(self, content: bytes) -> tuple[Operation, ...]:
        """What would bring back what a stack file says, after everything was read anew; changes nothing."""

    def one_way(self, name: str) -> bool:
        """Whether a step can never be taken back."""

    def restore(self, content: bytes) -> Outcome:
        """Back to an older file: settings as it says; what it does not know leaves the stack and lives on, except grants
        to a member, which are taken away again. An empty file: the stack forgets everything, and everything lives on.
        """


def refusal(identity: Identity, environment: Environment) -> str:
    """Why this environment may not be changed; empty where it may. Absent and unreadable count as different."""
    from regreen.environment import looks_like_production

    project = environment.project
    if identity.project != project.id:
        return f"the live project is {identity.project!r}, the environment file names {project.id!r}"
    if not identity.number or (project.number and identity.number != project.number):
        seen = identity.number or "unreadable"
        return f"the project's number is {seen}, the environment file allows {project.number or 'none'}: other credentials?"
    labels = dict(identity.labels)
    for key, value in project.labels:
        if labels.get(key) != value:
            return f"the project does not carry the label {key}={value} (it has {labels.get(key, 'none')!r})"
    bad = looks_like_production(identity.project, environment.stack.name, *labels.values())
    return f"{bad!r} looks like production" if bad else ""


def too_much(preview: Preview, limit: int, allowed: Sequence[str] = ("create", "update", "import")) -> str:
    """Why a preview may not be applied; empty where it may."""
    if preview.against:
        return f"the plan breaks a rule: {'; '.join(preview.against)}"
    if preview.losing:
        return f"the engine would {preview.losing[0]}: nothing is ever replaced or deleted from here"
    strange = [item for item in preview.changes if item.kind not in allowed]
    if strange:
        return f"the engine would {strange[0]}; only {', '.join(allowed)} are allowed here"
    if len(preview.changes) > limit:
        return f"{len(preview.changes)} operations are more than the stack's limit of {limit} (max_changes)"
    return ""
