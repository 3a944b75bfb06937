"""Networks, subnetworks, addresses, firewalls, routers: defaults and rules.

https://cloud.google.com/vpc/docs/vpc
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import ipaddress
import secrets

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last, numeric_id, relative
from twin.kernel.operations import COMPUTE_BASE
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services.compute import links
from twin.services.compute.balancing import bad_value

REGIONS = {
    "us-central1": "abcf", "us-east1": "bcd", "us-east4": "abc", "us-west1": "abc", "us-west2": "abc",
    "europe-west1": "bcd", "europe-west3": "abc", "europe-west4": "abc", "asia-east1": "abc", "asia-northeast1": "abc",
    "australia-southeast1": "abc", "southamerica-east1": "abc", "northamerica-northeast1": "abc",
}  # fmt: skip


def new_address(call: Call, internal: bool = False) -> str:
    """An address that nobody else in the twin has. External ones are from TEST-NET-3 and -2 (RFC 5737)."""
    net = "10.128.0" if internal else "203.0.113"
    taken = {
        body.get("address")
        for collection in call.engine.store.collections("compute/", "addresses")
        for _, body in call.children(collection)
    }
    taken |= {
        body.get("IPAddress")
        for collection in call.engine.store.collections("compute/", "forwardingRules")
        for _, body in call.children(collection)
    }
    for number in range(2, 255):
        if f"{net}.{number}" not in taken:
            return f"{net}.{number}"
    return f"198.51.100.{secrets.randbelow(250) + 2}"


def create_network(call: Call, body: Body) -> None:
    body.setdefault("routingConfig", {}).setdefault("routingMode", "REGIONAL")
    body["routingConfig"].setdefault("bgpBestPathSelectionMode", "LEGACY")
    body.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")
    if "IPv4Range" not in body:
        body.setdefault("autoCreateSubnetworks", True)
    body["selfLinkWithId"] = f"{COMPUTE_BASE}projects/{call.project}/global/networks/{body['id']}"
    if body.get("autoCreateSubnetworks"):
        body["subnetworks"] = [_auto_subnetwork(call, body, region, number) for number, region in enumerate(REGIONS)]


def _auto_subnetwork(call: Call, network: Body, region: str, number: int) -> str:
    name = f"compute/projects/{call.project}/regions/{region}/subnetworks/{network['name']}"
    base = ipaddress.ip_network("10.128.0.0/20")
    block = ipaddress.ip_network((int(base.network_address) + number * 2**16, 20))
    body = subnetwork_body(call, name, network["selfLink"], str(block))
    body["creationTimestamp"] = network["creationTimestamp"]
    call.put(name, body)
    return str(body["selfLink"])


def subnetwork_body(call: Call, name: str, network: str, block: str) -> Body:
    region = name.split("/")[4]
    body: Body = {
        "kind": "compute#subnetwork",
        "id": numeric_id(),
        "name": last(name),
        "network": network,
        "ipCidrRange": block,
        "region": f"{COMPUTE_BASE}projects/{call.project}/regions/{region}",
        "selfLink": COMPUTE_BASE + relative(name),
    }
    _default_subnetwork(body)
    body["fingerprint"] = standard.fingerprint(body)
    return body


def _default_subnetwork(body: Body) -> None:
    block = ipaddress.ip_network(body["ipCidrRange"])
    body["gatewayAddress"] = str(block.network_address + 1)
    body.setdefault("privateIpGoogleAccess", False)
    body.setdefault("privateIpv6GoogleAccess", "DISABLE_GOOGLE_ACCESS")
    body.setdefault("purpose", "PRIVATE")
    body.setdefault("stackType", "IPV4_ONLY")


def create_subnetwork(call: Call, body: Body) -> None:
    links.normalise(call, body)
    try:
        block = ipaddress.ip_network(body.get("ipCidrRange", ""))
    except ValueError:
        raise bad_value("ipCidrRange", body.get("ipCidrRange", ""), "Must be a CIDR address range.") from None
    for collection in call.engine.store.collections(f"compute/projects/{call.project}/regions/", "subnetworks"):
        for name, other in call.children(collection):
            if other.get("network") == body.get("network") and block.overlaps(
                ipaddress.ip_network(other["ipCidrRange"])
            ):
                raise invalid(
                    f"Invalid IPCidrRange: {block} conflicts with existing subnetwork '{last(name)}' in region '{name.split('/')[4]}'."
                )
    _default_subnetwork(body)
    body.pop("state", None)
    body["state"] = "READY"
    network_name = links.name_of(body["network"])
    network = call.get(network_name)
    if network is not None:
        call.put(network_name, {**network, "subnetworks": [*network.get("subnetworks", []), body["selfLink"]]})


def delete_subnetwork(call: Call, body: Body) -> None:
    network_name = links.name_of(body["network"])
    network = call.get(network_name)
    if network is not None:
        left = [link for link in network.get("subnetworks", []) if link != body["selfLink"]]
        changed = {key: value for key, value in network.items() if key != "subnetworks"}
        call.put(network_name, {**changed, **({"subnetworks": left} if left else {})})
    links.refuse_if_used(call, body)


def delete_network(call: Call, body: Body) -> None:
    if body.get("autoCreateSubnetworks"):
        for link in body.get("subnetworks", []):
            call.delete(links.name_of(link))
    links.refuse_if_used(call, body)


def create_address(call: Call, body: Body) -> None:
    links.normalise(call, body)
    body.setdefault("addressType", "EXTERNAL")
    body.setdefault("description", "")
    internal = body["addressType"] == "INTERNAL"
    body.setdefault("address", new_address(call, internal))
    if not internal:
        body.setdefault("networkTier", "PREMIUM")
        if "global" in call.name.split("/"):
            body.setdefault("ipVersion", "IPV4")
            body.pop("networkTier", None)
    else:
        body.setdefault("purpose", "GCE_ENDPOINT")
    body["status"] = "RESERVED"


def delete_address(call: Call, body: Body) -> None:
    users = body.get("users", [])
    if users:
        raise ApiError(
            "INVALID_ARGUMENT",
            f"The address resource '{relative(call.name)}' is already being used by '{relative(links.name_of(users[0]))}'",
            reason="resourceInUseByAnotherResource",
        )


def create_firewall(call: Call, body: Body) -> None:
    body.setdefault("network", f"global/networks/default")  # noqa: F541
    links.normalise(call, body)
    body.setdefault("direction", "INGRESS")
    body.setdefault("priority", 1000)
    body.setdefault("disabled", False)
    body.setdefault("logConfig", {"enable": False})
    if body.get("allowed") and body.get("denied"):
        raise invalid(
            "Invalid value for field 'resource.allowed': ''. Exactly one of fields [allowed, denied] must be set."
        )
    if body["direction"] == "INGRESS" and not any(
        body.get(field) for field in ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    ):
        body["sourceRanges"] = ["0.0.0.0/0"]


def create_router(call: Call, body: Body) -> None:
    links.normalise(call, body)
    body.setdefault("encryptedInterconnectRouter", False)


def create_disk(call: Call, body: Body) -> None:
    zone = call.name.split("/")[4]
    body.setdefault("type", f"{COMPUTE_BASE}projects/{call.project}/zones/{zone}/diskTypes/pd-standard")
    body.setdefault("sizeGb", "500")
    body.setdefault("physicalBlockSizeBytes", "4096")
    body["status"] = "READY"


def create_instance(call: Call, body: Body) -> None:
    links.normalise(call, body)
    body["status"] = "RUNNING"
    for number, interface in enumerate(body.get("networkInterfaces", [])):
        interface.setdefault("name", f"nic{number}")
        interface.setdefault("networkIP", f"10.128.0.{secrets.randbelow(250) + 2}")
        for access in interface.get("accessConfigs", []):
            access.setdefault("kind", "compute#accessConfig")
            access.setdefault("natIP", new_address(call))


def just_normalise(call: Call, body: Body) -> None:
    links.normalise(call, body)


def normalise_update(call: Call, old: Body, new: Body) -> None:
    links.normalise(call, new)


# Places: regions and zones exist without having been made.


def get_project(call: Call) -> Body:
    if not call.engine.project_exists(call.project):
        raise not_found(f"The resource 'projects/{call.project}' was not found")
    link = f"{COMPUTE_BASE}projects/{call.project}"
    return {
        "kind": "compute#project",
        "id": call.number,
        "name": call.project,
        "selfLink": link,
        "defaultServiceAccount": f"{call.number}-compute@developer.gserviceaccount.com",
        "defaultNetworkTier": "PREMIUM",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
    }


def _region(call: Call, region: str) -> Body:
    base = f"{COMPUTE_BASE}projects/{call.project}"
    zones = [f"{base}/zones/{region}-{letter}" for letter in REGIONS[region]]
    return {
        "kind": "compute#region",
        "id": str(1000 + list(REGIONS).index(region)),
        "name": region,
        "description": region,
        "status": "UP",
        "zones": zones,
        "selfLink": f"{base}/regions/{region}",
    }


def get_region(call: Call) -> Body:
    region = last(call.name)
    if region not in REGIONS:
        raise links.missing(call.name)
    return _region(call, region)


def list_regions(call: Call) -> Body:
    return {
        "kind": "compute#regionList",
        "id": relative(call.name),
        "selfLink": COMPUTE_BASE + relative(call.name),
        "items": [_region(call, region) for region in REGIONS],
    }


def _zones(call: Call) -> list[Body]:
    base = f"{COMPUTE_BASE}projects/{call.project}"
    names = [f"{region}-{letter}" for region, letters in REGIONS.items() for letter in letters]
    return [
        {
            "kind": "compute#zone",
            "id": str(2000 + number),
            "name": name,
            "description": name,
            "status": "UP",
            "region": f"{base}/regions/{name[:-2]}",
            "selfLink": f"{base}/zones/{name}",
        }
        for number, name in enumerate(names)
    ]


def get_zone(call: Call) -> Body:
    for body in _zones(call):
        if body["name"] == last(call.name):
            return body
    raise links.missing(call.name)


def list_zones(call: Call) -> Body:
    return {
        "kind": "compute#zoneList",
        "id": relative(call.name),
        "selfLink": COMPUTE_BASE + relative(call.name),
        "items": _zones(call),
    }


def wait(call: Call) -> Body | Reply:
    """`operations.wait` answers when the operation is done, here at once or after the remaining delay."""
    body = call.need()
    reply = Reply(body={key: value for key, value in body.items() if key[0] != "~"})
    reply.delay = call.engine.settings.operation_seconds
    return reply


def image_family(call: Call) -> Body:
    """The newest image of a family. Google's public image projects (`debian-cloud`, …) are not held, but answer."""
    family = last(call.name)
    project = call.name.split("/")[2]
    if project.endswith("-cloud"):
        link = f"{COMPUTE_BASE}projects/{project}/global/images/{family}-v20260101"
        return {
            "kind": "compute#image",
            "id": "1",
            "name": f"{family}-v20260101",
            "family": family,
            "status": "READY",
            "selfLink": link,
        }
    found = [
        body for _, body in call.children(f"compute/projects/{project}/global/images") if body.get("family") == family
    ]
    if not found:
        raise links.missing(call.name)
    return max(found, key=lambda body: str(body["creationTimestamp"]))
