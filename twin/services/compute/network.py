"""Networks, subnetworks, addresses, firewalls, routers: defaults and rules.

https://cloud.google.com/vpc/docs/vpc
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import ipaddress
import re
import secrets

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid, not_found
from twin.kernel.names import last, numeric_id, relative
from twin.kernel.operations import COMPUTE_BASE, failed_compute_operation
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply
from twin.services.compute import images, links
from twin.services.compute.balancing import bad_value

# Regions, the letters of their zones (https://cloud.google.com/compute/docs/regions-zones), and the second number of the
# range 10.N.0.0/20 that an auto mode network has there (https://cloud.google.com/vpc/docs/subnets#ip-ranges).
_PLACES = """
us-central1 abcf 128|europe-west1 bcd 132|us-west1 abc 138|asia-east1 abc 140|us-east1 bcd 142|asia-northeast1 abc 146
asia-southeast1 abc 148|us-east4 abc 150|australia-southeast1 abc 152|europe-west2 abc 154|europe-west3 abc 156
southamerica-east1 abc 158|asia-south1 abc 160|northamerica-northeast1 abc 162|europe-west4 abc 164|europe-north1 abc 166
us-west2 abc 168|asia-east2 abc 170|europe-west6 abc 172|asia-northeast2 abc 174|asia-northeast3 abc 178|us-west3 abc 180
us-west4 abc 182|asia-southeast2 abc 184|europe-central2 abc 186|northamerica-northeast2 abc 188|asia-south2 abc 190
australia-southeast2 abc 192|southamerica-west1 abc 194|europe-west8 abc 198|europe-west9 abc 200|us-east5 abc 202
europe-southwest1 abc 204|us-south1 abc 206|me-west1 abc 208|europe-west12 abc 210|me-central1 abc 212|europe-west10 abc 214
me-central2 abc 216|africa-south1 abc 218|northamerica-south1 abc 220|europe-north2 abc 226
"""
REGIONS = {place.split()[0]: place.split()[1] for place in re.split(r"[|\n]", _PLACES.strip())}
_BLOCKS = {place.split()[0]: place.split()[2] for place in re.split(r"[|\n]", _PLACES.strip())}


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
        body["subnetworks"] = [_auto_subnetwork(call, body, region) for region in REGIONS]


def _auto_subnetwork(call: Call, network: Body, region: str) -> str:
    name = f"compute/projects/{call.project}/regions/{region}/subnetworks/{network['name']}"
    body = subnetwork_body(call, name, network["selfLink"], f"10.{_BLOCKS[region]}.0.0/20")
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
    if body["purpose"] in ("REGIONAL_MANAGED_PROXY", "GLOBAL_MANAGED_PROXY", "INTERNAL_HTTPS_LOAD_BALANCER"):
        # Only a proxy's subnetwork has a state and a role (https://cloud.google.com/load-balancing/docs/proxy-only-subnets).
        body.setdefault("role", "ACTIVE")
        body["state"] = "READY"
        for field in ("privateIpGoogleAccess", "privateIpv6GoogleAccess", "stackType"):
            body.pop(field, None)
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


def delete_network(call: Call) -> Body | Reply:
    """A network in use is not refused: its operation fails (k8s-config-connector recordings, computerouternatprivate)."""
    body = call.need()
    own = [links.name_of(link) for link in body.get("subnetworks", [])] if body.get("autoCreateSubnetworks") else []
    users = [name for name in links.users_of(call, call.name) if name not in own]
    if users:
        return failed_compute_operation(
            call,
            "delete",
            str(body["id"]),
            "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
            f"The network resource '{relative(call.name)}' is already being used by '{relative(users[0])}'",
        )
    for name in own:
        call.delete(name)
    return standard.delete(call)


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
        if "regions" in call.name.split("/"):
            body.setdefault("networkTier", "PREMIUM")
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
    default_nats(body)


def update_router(call: Call, old: Body, new: Body) -> None:
    links.normalise(call, new)
    default_nats(new)


def default_nats(body: Body) -> None:
    """https://cloud.google.com/nat/docs/tune-nat-configuration (defaults)"""
    for nat in body.get("nats", []):
        nat.setdefault("type", "PUBLIC")
        nat.setdefault("endpointTypes", ["ENDPOINT_TYPE_VM"])
        nat.setdefault("enableEndpointIndependentMapping", False)
        if nat["type"] == "PUBLIC":
            nat.setdefault("autoNetworkTier", "PREMIUM")
        for field, seconds in (
            ("udpIdleTimeoutSec", 30), ("icmpIdleTimeoutSec", 30), ("tcpEstablishedIdleTimeoutSec", 1200),
            ("tcpTransitoryIdleTimeoutSec", 30), ("tcpTimeWaitTimeoutSec", 120),
        ):  # fmt: skip
            nat.setdefault(field, seconds)


def just_normalise(call: Call, body: Body) -> None:
    links.normalise(call, body)


def normalise_update(call: Call, old: Body, new: Body) -> None:
    links.normalise(call, new)


# Places: regions and zones exist without having been made.


def get_project(call: Call) -> Body:
    if not call.engine.project_exists(call.project):
        raise not_found(f"The resource 'projects/{call.project}' was not found")
    link = f"{COMPUTE_BASE}projects/{call.project}"
    metadata = call.get(f"{call.name}/commonInstanceMetadata") or {
        "kind": "compute#metadata",
        "fingerprint": "1B2M2Y8AsgTpgAmY7PhCfg==",
    }
    return {
        "kind": "compute#project",
        "commonInstanceMetadata": metadata,
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
            "creationTimestamp": "2014-05-30T18:35:16.514-07:00",
            "availableCpuPlatforms": [
                "Intel Broadwell",
                "Intel Cascade Lake",
                "Intel Ice Lake",
                "Intel Skylake",
                "AMD Milan",
                "AMD Rome",
            ],
            "supportsPzs": False,
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
    if project in images.PUBLIC or project.endswith("-cloud"):
        return images.public(project, family)
    found = [
        body for _, body in call.children(f"compute/projects/{project}/global/images") if body.get("family") == family
    ]
    if not found:
        raise links.missing(call.name)
    return max(found, key=lambda body: str(body["creationTimestamp"]))
