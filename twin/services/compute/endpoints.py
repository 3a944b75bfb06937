"""Members of a network endpoint group: attach, detach, list.

https://cloud.google.com/compute/docs/reference/rest/v1/networkEndpointGroups
"""

from __future__ import annotations

from twin.kernel import standard
from twin.kernel.errors import invalid
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply

_FIELDS = ("instance", "ipAddress", "port", "fqdn")


def _identity(body: Body, endpoint: Body) -> tuple[object, ...]:
    port = endpoint.get("port") or body.get("defaultPort")
    return (
        endpoint.get("instance", "").rpartition("/")[2],
        endpoint.get("ipAddress", ""),
        port,
        endpoint.get("fqdn", ""),
    )


def _changed(call: Call, verb: str, endpoints: list[Body]) -> Body | Reply:
    new = {**call.need(), "~endpoints": endpoints, "size": len(endpoints)}
    call.put(call.name, new)
    call.announce("updated", call.name)
    return standard.finish(call, verb, new)


def attach(call: Call) -> Body | Reply:
    body = call.need()
    if body.get("networkEndpointType") == "SERVERLESS":
        raise invalid(
            "Invalid value for field 'networkEndpointGroup': ''. Endpoints cannot be attached to a serverless group."
        )
    known = list(body.get("~endpoints", ()))
    for given in call.body.get("networkEndpoints", []):
        endpoint = {field: given[field] for field in _FIELDS if field in given}
        if "ipAddress" not in endpoint and "fqdn" not in endpoint and "instance" not in endpoint:
            raise invalid(
                "Invalid value for field 'networkEndpoints': ''. An endpoint needs an instance, an ipAddress or an fqdn."
            )
        if body.get("defaultPort") and "port" not in endpoint:
            endpoint["port"] = body["defaultPort"]
        if _identity(body, endpoint) not in [_identity(body, other) for other in known]:
            known.append(endpoint)
    return _changed(call, "attachNetworkEndpoints", known)


def detach(call: Call) -> Body | Reply:
    body = call.need()
    known = list(body.get("~endpoints", ()))
    for given in call.body.get("networkEndpoints", []):
        matching = [item for item in known if _identity(body, item) == _identity(body, given)]
        if not matching:
            raise invalid(
                "Invalid value for field 'networkEndpoints': ''. The endpoint is not part of the network endpoint group."
            )
        known.remove(matching[0])
    return _changed(call, "detachNetworkEndpoints", known)


def listed(call: Call) -> Body:
    body = call.need()
    items = [{"networkEndpoint": endpoint} for endpoint in body.get("~endpoints", ())]
    kind = "compute#networkEndpointGroupsListNetworkEndpoints"
    return {"kind": kind, "id": call.name.partition("/")[2], **({"items": items} if items else {})}
