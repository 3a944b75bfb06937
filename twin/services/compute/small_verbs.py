"""Compute's many verbs that set, add or remove one thing of a resource.

https://cloud.google.com/compute/docs/reference/rest/v1
"""

from __future__ import annotations

import ipaddress
from typing import Any

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.names import relative
from twin.kernel.operations import COMPUTE_BASE
from twin.kernel.semantics import Call, MethodFunction
from twin.kernel.types import Body, Reply
from twin.services.compute import links
from twin.services.compute.machines import change, digest


def set_named(call: Call) -> Body | Reply:
    """What the request names is set on the resource: setMinCpuPlatform, setEdgeSecurityPolicy, updateDisplayDevice, …"""
    given: Body = {key: value for key, value in call.body.items() if not key.endswith("ingerprint")}
    for key, value in given.items():
        if isinstance(value, str) and "/" in value:
            given[key] = links.full(call, value)
    return change(call, {**call.need(), **given}, call.method.tail)


def set_inside(field: str) -> MethodFunction:
    """The request is one field of the resource: updateShieldedInstanceConfig, …"""

    def function(call: Call) -> Body | Reply:
        body = call.need()
        return change(call, {**body, field: {**body.get(field, {}), **call.body}}, call.method.tail)

    return function


def set_auto_delete(call: Call) -> Body | Reply:
    body, device = call.copy(), call.params.get("deviceName", "")
    found = [disk for disk in body.get("disks", []) if disk.get("deviceName") == device]
    if not found:
        raise invalid(
            f"Invalid value for field 'deviceName': '{device}'. No attached disk found with this device name."
        )
    found[0]["autoDelete"] = bool(call.params.get("autoDelete"))
    return change(call, body, "setDiskAutoDelete")


def _interface(call: Call, body: Body) -> Body:
    name = call.params.get("networkInterface", "")
    for interface in body.get("networkInterfaces", []):
        if interface.get("name") == name:
            found: Body = interface
            return found
    raise invalid(f"Invalid value for field 'networkInterface': '{name}'. The network interface does not exist.")


def add_access(call: Call) -> Body | Reply:
    from twin.services.compute.network import new_address

    body = call.copy()
    interface = _interface(call, body)
    if interface.get("accessConfigs"):
        raise invalid("At most one access config currently supported.")
    made = {"kind": "compute#accessConfig", "name": "External NAT", "type": "ONE_TO_ONE_NAT", **call.body}
    made.setdefault("natIP", new_address(call))
    made.setdefault("networkTier", "PREMIUM")
    interface["accessConfigs"] = [made]
    return change(call, body, "addAccessConfig")


def delete_access(call: Call) -> Body | Reply:
    body, name = call.copy(), call.params.get("accessConfig", "")
    interface = _interface(call, body)
    if name not in [access.get("name") for access in interface.get("accessConfigs", [])]:
        raise invalid(f"Invalid value for field 'accessConfig': '{name}'. The access config does not exist.")
    del interface["accessConfigs"]
    return change(call, body, "deleteAccessConfig")


def expand_range(call: Call) -> Body | Reply:
    """A subnetwork only grows. https://cloud.google.com/vpc/docs/create-modify-vpc-networks#expand-subnet"""
    body, wanted = call.need(), call.body.get("ipCidrRange", "")
    try:
        new = ipaddress.ip_network(wanted)
    except ValueError:
        raise invalid(f"Invalid value for field 'ipCidrRange': '{wanted}'. Must be a CIDR address range.") from None
    old: Any = ipaddress.ip_network(body["ipCidrRange"])
    if new == old or not old.subnet_of(new):
        raise invalid(
            f"Invalid value for field 'ipCidrRange': '{wanted}'. New IP CIDR range must be broader than the current {old}."
        )
    changed = {**body, "ipCidrRange": str(new), "gatewayAddress": str(new.network_address + 1)}
    return change(call, changed, "expandIpCidrRange")


def update_peering(call: Call) -> Body | Reply:
    body, given = call.copy(), call.body.get("networkPeering") or {}
    found = [peering for peering in body.get("peerings", []) if peering.get("name") == given.get("name")]
    if not found:
        raise invalid(
            f"Invalid value for field 'networkPeering.name': '{given.get('name')}'. There is no such peering."
        )
    found[0].update(given)
    return change(call, body, "updatePeering")


def resize_reservation(call: Call) -> Body | Reply:
    body = call.copy()
    body.setdefault("specificReservation", {})["count"] = str(call.body.get("specificSkuCount", "0"))
    return change(call, body, "resize")


def deprecate_image(call: Call) -> Body | Reply:
    return change(call, {**call.need(), "deprecated": dict(call.body)}, "deprecate")


def managed_instances(call: Call) -> Body:
    """The twin runs no machines for a group: as many names as the group is to have, all RUNNING."""
    body = call.need()
    place = relative(call.name).rpartition("/")[0].rpartition("/")[0]
    items = [
        {
            "instance": f"{COMPUTE_BASE}{place}/instances/{body['baseInstanceName']}-{number:04d}",
            "instanceStatus": "RUNNING",
            "currentAction": "NONE",
        }
        for number in range(int(body.get("targetSize", 0)))
    ]
    return {"managedInstances": items} if items else {}


def router_status(call: Call) -> Body:
    body = call.need()
    return {"kind": "compute#routerStatusResponse", "result": {"network": body.get("network", "")}}


def effective_firewalls(call: Call) -> Body:
    """Rules of the network, without those of policies above it."""
    link = call.need().get("selfLink")
    rules = [
        standard.visible(call, name, body)
        for name, body in call.children(f"compute/projects/{call.project}/global/firewalls")
        if body.get("network") == link
    ]
    return {"firewalls": rules} if rules else {}


def project_metadata(call: Call) -> Body | Reply:
    held = call.get(f"{call.name}/commonInstanceMetadata")
    given = {"kind": "compute#metadata", **call.body, "fingerprint": digest(call.body.get("items"))}
    if held and call.body.get("fingerprint") not in (None, held["fingerprint"]):
        raise ApiError("CONDITION_NOT_MET", "Supplied fingerprint does not match current metadata fingerprint.")
    call.put(f"{call.name}/commonInstanceMetadata", given)
    return standard.finish(call, "setCommonInstanceMetadata", {"id": call.number})


def pool_member(call: Call) -> Body | Reply:
    """targetPools.addInstance, removeInstance, addHealthCheck, removeHealthCheck."""
    tail = call.method.tail
    field, key = ("instances", "instance") if tail.endswith("Instance") else ("healthChecks", "healthCheck")
    wanted = [links.full(call, item.get(key, "")) for item in call.body.get(field, [])]
    body = call.need()
    held = [link for link in body.get(field, []) if link not in wanted]
    now = [*held, *wanted] if tail.startswith("add") else held
    new = {name: value for name, value in body.items() if name != field}
    return change(call, {**new, **({field: now} if now else {})}, tail)


METHODS: dict[str, MethodFunction] = {
    **dict.fromkeys(
        (
            "instances.setMinCpuPlatform", "instances.setName", "instances.updateDisplayDevice",
            "backendServices.setEdgeSecurityPolicy", "backendBuckets.setEdgeSecurityPolicy",
            "regionBackendServices.setSecurityPolicy", "instances.setMachineResources", "nodeGroups.setNodeTemplate",
        ),
        set_named,
    ),
    "instances.updateShieldedInstanceConfig": set_inside("shieldedInstanceConfig"),
    "instances.setShieldedInstanceIntegrityPolicy": set_inside("shieldedInstanceIntegrityPolicy"),
    "instances.setDiskAutoDelete": set_auto_delete,
    "instances.addAccessConfig": add_access,
    "instances.deleteAccessConfig": delete_access,
    "subnetworks.expandIpCidrRange": expand_range,
    "networks.updatePeering": update_peering,
    "networks.getEffectiveFirewalls": effective_firewalls,
    "reservations.resize": resize_reservation,
    "images.deprecate": deprecate_image,
    "instanceGroupManagers.listManagedInstances": managed_instances,
    "regionInstanceGroupManagers.listManagedInstances": managed_instances,
    "routers.getRouterStatus": router_status,
    "projects.setCommonInstanceMetadata": project_metadata,
    **{
        f"targetPools.{verb}": pool_member
        for verb in ("addInstance", "removeInstance", "addHealthCheck", "removeHealthCheck")
    },
}  # fmt: skip
