"""Members of things: instances of a group, rules of a policy, peerings of a network, signing keys.

https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroups
"""

from __future__ import annotations

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.names import last, numeric_id, relative
from twin.kernel.operations import COMPUTE_BASE
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, rfc3339
from twin.services.compute import links
from twin.services.compute.machines import change

# Instance groups


def create_group(call: Call, body: Body) -> None:
    links.normalise(call, body)
    body.setdefault("description", "")
    body["size"] = 0


def _members(call: Call) -> list[str]:
    found: list[str] = list(call.need().get("~members", []))
    return found


def add_instances(call: Call) -> Body | Reply:
    body, members = call.need(), _members(call)
    for item in call.body.get("instances", []):
        link = links.full(call, item.get("instance", ""))
        machine = call.need(links.name_of(link))
        if link in members:
            raise invalid(
                f"Resource '{relative(links.name_of(link))}' is already a member of '{relative(call.name)}'.",
                "memberAlreadyExists",
            )
        members.append(link)
        interface = (machine.get("networkInterfaces") or [{}])[0]
        body = {**body, **{key: interface[key] for key in ("network", "subnetwork") if interface.get(key)}}
    return change(call, {**body, "~members": members, "size": len(members)}, "addInstances")


def remove_instances(call: Call) -> Body | Reply:
    body, members = call.need(), _members(call)
    gone = [links.full(call, item.get("instance", "")) for item in call.body.get("instances", [])]
    for link in gone:
        if link not in members:
            raise invalid(
                f"Resource '{relative(links.name_of(link))}' is not a member of '{relative(call.name)}'.",
                "memberNotFound",
            )
    members = [link for link in members if link not in gone]
    return change(call, {**body, "~members": members, "size": len(members)}, "removeInstances")


def list_instances(call: Call) -> Body:
    body = call.need()
    items = []
    for link in _members(call):
        machine = call.get(links.name_of(link)) or {}
        item: Body = {"instance": link, "status": machine.get("status", "RUNNING")}
        if body.get("namedPorts"):
            item["namedPorts"] = body["namedPorts"]
        if call.body.get("instanceState") != "RUNNING" or item["status"] == "RUNNING":
            items.append(item)
    return {
        "kind": "compute#instanceGroupsListInstances",
        "id": relative(call.name) + "/listInstances",
        **({"items": items} if items else {}),
    }


def set_named_ports(call: Call) -> Body | Reply:
    return change(call, {**call.need(), "namedPorts": call.body.get("namedPorts", [])}, "setNamedPorts")


def create_manager(call: Call, body: Body) -> None:
    links.normalise(call, body)
    template = str(body.get("instanceTemplate", ""))
    if template:
        body["instanceTemplate"] = links.full(call, template)
        call.need(links.name_of(body["instanceTemplate"]))
        body.setdefault("versions", [{"instanceTemplate": body["instanceTemplate"], "targetSize": {"calculated": 0}}])
    size = int(body.setdefault("targetSize", 0))
    for version in body.get("versions", []):
        version["targetSize"] = {"calculated": size}
    base = body.setdefault("baseInstanceName", body["name"])
    words = (
        "abandoning",
        "creating",
        "creatingWithoutRetries",
        "deleting",
        "none",
        "recreating",
        "refreshing",
        "restarting",
    )
    body["currentActions"] = {word: size if word == "none" else 0 for word in (*words, "verifying")}
    body["status"] = {"isStable": True, "stateful": {"hasStatefulConfig": False}, "versionTarget": {"isReached": True}}
    place = relative(call.name).rpartition("/instanceGroupManagers/")[0]
    body["instanceGroup"] = f"{COMPUTE_BASE}{place}/instanceGroups/{body['name']}"
    body.setdefault("updatePolicy", {}).setdefault("type", "OPPORTUNISTIC")
    body["~base"] = base


def resize_manager(call: Call) -> Body | Reply:
    size = int(call.params.get("size", 0))
    body = call.copy()
    body["targetSize"] = size
    body.setdefault("currentActions", {})["none"] = size
    return change(call, body, "resize")


def set_template(call: Call) -> Body | Reply:
    template = links.full(call, call.body.get("instanceTemplate", ""))
    return change(call, {**call.need(), "instanceTemplate": template}, "setInstanceTemplate")


# Resource policies of disks, peerings of networks, signing keys


def add_policies(call: Call) -> Body | Reply:
    body = call.need()
    wanted = [links.full(call, link) for link in call.body.get("resourcePolicies", [])]
    for link in wanted:
        call.need(links.name_of(link))
    held = body.get("resourcePolicies", [])
    return change(
        call,
        {**body, "resourcePolicies": [*held, *(link for link in wanted if link not in held)]},
        "addResourcePolicies",
    )


def remove_policies(call: Call) -> Body | Reply:
    body = call.need()
    gone = [links.full(call, link) for link in call.body.get("resourcePolicies", [])]
    left = [link for link in body.get("resourcePolicies", []) if link not in gone]
    new = {key: value for key, value in body.items() if key != "resourcePolicies"}
    return change(call, {**new, **({"resourcePolicies": left} if left else {})}, "removeResourcePolicies")


def add_peering(call: Call) -> Body | Reply:
    body = call.need()
    given = dict(call.body.get("networkPeering") or {})
    if not given:
        given = {"name": call.body.get("name"), "network": call.body.get("peerNetwork"), "autoCreateRoutes": True}
    given["network"] = links.full(call, given.get("network") or "")
    given = {"state": "INACTIVE", "stateDetails": "Waiting for peer network to connect.", **given}
    held = [peering for peering in body.get("peerings", []) if peering.get("name") != given.get("name")]
    return change(call, {**body, "peerings": [*held, given]}, "addPeering")


def remove_peering(call: Call) -> Body | Reply:
    """Removing a peering that is not there is no error (recorded with peerings that Service Networking made)."""
    body, name = call.need(), call.body.get("name")
    left = [peering for peering in body.get("peerings", []) if peering.get("name") != name]
    new = {key: value for key, value in body.items() if key != "peerings"}
    return change(call, {**new, **({"peerings": left} if left else {})}, "removePeering")


def switch_to_custom(call: Call) -> Body | Reply:
    return change(call, {**call.need(), "autoCreateSubnetworks": False}, "switchToCustomMode")


def add_key(call: Call) -> Body | Reply:
    """The key's value goes in and never comes out (https://cloud.google.com/cdn/docs/using-signed-urls)."""
    body = call.copy()
    policy = body.setdefault("cdnPolicy", {})
    names = policy.get("signedUrlKeyNames", [])
    name = call.body.get("keyName", "")
    if name in names:
        raise invalid(f"Invalid value for field 'resource.keyName': '{name}'. Key name already exists.")
    policy["signedUrlKeyNames"] = [*names, name]
    return change(call, body, "addSignedUrlKey")


def delete_key(call: Call) -> Body | Reply:
    body = call.copy()
    policy = body.get("cdnPolicy", {})
    name = str(call.params.get("keyName", ""))
    if name not in policy.get("signedUrlKeyNames", []):
        raise invalid(f"Invalid value for field 'keyName': '{name}'. Key name does not exist.")
    policy["signedUrlKeyNames"] = [key for key in policy["signedUrlKeyNames"] if key != name]
    if not policy["signedUrlKeyNames"]:
        del policy["signedUrlKeyNames"]
    return change(call, body, "deleteSignedUrlKey")


# Rules of security policies and firewall policies

_VERBS = {
    "securityPolicies": {"addRule": "AddRule", "patchRule": "PatchRule", "removeRule": "RemoveRule"},
    "firewallPolicies": {
        "addRule": "addFirewallRuleToFirewallPolicy",
        "patchRule": "patchFirewallRuleInFirewallPolicy",
        "removeRule": "removeFirewallRuleFromFirewallPolicy",
    },
}


def _collection(call: Call) -> str:
    return call.name.rsplit("/", 2)[-2]


def default_rule(call: Call, rule: Body) -> Body:
    single = "securityPolicyRule" if _collection(call) == "securityPolicies" else "firewallPolicyRule"
    made: Body = {"kind": f"compute#{single}", "description": "", "preview": False, **rule}
    if single == "firewallPolicyRule":
        del made["preview"]
        made.setdefault("ruleTupleCount", _tuples(made.get("match", {})))
    return made


def _tuples(match: Body) -> int:
    """How much of a policy's quota a rule takes: https://cloud.google.com/firewall/docs/quotas#rule-attributes"""
    addresses = sum(
        len(match.get(field, [])) for field in ("srcIpRanges", "destIpRanges", "srcAddressGroups", "destAddressGroups")
    )
    ports = sum(max(1, len(layer.get("ports", []))) for layer in match.get("layer4Configs", []))
    return max(1, addresses) + max(1, ports)


def create_policy(call: Call, body: Body) -> None:
    body.setdefault("description", "") if _collection(call) == "firewallPolicies" else None
    if _collection(call) == "securityPolicies":
        body.setdefault("type", "CLOUD_ARMOR")
        match = {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["*"]}}
        rules = body.get("rules") or [
            {"action": "allow", "description": "default rule", "match": match, "priority": 2_147_483_647}
        ]
        body["rules"] = sorted(
            (default_rule(call, rule) for rule in rules), key=lambda rule: int(rule.get("priority", 0))
        )


def _default_rules(call: Call) -> list[Body]:
    """https://cloud.google.com/firewall/docs/firewall-policies-overview#default-rules"""
    rules = []
    for back, (direction, block, family) in enumerate(
        (
            ("INGRESS", "0.0.0.0/0", ""),
            ("EGRESS", "0.0.0.0/0", ""),
            ("INGRESS", "::/0", " ipv6"),
            ("EGRESS", "::/0", " ipv6"),
        )
    ):
        field = "srcIpRanges" if direction == "INGRESS" else "destIpRanges"
        rule = {
            "action": "goto_next",
            "description": f"default {direction.lower()} rule{family}",
            "direction": direction,
            "enableLogging": False,
            "match": {field: [block], "layer4Configs": [{"ipProtocol": "all"}]},
            "priority": 2_147_483_647 - back,
        }
        rules.append(default_rule(call, rule))
    return rules[::-1]


def insert_policy(call: Call) -> Body | Reply:
    """A policy of an organization or a folder: the server names it with a number, the client with `shortName`."""
    parent = str(call.params.get("parentId") or call.body.get("parent") or "")
    if not parent:
        raise invalid("Invalid value for field 'parentId': ''. A parent must be specified.")
    short = call.body.get("shortName") or call.body.get("displayName", "")
    number = numeric_id(12)
    name = f"{call.name}/{number}"
    body: Body = {
        **call.body,
        "kind": "compute#firewallPolicy",
        "id": number,
        "name": number,
        "parent": parent,
        "displayName": short,
        "shortName": short,
        "creationTimestamp": rfc3339(call.now, 3).replace("Z", "-00:00"),
        "selfLink": COMPUTE_BASE + relative(name),
        "rules": _default_rules(call),
    }
    body["ruleTupleCount"] = sum(rule["ruleTupleCount"] for rule in body["rules"])
    call.name = name
    body["fingerprint"] = standard.fingerprint(body)
    call.put(name, body)
    return standard.finish(call, "createFirewallPolicy", body)


def delete_policy(call: Call) -> Body | Reply:
    body = call.need()
    call.delete(call.name)
    return standard.finish(call, "deleteFirewallPolicy", None, body)


def add_rule(call: Call) -> Body | Reply:
    body = call.copy()
    rules = body.get("rules", [])
    given = {"priority": 0, **call.body}
    if any(rule.get("priority") == given["priority"] for rule in rules):
        raise invalid(
            f"Invalid value for field 'resource.priority': '{given['priority']}'. Cannot have rules with the same priorities."
        )
    body["rules"] = sorted([*rules, default_rule(call, given)], key=lambda rule: int(rule.get("priority", 0)))
    return change(call, body, _VERBS[_collection(call)]["addRule"])


def _wanted(call: Call) -> int:
    return int(call.params.get("priority") or call.body.get("priority") or 0)


def _no_rule(call: Call, priority: int) -> ApiError:
    word = "security" if _collection(call) == "securityPolicies" else "firewall"
    return invalid(
        f"Invalid value for field 'priority': '{priority}'. The {word} policy does not contain a rule at priority {priority}."
    )


def get_rule(call: Call) -> Body:
    priority = _wanted(call)
    for rule in call.need().get("rules", []):
        if rule.get("priority") == priority:
            found: Body = rule
            return found
    raise _no_rule(call, priority)


def patch_rule(call: Call) -> Body | Reply:
    get_rule(call)
    body, priority = call.copy(), _wanted(call)
    for rule in body["rules"]:
        if rule.get("priority") == priority:
            rule.update(call.body)
            if "ruleTupleCount" in rule:
                rule["ruleTupleCount"] = _tuples(rule.get("match", {}))
    return change(call, body, _VERBS[_collection(call)]["patchRule"])


def remove_rule(call: Call) -> Body | Reply:
    get_rule(call)
    body, priority = call.copy(), _wanted(call)
    body["rules"] = [rule for rule in body["rules"] if rule.get("priority") != priority]
    return change(call, body, _VERBS[_collection(call)]["removeRule"])


def add_association(call: Call) -> Body | Reply:
    body = call.copy()
    given = {"name": call.body.get("name") or last(call.body.get("attachmentTarget", "")), **call.body}
    held = [other for other in body.get("associations", []) if other.get("name") != given["name"]]
    body["associations"] = [*held, given]
    return change(call, body, "addAssociation")


def get_association(call: Call) -> Body:
    name = call.params.get("name", "")
    for association in call.need().get("associations", []):
        if association.get("name") == name:
            found: Body = association
            return found
    raise invalid(
        f"Invalid value for field 'name': '{name}'. The firewall policy does not contain an association with this name."
    )


def remove_association(call: Call) -> Body | Reply:
    get_association(call)
    body, name = call.copy(), call.params.get("name", "")
    body["associations"] = [association for association in body["associations"] if association.get("name") != name]
    return change(call, body, "removeAssociation")


_GROUPS = ("instanceGroups", "regionInstanceGroups")
_MANAGERS = ("instanceGroupManagers", "regionInstanceGroupManagers")
_KEYED = ("backendServices", "backendBuckets")
_RULED = (
    "securityPolicies",
    "regionSecurityPolicies",
    "firewallPolicies",
    "networkFirewallPolicies",
    "regionNetworkFirewallPolicies",
)
METHODS = {
    "firewallPolicies.insert": insert_policy,
    "firewallPolicies.delete": delete_policy,
    **{f"{word}.listInstances": list_instances for word in _GROUPS},
    **{f"{word}.setNamedPorts": set_named_ports for word in _GROUPS},
    "instanceGroups.addInstances": add_instances,
    "instanceGroups.removeInstances": remove_instances,
    **{f"{word}.resize": resize_manager for word in _MANAGERS},
    **{f"{word}.setInstanceTemplate": set_template for word in _MANAGERS},
    **{f"{word}.addResourcePolicies": add_policies for word in ("disks", "regionDisks", "instances")},
    **{f"{word}.removeResourcePolicies": remove_policies for word in ("disks", "regionDisks", "instances")},
    "networks.addPeering": add_peering,
    "networks.removePeering": remove_peering,
    "networks.switchToCustomMode": switch_to_custom,
    **{f"{word}.addSignedUrlKey": add_key for word in _KEYED},
    **{f"{word}.deleteSignedUrlKey": delete_key for word in _KEYED},
    **{f"{word}.addRule": add_rule for word in _RULED},
    **{f"{word}.getRule": get_rule for word in _RULED},
    **{f"{word}.patchRule": patch_rule for word in _RULED},
    **{f"{word}.removeRule": remove_rule for word in _RULED},
    **{f"{word}.addAssociation": add_association for word in _RULED[2:]},
    **{f"{word}.getAssociation": get_association for word in _RULED[2:]},
    **{f"{word}.removeAssociation": remove_association for word in _RULED[2:]},
}
CREATING = {
    "instanceGroups": create_group,
    "instanceGroupManagers": create_manager,
    "securityPolicies": create_policy,
    "firewallPolicies": create_policy,
}
