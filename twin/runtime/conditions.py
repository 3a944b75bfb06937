"""What the runtime writes into Cloud Run's records: a revision and its service are Ready when they really are.

https://cloud.google.com/run/docs/reference/rest/v2/Condition
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from twin.kernel.engine import Engine
from twin.kernel.names import collection_of, last, relative
from twin.kernel.types import Body, Context, rfc3339

_NEVER = "9999-12-31T23:59:59Z"
_FAILED = 9
_NOT_FOUND = 5
_DENIED = 7


def is_ready(revision: Body | None) -> bool:
    return revision is not None and revision.get("conditions", [{}])[0].get("state") == "CONDITION_SUCCEEDED"


def last_ready(engine: Engine, service: str) -> str:
    """The canonical name of the newest revision that is ready; '' when there is none."""
    found = [
        (body["createTime"], name) for name, body in engine.store.children(f"{service}/revisions") if is_ready(body)
    ]
    return max(found)[1] if found else ""


def unproven(engine: Engine, revision: str) -> None:
    """A new revision is not ready before an instance of it was."""
    engine.transact(lambda context: _mark(engine, context, revision, "CONDITION_RECONCILING", ""))


def pending(engine: Engine, service: str) -> None:
    """The latest revision is on its way: it is not ready, and the operation that made it is not done."""

    def work(context: Context) -> None:
        body = copy.deepcopy(engine.store.get(service))
        if body is None:
            return
        created = f"run/{body['latestCreatedRevision']}"
        _mark(engine, context, created, "CONDITION_RECONCILING", "")
        ready = last_ready(engine, service)
        body["latestReadyRevision"] = relative(ready)
        if not ready:
            del body["latestReadyRevision"]
        body["observedGeneration"] = str(int(body["generation"]) - 1) if int(body["generation"]) > 1 else "0"
        body["reconciling"] = True
        _state(context, body, "CONDITION_RECONCILING", "")
        engine.store.put(service, body)
        operation = _operation(engine, service)
        if operation:
            held = copy.deepcopy(engine.store.get(operation) or {})
            held["~done_at"], held["~service"] = _NEVER, service
            engine.store.put(operation, held)

    engine.transact(work)


def ready(engine: Engine, service: str, revision: str) -> None:
    """The revision serves."""
    _settled(engine, service, revision, "CONDITION_SUCCEEDED", "")


def failed(engine: Engine, service: str, revision: str, why: str) -> None:
    """The revision does not serve; the one before it goes on."""
    message = f"Revision '{last(revision)}' is not ready and cannot serve traffic. {why}"
    _settled(engine, service, revision, "CONDITION_FAILED", message)


def _settled(engine: Engine, service: str, revision: str, state: str, message: str) -> None:
    def work(context: Context) -> None:
        body = copy.deepcopy(engine.store.get(service))
        if body is None:
            return
        if revision in engine.store:
            _mark(engine, context, revision, state, message)
        if body["latestCreatedRevision"] != relative(revision):
            return
        if not message:
            body["latestReadyRevision"] = relative(revision)
        body["observedGeneration"] = body["generation"]
        body.pop("reconciling", None)
        _state(context, body, state, message)
        engine.store.put(service, body)
        _finish_operations(engine, service, body, message)

    engine.transact(work)


def _state(context: Context, body: Body, state: str, message: str) -> None:
    stamp = rfc3339(context.now)
    routes = state if "latestReadyRevision" not in body or state == "CONDITION_RECONCILING" else "CONDITION_SUCCEEDED"
    body["terminalCondition"] = _condition("Ready", state, message, stamp)
    body["conditions"] = [
        _condition("RoutesReady", routes, message if routes == "CONDITION_FAILED" else "", stamp),
        _condition("ConfigurationsReady", state, message, stamp),
    ]


def _condition(kind: str, state: str, message: str, stamp: str) -> Body:
    found: Body = {"type": kind, "state": state, "lastTransitionTime": stamp}
    if message:
        found["message"] = message
        found["severity"] = "ERROR"
    return found


def _mark(engine: Engine, context: Context, revision: str, state: str, message: str) -> None:
    body = copy.deepcopy(engine.store.get(revision))
    if body is None:
        return
    kinds = [item["type"] for item in body["conditions"]]
    body["conditions"] = [_condition(kind, state, message, rfc3339(context.now)) for kind in kinds]
    body["updateTime"] = rfc3339(context.now)
    engine.store.put(revision, body)


def _operations(engine: Engine, service: str, keep: Callable[[Body], bool]) -> list[str]:
    place = collection_of(collection_of(service))
    return [name for name, body in engine.store.children(f"{place}/operations") if keep(body)]


def _operation(engine: Engine, service: str) -> str:
    """The newest operation on the service."""
    wanted = relative(service)
    found = _operations(
        engine, service, lambda body: body.get("metadata", {}).get("name") == wanted and "~settled" not in body
    )
    return found[-1] if found else ""


def _finish_operations(engine: Engine, service: str, body: Body, message: str) -> None:
    shown = {key: value for key, value in body.items() if key[0] != "~"}
    shown["template"] = {key: value for key, value in shown["template"].items() if key[0] != "~"}
    for name in _operations(engine, service, lambda held: held.get("~service") == service):
        operation = copy.deepcopy(engine.store.get(name) or {})
        del operation["~service"]
        operation["~done_at"], operation["~settled"] = "", True
        operation["metadata"] = {"@type": operation["metadata"]["@type"], **shown}
        if message:
            operation.pop("response", None)
            operation["error"] = {"code": _code(message), "message": message}
        else:
            operation["response"] = {"@type": operation["response"]["@type"], **shown}
        engine.store.put(name, operation)


def _code(message: str) -> int:
    """google.rpc.Code by cause; the numbers are assumed from public reports, the sentences are Cloud Run's."""
    if message.endswith("not found."):
        return _NOT_FOUND
    return _DENIED if "Permission denied" in message else _FAILED
