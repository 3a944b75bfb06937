"""The graph that a Pulumi program declares, seen at the engine's door: the SDK is real, the engine is its own mock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor

from infra.program import build

#: What the engine itself shows in the place of a secret.
HIDDEN = "[secret]"
PROJECT, REGION = "staging-twin", "us-central1"


@dataclass(frozen=True)
class Made:
    """One resource as it was registered. `after` are the names of what it depends on, `parent` its parent's name."""

    type: str
    name: str
    inputs: dict[str, Any]
    protect: bool
    import_id: str
    ignores: tuple[str, ...]
    after: frozenset[str]
    parent: str


@dataclass
class Engine(pulumi.runtime.Mocks):
    """Answers as an engine would: outputs are the inputs, and what only the cloud can know."""

    made: list[Made] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        known = {"uri": f"https://{args.name}.example"} if args.typ.endswith(":Service") else {}
        return args.name, {**args.inputs, **known}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program must not ask for anything while it is planned: {args.token}")


class Door(MockMonitor):
    """Notes every registration with the options that mocks do not show."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._engine = engine

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        if request.type != "pulumi:pulumi:Stack":
            self._engine.made.append(
                Made(
                    request.type, request.name, _plain(MessageToDict(request.object)), request.protect, request.importId,
                    tuple(request.ignoreChanges), frozenset(map(_named, request.dependencies)), _named(request.parent),
                )
            )  # fmt: skip
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the same
        self._engine.outputs[_named(request.urn)] = _plain(MessageToDict(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def _named(urn: str) -> str:
    return urn.rpartition("::")[2]


def _plain(value: Any) -> Any:
    """Inputs as the engine shows them: whole numbers are whole, secrets are hidden."""
    if isinstance(value, Mapping):
        if rpc._special_sig_key in value:
            return HIDDEN
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@contextlib.contextmanager
def _loops() -> Iterator[None]:
    """The SDK makes event loops, in this thread and in its own, and closes none; another test may have left none behind."""
    made: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def kept() -> asyncio.AbstractEventLoop:
        made.append(new_event_loop())
        return made[-1]

    with mock.patch.object(asyncio, "new_event_loop", kept):
        asyncio.set_event_loop(kept())
        try:
            yield
        finally:
            asyncio.set_event_loop(None)
            for loop in made:
                loop.close()


def registered(declare: Callable[[], object]) -> Engine:
    """Run a program and give what the engine was told. Raises what the program raises."""
    engine = Engine()
    with _loops():
        pulumi.runtime.set_mocks(engine, project="regreen-staging", stack="twin", monitor=Door(engine))

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def program() -> None:
            declare()

        program()
    return engine


class Graph:
    """What a program declared, by type and name."""

    def __init__(self, declare: Callable[[], object]) -> None:
        engine = registered(declare)
        self.made = engine.made
        self.outputs = engine.outputs

    @classmethod
    def of(cls, **sections: Any) -> Graph:
        """The graph of the staging program on some sections of a stack's configuration."""
        return cls(lambda: build({"project": PROJECT, "region": REGION, **sections}))

    def types(self) -> list[str]:
        """The types of everything that is no component, in the order of declaration."""
        return [item.type for item in self.made if item.type.startswith("gcp:")]

    def all(self, type_: str) -> list[Made]:
        """Every resource whose type ends so: `CryptoKey`."""
        return [item for item in self.made if item.type.rpartition(":")[2] == type_]

    def one(self, type_: str) -> Made:
        """The only resource of a type."""
        (found,) = self.all(type_)
        return found
