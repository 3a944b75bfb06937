"""The executor of cloud runs on Pulumi: a stack's file becomes a program, a preview is a saved plan, steps are Google's own calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra import driver as engine_driver
from infra.adopt import BlindError, adopted, needed
from infra.config import PROJECT, ConfigError, StackDocument
from infra.driver import Driver, DriverError
from infra.errors import StepError
from infra.live import LiveError, reader
from infra.policies import broken, written
from infra.safety import ProductionError
from infra.steps import Steps
from regreen.cloud.executor import ExecutorError, Identity, Operation, Outcome, Preview
from regreen.facts.cloud.google import CloudError, Google

if TYPE_CHECKING:
    from infra.engine import Engine
    from regreen.environment import Environment
    from regreen.facts.cloud import Snapshot

#: Parts of the program that are no resource of any cloud.
_OURS: Final = "regreen:"
_MENDABLE: Final = (DriverError, ConfigError, CloudError, BlindError, LiveError, ProductionError, StepError)


class PulumiExecutor:
    """Implements `regreen.cloud.executor.Executor`. `variables` are what the engine and its plugins see of the environment;
    Google is called with this process's own credentials.
    """

    def __init__(
        self, environment: Environment, engine: Engine, folder: Path, variables: Mapping[str, str], google: Google
    ) -> None:
        self._environment, self._google = environment, google
        self._steps = Steps(google, environment, folder / "steps.json")
        labels = [value for _, value in environment.project.labels]
        self._driver = Driver(
            engine, folder / PROJECT, PROJECT, environment.stack.name, variables,
            config={"gcp:project": environment.project.id, "gcp:region": environment.project.region},
            max_changes=_without_limit(), labels=labels, secrets_provider=environment.stack.secrets_provider,
        )  # fmt: skip
        self._plans: dict[str, tuple[engine_driver.Preview, Callable[[], None]]] = {}

    def identify(self) -> Identity:
        name = f"projects/{self._environment.project.id}"
        with _said():
            body = self._google.call("cloudresourcemanager", "v3", "projects.get", name=name)
        labels = tuple(sorted((str(key), str(value)) for key, value in (body.get("labels") or {}).items()))
        return Identity(str(body.get("projectId", "")), str(body.get("name", "")).rpartition("/")[2], labels)

    def document(self, path: str, content: bytes) -> StackDocument:
        with _said():
            return StackDocument.parse(path, content)

    def adopts(self, environment: Environment) -> tuple[str, ...]:
        return needed(environment)

    def adopt(self, document: Any, snapshot: Snapshot, environment: Environment) -> bytes:
        with _said():
            return adopted(document, snapshot, environment)

    def adopted(self, document: Any) -> bytes:
        with _said():
            return bytes(document.edited([(("imports",), None)]))

    def preview(self, content: bytes) -> Preview:
        program = self._program(content)
        with _said():
            found = self._driver.preview(program)
        self._plans[found.digest] = (found, program)
        return self._shown(found, content)

    def apply(self, preview: Preview) -> Outcome:
        known = self._plans.get(preview.digest)
        if known is None:
            raise ExecutorError("this is not a plan that was previewed in this run; preview again")
        found, program = known
        with _said():
            done = self._driver.up(program, found)
        return Outcome(tuple(item for item in _operations(done.operations) if item.kind != "same"))

    def one_way(self, name: str) -> bool:
        return self._steps.one_way(name)

    def step(self, name: str) -> str:
        with _said():
            return self._steps.take(name)

    def unstep(self, name: str) -> str:
        with _said():
            return self._steps.take_back(name)

    def restore(self, content: bytes) -> Outcome:
        if not content.strip():
            return Outcome((), (self.abandon(),))
        program = self._program(content)
        with _said():
            found = self._driver.preview(program)
            gone = [item for item in found.operations if item.kind == "delete"]
            kept = [item for item in gone if not _is_grant(item.type)]
            evidence = []
            if kept:
                self._driver.forget([item.urn for item in kept])
                evidence = [
                    f"{item.type.rpartition(':')[2]} {item.name} stays, and is no longer in the stack" for item in kept
                ]
                found = self._driver.preview(program)
            grants = frozenset(item.urn for item in gone if _is_grant(item.type))
            done, said = self._put_back(program, found, grants)
        return Outcome(
            tuple(item for item in _operations(tuple(done)) if item.kind != "same"), (*evidence, *dict.fromkeys(said))
        )

    def _put_back(
        self, program: Callable[[], None], preview: engine_driver.Preview, allow: frozenset[str]
    ) -> tuple[list[engine_driver.Operation], list[str]]:
        """Apply an older state. It may be one that did not work then either (an image that is not there): what the engine
        complains of is passed on as evidence, as long as each round brings the live state nearer to it.
        """
        done: list[engine_driver.Operation] = []
        said: list[str] = []
        while True:
            try:
                return [*done, *self._driver.up(program, preview, allow=allow).operations], said
            except DriverError as error:
                again = self._driver.preview(program, refresh=True)
                if len(again.changes) >= len(preview.changes):
                    raise
                still = {item.urn for item in again.changes}
                done += [item for item in preview.changes if item.urn not in still]
                said.append(f"as it was before, it does not work: {error.first}")
                if not again.changes:
                    return done, said
                preview = again

    def abandon(self) -> str:
        with _said():
            return f"{self._driver.abandon()} resources were taken out of the stack, and live on as they are"

    def drift(self, content: bytes) -> tuple[Operation, ...]:
        """What other hands changed: the operations that would bring back what the file says. Changes nothing."""
        with _said():
            return _operations(self._driver.drift(self._program(content)))

    def heal(self, content: bytes) -> Preview:
        """A saved plan that brings back what the file says, whatever the engine remembers."""
        program = self._program(content)
        with _said():
            found = self._driver.preview(program, refresh=True)
        self._plans[found.digest] = (found, program)
        return self._shown(found, content)

    def _shown(self, found: engine_driver.Preview, content: bytes) -> Preview:
        """A plan as a run knows it, with the rules that it breaks."""
        values = StackDocument.parse(self._environment.stack.file, content).plain()
        against = broken((*found.planned, *written(values)))
        return Preview(found.digest, _operations(found.operations), content, str(found.plan), against)

    def export(self) -> dict[str, Any]:
        """The stack's state, secrets encrypted."""
        with _said():
            return self._driver.export()

    def _program(self, content: bytes) -> Callable[[], None]:
        from infra.program import build

        project = self._environment.project
        with _said():
            values = StackDocument.parse(self._environment.stack.file, content).plain()
        live = reader(self._google, project.id, project.region)
        return lambda: build({**values, "project": project.id, "region": project.region}, live)


class _said:  # noqa: N801 - reads as a word where it is used
    """Every error that a person can mend as the one error that a run knows."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _MENDABLE):
            raise ExecutorError(str(error)) from error


def _is_grant(kind: str) -> bool:
    """Whether a type is one member's grant: taking it away takes nothing from anybody else."""
    return kind.lower().endswith("iammember")


def _operations(found: tuple[engine_driver.Operation, ...]) -> tuple[Operation, ...]:
    """The driver's operations as a run knows them; components, which are no resource anywhere, are left out."""
    return tuple(
        Operation(item.kind, item.type, item.name, item.properties) for item in found if not item.type.startswith(_OURS)
    )


def _without_limit() -> int:
    """The run itself counts operations over all its remedies; the driver's own limit would only see one update."""
    return 10_000
