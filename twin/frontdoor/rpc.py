"""The gRPC face: a call is transcoded to its REST twin by the rules that the official client itself carries.

The wheels hold no service protos, but each client's transports know the request and response types and the HTTP rules
(google.api.http, https://cloud.google.com/endpoints/docs/grpc/transcoding).
"""

# ruff: noqa: ARG002, ARG005 - the signature is the caller's

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import grpc  # type: ignore[import-untyped]
from google.api_core import path_template
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]
from google.longrunning import operations_pb2  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format
from google.rpc import status_pb2  # type: ignore[import-untyped]

from twin.kernel.engine import Engine
from twin.kernel.names import snake
from twin.kernel.types import Body, Reply, Request

Answer = Callable[[Request, str], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Rpc:
    """One gRPC method: its messages, its HTTP rules, its host."""

    request: Any
    response: Any
    rules: tuple[dict[str, str], ...]
    host: str


class _Recorder(grpc.Channel):  # type: ignore[misc]
    """Stands in for a channel to see which types a transport binds to which path."""

    def __init__(self) -> None:
        self.bound: dict[str, tuple[Any, Any]] = {}

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *rest: Any, **more: Any
    ) -> Any:
        self.bound[method] = (_owner(request_serializer), _owner(response_deserializer))
        return lambda *args, **kwargs: None

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return lambda *inner, **more: None

    stream_unary = stream_stream = unary_stream

    def subscribe(self, *args: Any, **kwargs: Any) -> None: ...

    def unsubscribe(self, *args: Any, **kwargs: Any) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, *args: Any) -> None: ...


def _owner(function: Any) -> Any:
    """The message class that a bound (de)serializer belongs to; protobuf's own class for proto-plus wrappers."""
    # Never `__objclass__`: for a plain protobuf class that is the base Message, and making one of those crashes the process.
    owner = getattr(function, "__self__", None)
    return owner.pb() if owner is not None and hasattr(owner, "pb") else owner


# Plain protobuf requests, whose serializer does not lead back to their class.
_PLAIN = {
    "GetIamPolicy": iam_policy_pb2.GetIamPolicyRequest,
    "SetIamPolicy": iam_policy_pb2.SetIamPolicyRequest,
    "TestIamPermissions": iam_policy_pb2.TestIamPermissionsRequest,
}


@cache
def lookup(path: str) -> Rpc | None:
    """The method behind `/google.cloud.kms.v1.KeyManagementService/Encrypt`; None when no installed client knows it."""
    service, _, method = path.lstrip("/").partition("/")
    package, _, name = service.rpartition(".")
    match = re.fullmatch(r"google\.cloud\.(.+)\.(v\d\w*)", package)
    if match is None:
        return None
    folder = f"google.cloud.{match[1]}_{match[2]}.services.{snake(name[0].lower() + name[1:])}.transports"
    try:
        transport: Any = importlib.import_module(folder + ".grpc")
        rest: Any = importlib.import_module(folder + ".rest_base")
    except ImportError:
        return None
    cls = getattr(transport, f"{name}GrpcTransport", None)
    base = getattr(rest, f"_Base{name}RestTransport", None)
    options = getattr(base, f"_Base{method}", None)
    if cls is None or options is None:
        return None
    recorder = _Recorder()
    bound = cls(channel=recorder)
    # The transport wraps its channel in an interceptor that binds lazily; ask the recorder directly.
    bound._logged_channel = recorder
    bound._stubs.clear()
    getattr(bound, snake(method[0].lower() + method[1:]))
    request, response = recorder.bound.get("/" + path.lstrip("/"), (None, None))
    request = request or _PLAIN.get(method)
    if request is None or response is None:
        return None
    return Rpc(request, response, tuple(options._get_http_options()), str(bound.host).partition(":")[0])


def to_request(rpc: Rpc, message: Any) -> Request:
    """The REST request that means the same as a protobuf message. ValueError when no rule fits."""
    transcode: Any = path_template.transcode
    found = transcode(list(rpc.rules), message=message)
    body = b""
    if found.get("body") is not None:
        body = json_format.MessageToJson(found["body"]).encode()
    query: list[tuple[str, str]] = []
    if found.get("query_params") is not None:
        _flatten(json_format.MessageToDict(found["query_params"]), "", query)
    uri = quote(found["uri"], safe="/:@~$&'()*+,;=-._")
    return Request(found["method"].upper(), rpc.host, uri, tuple(query), {}, body)


def _flatten(value: Any, prefix: str, into: list[tuple[str, str]]) -> None:
    if isinstance(value, dict):
        for key, element in value.items():
            _flatten(element, f"{prefix}.{key}" if prefix else key, into)
    elif isinstance(value, list):
        for element in value:
            _flatten(element, prefix, into)
    else:
        into.append((prefix, json.dumps(value) if isinstance(value, bool) else str(value)))


_IAM = "/google.iam.v1.IAMPolicy/"
_LRO = "/google.longrunning.Operations/"


class RpcFace(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Serves every unary method that an installed client knows; streams are UNIMPLEMENTED."""

    def __init__(self, engine: Engine, answer: Answer, principal_of: Callable[[str], str]) -> None:
        self._engine = engine
        self._answer = answer
        self._principal_of = principal_of

    def service(self, details: Any) -> Any:
        path = details.method

        async def serve(raw: bytes, context: Any) -> bytes:
            return await self._serve(path, raw, context)

        return grpc.unary_unary_rpc_method_handler(serve)

    async def _serve(self, path: str, raw: bytes, context: Any) -> bytes:
        rpc, request = self._decode(path, raw)
        if rpc is None or request is None:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"The twin does not implement {path} over gRPC. See docs/twin.md."
            )
            raise AssertionError("unreachable")
        metadata = dict(context.invocation_metadata() or ())
        principal = self._principal_of(str(metadata.get("authorization", "")))
        reply = await self._answer(request, principal)
        if reply.status >= 400:
            await _abort(context, reply)
        message = rpc.response()
        json_format.ParseDict(reply.body or {}, message, ignore_unknown_fields=True)
        data: bytes = message.SerializeToString()
        return data

    def _decode(self, path: str, raw: bytes) -> tuple[Rpc | None, Request | None]:
        if path.startswith((_IAM, _LRO)):
            return self._shared(path, raw)
        rpc = lookup(path)
        if rpc is None:
            return None, None
        message = rpc.request()
        message.ParseFromString(raw)
        try:
            return rpc, to_request(rpc, message)
        except ValueError:
            return None, None

    def _shared(self, path: str, raw: bytes) -> tuple[Rpc | None, Request | None]:
        """Services that every API mixes in; the resource's own path says which API is meant."""
        method = path.rpartition("/")[2]
        known: dict[str, tuple[Any, Any]] = {
            "GetIamPolicy": (iam_policy_pb2.GetIamPolicyRequest, policy_pb2.Policy),
            "SetIamPolicy": (iam_policy_pb2.SetIamPolicyRequest, policy_pb2.Policy),
            "TestIamPermissions": (iam_policy_pb2.TestIamPermissionsRequest, iam_policy_pb2.TestIamPermissionsResponse),
            "GetOperation": (operations_pb2.GetOperationRequest, operations_pb2.Operation),
            "DeleteOperation": (operations_pb2.DeleteOperationRequest, empty_pb2.Empty),
        }
        if method not in known:
            return None, None
        message = known[method][0]()
        message.ParseFromString(raw)
        rpc = Rpc(*known[method], (), "")
        name = message.name if path.startswith(_LRO) else message.resource
        api = self._owner_of(name)
        version = "v2" if api == "run" else "v1"
        host = f"{api}.googleapis.com"
        if path.startswith(_LRO):
            verb = "GET" if method == "GetOperation" else "DELETE"
            return rpc, Request(verb, host, f"/{version}/{name}")
        body: Body = json_format.MessageToDict(message)
        body.pop("resource", None)
        custom = method[0].lower() + method[1:]
        if method == "GetIamPolicy" and api != "cloudresourcemanager":
            return rpc, Request("GET", host, f"/{version}/{name}:{custom}")
        return rpc, Request("POST", host, f"/{version}/{name}:{custom}", (), {}, json.dumps(body).encode())

    def _owner_of(self, name: str) -> str:
        """The API that holds a resource or operation of this name."""
        for api in ("cloudkms", "run", "secretmanager", "redis", "cloudresourcemanager"):
            if f"{api}/{name}" in self._engine.store:
                return api
        return "cloudkms"


async def _abort(context: Any, reply: Reply) -> None:
    error = (reply.body or {}).get("error", {})
    status = error.get("status", "UNKNOWN")
    code = grpc.StatusCode.__members__.get(status, grpc.StatusCode.UNKNOWN)
    message = str(error.get("message", ""))
    detail = status_pb2.Status(code=code.value[0], message=message)
    for entry in error.get("details", []):
        packed = detail.details.add()
        try:
            json_format.ParseDict(entry, packed)
        except (json_format.ParseError, TypeError):
            del detail.details[-1]
    await context.abort(code, message, (("grpc-status-details-bin", detail.SerializeToString()),))


async def open_server(face: RpcFace, certificate: bytes, key: bytes) -> tuple[Any, int]:
    """A gRPC server on a loopback port of its own; (server, port)."""
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", 64 * 2**20), ("grpc.so_reuseport", 0)))
    server.add_generic_rpc_handlers((face,))
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return server, port
