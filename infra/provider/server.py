"""The provider as the engine sees it: gRPC in, the generic resource out. The first line on standard output is the port."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto import provider_pb2_grpc as services

from infra.provider.member import Member
from infra.provider.resource import RefusedError, Resource, Settings
from infra.provider.rest import CallError, Rest
from infra.types import known
from infra.types.shape import UNKNOWN, same

_DIFF: Final = messages.DiffResponse
_KINDS: Final = {
    ("add", False): messages.PropertyDiff.ADD, ("add", True): messages.PropertyDiff.ADD_REPLACE,
    ("delete", False): messages.PropertyDiff.DELETE, ("delete", True): messages.PropertyDiff.DELETE_REPLACE,
    ("update", False): messages.PropertyDiff.UPDATE, ("update", True): messages.PropertyDiff.UPDATE_REPLACE,
}  # fmt: skip
_SECRET: Final = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the wire format's own mark of a secret, not one


def plain(value: Any) -> Any:
    """A value out of the engine's form: whole numbers as integers, secrets without their wrapper (the engine keeps those)."""
    if isinstance(value, Mapping):
        if _SECRET in value:
            return plain(value.get("value", value.get("path") and value))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def inputs_of(sent: struct_pb2.Struct) -> dict[str, Any]:
    found = plain(json_format.MessageToDict(sent))
    return {key: value for key, value in found.items() if not key.startswith("__") and value is not None}


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(dict(values))
    return made


class Provider(services.ResourceProviderServicer):
    """The rehearsal provider. What is not here is answered UNIMPLEMENTED by the stubs."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._settings = Settings()
        self._rest: Rest | None = None
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the stub's names
        return messages.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.GetSchemaResponse(
            schema='{"name": "gcp", "description": "Rehearsal on a twin; not the real provider."}'
        )

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _DIFF(changes=_DIFF.DIFF_NONE)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        values = {key.rpartition(":")[2]: value for key, value in request.variables.items()}
        if request.HasField("args"):
            values |= {key: value for key, value in inputs_of(request.args).items() if isinstance(value, str)}
        values.setdefault("project", os.environ.get("GOOGLE_CLOUD_PROJECT", ""))
        self._settings = Settings(
            {
                key: value
                for key, value in values.items()
                if key in ("project", "region", "zone") and value and value != UNKNOWN
            }
        )
        return messages.ConfigureResponse(
            supportsPreview=True, acceptSecrets=False, acceptResources=False, supports_autonaming_configuration=False
        )

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        resource = self._resource(request.urn, context)
        failures = [
            messages.CheckFailure(
                property=name, reason=f"{name} must be given: the rehearsal provider makes up no names"
            )
            for name in resource.missing(inputs_of(request.news))
        ]
        return messages.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        resource = self._resource(request.urn, context)
        old = inputs_of(request.old_inputs if request.HasField("old_inputs") else request.olds)
        new = inputs_of(request.news)
        ignored = set(request.ignoreChanges)
        found = [item for item in resource.difference(old, new) if not _ignored(item.path, ignored)]
        return _DIFF(
            changes=_DIFF.DIFF_SOME if found else _DIFF.DIFF_NONE,
            replaces=[item.path for item in found if item.replaces],
            diffs=list(dict.fromkeys(item.top for item in found)),
            detailedDiff={
                item.path: messages.PropertyDiff(kind=_KINDS[item.kind, item.replaces], inputDiff=True)
                for item in found
            },
            hasDetailedDiff=True,
            deleteBeforeReplace=True,
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        resource, inputs = self._resource(request.urn, context), inputs_of(request.properties)
        if request.preview:
            return messages.CreateResponse(id="", properties=struct(resource.planned(inputs)))
        try:
            own, state = resource.create(inputs)
        except (CallError, RefusedError, ValueError, OSError) as error:
            return self._failed(context, f"creating {_name(request.urn)}", error)
        return messages.CreateResponse(id=own, properties=struct(state))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        resource = self._resource(request.urn, context)
        try:
            found = resource.read(request.id, inputs_of(request.inputs))
        except (CallError, RefusedError, ValueError) as error:
            return self._failed(context, f"reading {request.id}", error)
        if found is None:
            return messages.ReadResponse()
        own, inputs, state = found
        return messages.ReadResponse(id=own, inputs=struct(inputs), properties=struct(state))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        resource = self._resource(request.urn, context)
        old = inputs_of(request.old_inputs if request.HasField("old_inputs") else request.olds)
        new = inputs_of(request.news)
        if request.preview:
            return messages.UpdateResponse(properties=struct({**inputs_of(request.olds), **new}))
        try:
            state = resource.update(request.id, old, new)
        except (CallError, RefusedError, ValueError) as error:
            return self._failed(context, f"updating {request.id}", error)
        return messages.UpdateResponse(properties=struct(state))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        resource = self._resource(request.urn, context)
        try:
            resource.delete(
                request.id, inputs_of(request.old_inputs if request.HasField("old_inputs") else request.properties)
            )
        except (CallError, RefusedError) as error:
            return self._failed(context, f"deleting {request.id}", error)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.tok == "gcp:organizations/getProject:getProject":
            name = inputs_of(request.args).get("projectId") or self._settings.values.get("project", "")
            found = self._session(context).call(
                "GET", f"https://cloudresourcemanager.googleapis.com/v1/projects/{name}"
            )
            answer = {
                "id": f"projects/{name}",
                "projectId": name,
                "name": found.get("name", ""),
                "number": str(found["projectNumber"]),
            }
            return messages.InvokeResponse(**{"return": struct(answer)})  # type: ignore[arg-type]
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not part of the rehearsal provider")
        raise AssertionError("abort raises")

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """An engine that found this provider running (PULUMI_DEBUG_PROVIDERS) says where it is; nothing here asks it anything."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def _resource(self, urn: str, context: grpc.ServicerContext) -> Resource:
        token = urn.split("::")[2].rpartition("$")[2]
        try:
            spec = known(token)
        except LookupError as error:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error.args[0]))
            raise AssertionError("abort raises") from error
        kind = Member if spec.member else Resource
        return kind(spec, self._session(context), self._settings)

    def _session(self, context: grpc.ServicerContext) -> Rest:
        with self._lock:
            if self._rest is None:
                if not os.environ.get("REGREEN_TWIN"):
                    context.abort(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        "this is the rehearsal provider: it works on a twin only (REGREEN_TWIN is not set)",
                    )
                self._rest = Rest()
            return self._rest

    def _failed(self, context: grpc.ServicerContext, what: str, error: Exception) -> Any:
        codes = {
            404: grpc.StatusCode.NOT_FOUND,
            403: grpc.StatusCode.PERMISSION_DENIED,
            409: grpc.StatusCode.ALREADY_EXISTS,
        }
        code = (
            codes.get(error.code, grpc.StatusCode.UNKNOWN)
            if isinstance(error, CallError)
            else grpc.StatusCode.FAILED_PRECONDITION
        )
        context.abort(code, f"{what}: {error}")


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _ignored(path: str, ignored: set[str]) -> bool:
    return any(same(path, name) or path.startswith((name + ".", name + "[")) for name in ignored)


def main() -> int:
    """Serve on a free loopback port until the engine goes away."""
    ended = threading.Event()
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 400 * 1024 * 1024)])
    services.add_ResourceProviderServicer_to_server(Provider(os.environ.get("REGREEN_PLUGIN_VERSION", "0.0.0")), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(port, flush=True)
    parent = os.getppid()
    while not ended.wait(1.0):
        if os.getppid() != parent:
            break
    server.stop(1.0).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
