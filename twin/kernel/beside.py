"""The verbs beside the standard ones: listings over all scopes, settings of which there is one, waiting for operations."""

from __future__ import annotations

import copy

from twin.kernel import operations
from twin.kernel.filters import compile_filter
from twin.kernel.masks import overlay
from twin.kernel.names import last, relative
from twin.kernel.semantics import Call
from twin.kernel.standard import check_marks, refresh_marks, require_parents, resource_shape, store_update, visible
from twin.kernel.types import Body, Reply


def aggregated(call: Call) -> Body:
    """compute's listing over all scopes: `items` maps `regions/us-central1` to a scoped list."""
    project, word = call.project, last(call.name)
    # The aggregated path is projects/{project}/aggregated/{collection}; scopes live beside `aggregated`.
    text = str(call.params.get("filter", ""))
    keep = compile_filter(text) if text else None
    items: Body = {}
    field = "globalForwardingRules" if word == "globalForwardingRules" else word
    for collection in call.engine.store.collections(f"compute/projects/{project}/", field):
        scope = "/".join(relative(collection).split("/")[2:-1])
        found = [visible(call, name, body) for name, body in call.children(collection)]
        if keep is not None:
            found = [body for body in found if keep(body)]
        if found:
            items[scope] = {field: found}
    kind = call.method.document.schemas[call.method.response]["properties"]["kind"].get("default", "")
    return {
        "kind": kind,
        "id": f"projects/{project}/aggregated/{word}",
        "items": items,
        "selfLink": f"{operations.COMPUTE_BASE}projects/{project}/aggregated/{word}",
    }


def get_single(call: Call) -> Body:
    """Settings of which there is exactly one: before anybody changed them they only have a name."""
    require_parents(call, call.name)
    body = call.get(call.name) or _fresh_single(call)
    return visible(call, call.name, body)


def _fresh_single(call: Call) -> Body:
    properties = resource_shape(call.method).get("properties", {})
    body: Body = {"name": relative(call.name)} if "name" in properties else {}
    refresh_marks(call, body)
    return body


def wait_operation(call: Call) -> Body | Reply:
    """An operation when it is done, or after the time that is left."""
    reply = Reply(body=operations.seen(call.need(), "~"))
    reply.delay = call.engine.settings.operation_seconds
    return reply


def cancel_operation(call: Call) -> Body:
    """Operations of the twin have taken effect when they are answered: cancelling comes too late, and is no error."""
    call.need()
    return {}


def update_single(call: Call) -> Body | Reply:
    require_parents(call, call.name)
    old = call.get(call.name) or _fresh_single(call)
    check_marks(call, old)
    new = overlay(old, call.body, call.mask) if call.mask else {**old, **copy.deepcopy(call.body)}
    return store_update(call, old, new, "update")


VERBS = {
    "aggregated": aggregated,
    "get_single": get_single,
    "update_single": update_single,
    "wait_operation": wait_operation,
    "cancel_operation": cancel_operation,
}
