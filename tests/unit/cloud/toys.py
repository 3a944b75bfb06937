"""A toy cloud in a JSON file, an executor that changes it, and toy checks and remedies: everything else is real.

Services are maps of settings. The file outlives a killed process, as a cloud does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infra.config import StackDocument
from regreen.cloud import (
    CloudCatalogue,
    Executor,
    ExecutorError,
    Identity,
    Operation,
    Outcome,
    Preview,
    remediate_cloud,
)
from regreen.environment import Environment, parse_environment
from regreen.facts.cloud import Collection, Measurement, Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.facts.cloud.reading import finding, verdict
from regreen.facts.cloud.snapshot import Body
from regreen.model import Finding, Proposal, Risk, Safety, Severity, Undo, Verdict
from regreen.plan import Plan, parse_plan
from regreen.run.options import Options
from regreen.run.record import RunRecord
from tests.unit.run.toys import options, repository

FILE: Final = "infra/Pulumi.toy.yaml"
TYPE: Final = "gcp:cloudrunv2/service:Service"
SERVICES: Final[Mapping[str, dict[str, Any]]] = {
    "api": {"minInstances": 0, "requestTimeout": 5, "image": "api:1"},
    "web": {"minInstances": 1, "requestTimeout": 300, "image": "web:1"},
}
LABELS: Final = (("environment", "staging"),)


def environment(kind: str = "twin", max_changes: int = 5, windows: Sequence[str] = ()) -> Environment:
    """An environment with two services."""
    listed = ", ".join(f'"{window}"' for window in windows)
    text = f"""
schema = 1
name = "toy"
kind = "{kind}"
change_windows = [{listed}]
[project]
id = "toy-staging"
number = "7"
labels = {{ environment = "staging" }}
region = "us-central1"
[stack]
name = "toy"
file = "{FILE}"
max_changes = {max_changes}
[[service]]
name = "api"
[[service]]
name = "web"
"""
    return parse_environment("toy.toml", text.encode())


@dataclass
class Cloud:
    """What is there (`live`), what the engine holds in its state (`managed`), and every effect in order (`done`)."""

    path: Path

    @classmethod
    def made(cls, path: Path, services: Mapping[str, dict[str, Any]] = SERVICES) -> Cloud:
        """A new cloud with some services."""
        cloud = cls(path)
        cloud.write({"live": dict(services), "managed": {}, "done": [], "blind": [], "measured": {}})
        return cloud

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def write(self, data: Mapping[str, Any]) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(data, sort_keys=True))
        part.replace(self.path)

    @property
    def live(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.read()["live"]
        return found

    @property
    def done(self) -> list[str]:
        found: list[str] = self.read()["done"]
        return found

    def set(self, **values: Any) -> None:
        """Set parts of the file: `live`, `blind`, `measured`."""
        self.write({**self.read(), **values})

    def by_hand(self, name: str, **settings: Any) -> None:
        """Somebody changes a service behind the stack's back."""
        data = self.read()
        data["live"].setdefault(name, {}).update(settings)
        self.write(data)

    def look(self, kinds: Sequence[str], experiments: Sequence[str]) -> Snapshot:
        """What a collector would read."""
        data = self.read()
        collections = {
            kind: Collection(error="403: not allowed")
            if kind in data["blind"]
            else Collection(data["live"] if kind == "run.services" else {})
            for kind in kinds
        }
        measured = {name: Measurement(**data["measured"].get(name, {"error": "not tried"})) for name in experiments}
        return Snapshot("toy-staging", "7", "now", collections, measured)


@dataclass
class Engine:
    """Changes the toy cloud as Pulumi would. `breaks` holds words for what is to fail: `preview`, `apply`, `step NAME`."""

    cloud: Cloud
    checkpoint: Callable[[str], None] = lambda _: None
    breaks: dict[str, str] = field(default_factory=dict)
    identity: Identity = Identity("toy-staging", "7", LABELS)  # noqa: RUF009 - frozen
    replaces: tuple[str, ...] = ("account",)
    strange: tuple[Operation, ...] = ()
    """Operations that are in every preview as well."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """Rules against words in the stack's file."""
    _plans: dict[str, list[Operation]] = field(default_factory=dict)

    def identify(self) -> Identity:
        return self.identity

    def document(self, path: str, content: bytes) -> StackFile:
        return StackDocument.parse(path, content)

    def adopts(self, environment: Environment) -> tuple[str, ...]:
        return ("run.services",)

    def adopt(self, document: StackFile, snapshot: Snapshot, environment: Environment) -> bytes:
        trouble = snapshot.trouble("run.services")
        if trouble:
            raise ExecutorError(f"nothing was taken over: {trouble}")
        # A flag is what only steps can set; no stack holds it.
        services = {
            name: {key: value for key, value in body.items() if key != "flag"}
            for name, body in snapshot.of("run.services")
        }
        values: list[tuple[tuple[str, ...], Any]] = [(("services", name), body) for name, body in services.items()]
        return document.edited([*values, (("imports",), {f"services/{name}": name for name in services})])

    def adopted(self, document: StackFile) -> bytes:
        return document.edited([(("imports",), None)])

    def preview(self, content: bytes) -> Preview:
        self._fail("preview")
        found = [*self._plan(content), *self.strange]
        digest = hashlib.sha256(content + repr(found).encode()).hexdigest()
        self._plans[digest] = found
        against = tuple(rule for word, rule in self.rules.items() if word.encode() in content)
        return Preview(digest, tuple(found), content, against=against)

    def apply(self, preview: Preview) -> Outcome:
        assert preview.digest in self._plans, "only what was previewed is applied"
        return Outcome(tuple(self._do(item, preview.content) for item in preview.changes))

    def step(self, name: str) -> str:
        self._fail(f"step {name}")
        self._note(f"step {name}")
        return f"took {name}"

    def unstep(self, name: str) -> str:
        assert not self.one_way(name)
        self._note(f"unstep {name}")
        return f"took {name} back"

    def one_way(self, name: str) -> bool:
        return name.startswith("burn:")

    def restore(self, content: bytes) -> Outcome:
        if not content.strip():
            data = self.cloud.read()
            count = len(data["managed"])
            self.cloud.write({**data, "managed": {}, "done": [*data["done"], f"forget {count}"]})
            return Outcome((), (f"{count} resources were taken out of the stack",))
        plan = self._plan(content)
        evidence = []
        for item in plan:
            if item.kind == "delete":
                data = self.cloud.read()
                del data["managed"][item.name]
                self.cloud.write(data)
                evidence.append(f"{item.name} stays")
        changes = [item for item in plan if item.kind not in ("same", "delete")]
        return Outcome(tuple(self._do(item, content) for item in changes), tuple(evidence))

    def drift(self, content: bytes) -> tuple[Operation, ...]:
        wanted, live = _services(content), self.cloud.live
        return tuple(
            Operation("update" if name in live else "create", TYPE, name, _differing(wanted[name], live.get(name, {})))
            for name in wanted
            if wanted[name] != live.get(name)
        )

    def _plan(self, content: bytes) -> list[Operation]:
        wanted, data = _services(content), self.cloud.read()
        imports = StackDocument.parse(FILE, content).get("imports", default={})
        found = []
        for name, settings in wanted.items():
            held = data["managed"].get(name)
            differing = _differing(settings, held if held is not None else data["live"].get(name, {}))
            if held is None:
                taken = f"services/{name}" in imports
                found.append(
                    Operation("import" if taken else "create", TYPE, name, differing if taken else tuple(settings))
                )
            elif not differing:
                found.append(Operation("same", TYPE, name))
            else:
                kind = "replace" if set(differing) & set(self.replaces) else "update"
                found.append(Operation(kind, TYPE, name, differing))
        return found + [Operation("delete", TYPE, name) for name in data["managed"] if name not in wanted]

    def _do(self, item: Operation, content: bytes) -> Operation:
        assert item.kind in ("create", "update", "import"), f"{item} must never be applied"
        self.checkpoint(f"before {item}")
        self._fail(f"apply {item.name}")
        data, settings = self.cloud.read(), _services(content)[item.name]
        if item.kind == "create" and item.name in data["live"]:
            raise ExecutorError(f"409: {item.name} is there already")
        if item.kind != "import":
            flag = {key: value for key, value in data["live"].get(item.name, {}).items() if key == "flag"}
            data["live"][item.name] = {**settings, **flag}
        data["managed"][item.name] = settings
        self.cloud.write({**data, "done": [*data["done"], str(item)]})
        self.checkpoint(f"after {item}")
        return item

    def _note(self, what: str) -> None:
        self.checkpoint(f"before {what}")
        data = self.cloud.read()
        _, kind, rest = what.replace(":", " ").split(" ")
        if kind == "flag":
            data["live"][rest]["flag"] = "on" if what.startswith("step") else "off"
        self.cloud.write({**data, "done": [*data["done"], what]})
        self.checkpoint(f"after {what}")

    def _fail(self, what: str) -> None:
        for point, words in self.breaks.items():
            if what == point or what.startswith(point + " "):
                raise ExecutorError(words)


def _services(content: bytes) -> dict[str, dict[str, Any]]:
    found = StackDocument.parse(FILE, content).plain().get("services") or {}
    return {name: dict(settings) for name, settings in found.items()}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(key for key in {*one, *other} if one.get(key) != other.get(key)))


@dataclass
class Wants:
    """Every service but one has a setting at a value; `measures` makes it look at an experiment as well."""

    setting: str
    value: Any
    measures: str = ""
    skips: str = ""
    ID: str = field(init=False)
    SEVERITY: Severity = Severity.ERROR
    SOURCE: str = "docs/none"
    READS: Sequence[str] = ("run.services",)
    MEASURES: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.ID = f"staging.{self.setting}"
        self.MEASURES = (self.measures,) if self.measures else ()

    def judge(self, snapshot: Snapshot, environment: Environment, /) -> Verdict:
        """One finding for each service where it is another."""
        found = [
            finding(self.ID, Severity.ERROR, "run", name, f"/{self.setting}", str(body.get(self.setting)), str(self.value))
            for name, body in snapshot.of("run.services")
            if body.get(self.setting) != self.value and name != self.skips
        ]  # fmt: skip
        return verdict(self.ID, snapshot, self.READS, len(snapshot.of("run.services")), found)


@dataclass
class Sets:
    """Sets the setting. `value` may be the wrong one; `more` are settings that it changes besides; `steps` go after."""

    setting: str
    value: Any
    more: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[str] = ()
    makes: str = ""
    """A service that it adds."""
    removes: str = ""
    refuses: str = ""
    forgets: bool = False
    breaks: str = ""
    ID: str = field(init=False)
    CHECKS: Sequence[str] = field(init=False)
    SAFETY: Safety = Safety.SAFE
    UNDO: Undo = Undo.FORWARD
    RISK: Risk = Risk.LOW

    def __post_init__(self) -> None:
        self.ID = f"staging.set-{self.setting}"
        self.CHECKS = (f"staging.{self.setting}",)

    def propose(
        self, findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment, /
    ) -> Proposal:
        """One change for all services."""
        if self.breaks:
            raise KeyError(self.breaks)
        if self.forgets:
            return Proposal()
        held, refused = missing(stack, "services", self.ID, findings)
        left = [item for item in held if item.get("resource") == self.refuses]
        held = [item for item in held if item not in left]
        values: list[tuple[tuple[str, ...], Any]] = []
        for item in held:
            name = item.get("resource")
            values += [
                (("services", name, key), value) for key, value in {self.setting: self.value, **self.more}.items()
            ]
        if self.makes:
            values.append((("services", self.makes), {"image": "new:1"}))
        if self.removes:
            values.append((("services", self.removes), None))
        said = tuple(refuse(self.ID, item, "it is odd", "look at it") for item in left)
        return joined(
            change(self.ID, stack, f"{self.setting} of {len(held)}", held, values, "the policy", self.steps),
            refused, Proposal((), said),
        )  # fmt: skip


CHECKS: Sequence[Wants] = (Wants("minInstances", 1), Wants("requestTimeout", 300))
REMEDIES: Sequence[Sets] = (Sets("minInstances", 1), Sets("requestTimeout", 300))
HEALTHY: Mapping[str, Body] = {
    "api": {"minInstances": 1, "requestTimeout": 300, "image": "api:1"},
    "web": {"minInstances": 1, "requestTimeout": 300, "image": "web:1"},
}


def plan(remedies: Sequence[Sets], checks: Sequence[Wants]) -> Plan:
    """One phase with all of them."""
    text = f"""
schema = 1
[[phase]]
number = 3
title = "Settings"
risk = "low"
max_changes = 100
max_files = 100
remedies = [{", ".join(f'"{item.ID}"' for item in remedies)}]
gate = [{", ".join(f'"{item.ID}"' for item in checks)}]
"""
    return parse_plan("plan.toml", text.encode(), [item.ID for item in checks], [item.ID for item in remedies])


@dataclass
class Stage:
    """A target, a cloud, and what runs on them."""

    folder: Path
    remedies: Sequence[Sets] = REMEDIES
    checks: Sequence[Wants] = CHECKS
    services: Mapping[str, dict[str, Any]] = field(default_factory=lambda: SERVICES)
    environment: Environment = field(default_factory=environment)
    files: Mapping[str, str] = field(default_factory=lambda: {"README.md": "a target\n"})
    engine: Engine = field(init=False)
    cloud: Cloud = field(init=False)
    target: Path = field(init=False)

    def __post_init__(self) -> None:
        self.target = self.folder / "target"
        self.cloud = Cloud(self.folder / "cloud.json")
        if not self.target.exists():  # a stage may be set up anew on what is there
            repository(self.target, self.files)
            Cloud.made(self.cloud.path, self.services)
        self.engine = Engine(self.cloud)

    def options(self, **more: Any) -> Options:
        return options(self.folder, **more)

    def run(self, *, engine: bool = True, no_engine: str = "", **more: Any) -> RunRecord:
        """One run of the phase; the record of it."""
        executor: Executor | None = self.engine if engine else None
        catalogue = CloudCatalogue(self.checks, self.remedies)
        record, _ = remediate_cloud(
            self.target, plan(self.remedies, self.checks), 3, catalogue, self.environment, executor, self.cloud.look,
            self.options(**more), no_engine,
        )  # fmt: skip
        return record

    @property
    def state(self) -> Path:
        """Where the journal lies."""
        return self.target / ".git" / "regreen"
