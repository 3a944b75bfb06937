"""getIamPolicy, setIamPolicy, testIamPermissions on any resource (https://google.aip.dev/130)."""

from __future__ import annotations

from twin.kernel import standard
from twin.kernel.names import collection_of
from twin.kernel.semantics import Call
from twin.kernel.types import Body


def get_policy(call: Call) -> Body:
    require_resource(call)
    return call.engine.policies.read(call.name)


def set_policy(call: Call) -> Body:
    require_resource(call)
    policy = call.body.get("policy", {}) if call.method.request.endswith("SetIamPolicyRequest") else call.body
    if call.method.request.endswith("SetPolicyRequest"):
        policy = call.body.get("policy") or {key: call.body[key] for key in ("bindings", "etag") if key in call.body}
    return call.engine.policies.write(call.name, policy, call.now)


def test_permissions(call: Call) -> Body:
    wanted = call.body.get("permissions") or call.params.get("permissions") or []
    wanted = [wanted] if isinstance(wanted, str) else wanted
    policies = call.engine.policies
    held = [item for item in wanted if policies.allowed(call.context.principal, item, call.name, call.now)]
    return {"permissions": held} if held else {}


def require_resource(call: Call) -> None:
    """The resource whose policy is meant must exist, where the API can create it at all."""
    name = call.name
    if tuple(call.method.collection) in call.engine.creatable(call.method.document) and name not in call.engine.store:
        raise call.engine.missing(name)
    standard.require_parents(call, collection_of(name))


VERBS = {
    "get_policy": get_policy,
    "set_policy": set_policy,
    "test_permissions": test_permissions,
}
