"""Instances, instance templates, disks, images, instance groups: defaults, states, and the verbs that change them.

https://cloud.google.com/compute/docs/reference/rest/v1/instances
"""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

import base64
import copy
import hashlib
import json
import secrets
from typing import Any

from twin.kernel import standard
from twin.kernel.errors import ApiError, invalid
from twin.kernel.masks import merge_patch
from twin.kernel.names import numeric_id, relative, segment_after
from twin.kernel.operations import COMPUTE_BASE
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Reply, rfc3339
from twin.services.compute import images, links
from twin.services.compute.network import new_address

_MIGRATES = {"automaticRestart": True, "onHostMaintenance": "MIGRATE", "preemptible": False}
_SPOT = {"automaticRestart": False, "onHostMaintenance": "TERMINATE", "preemptible": True}


def digest(value: Any) -> str:
    """A fingerprint as metadata and tags carry it; an empty one is the MD5 of nothing, as Google's is."""
    raw = json.dumps(value, sort_keys=True).encode() if value else b""
    return base64.b64encode(hashlib.md5(raw, usedforsecurity=False).digest()).decode()


def _place(call: Call) -> str:
    zone = segment_after(call.name, "zones")
    return f"zones/{zone}" if zone else f"regions/{segment_after(call.name, 'regions')}"


def default_machine(call: Call, body: Body, *, template: bool) -> None:
    """What an instance and a template's `properties` have in common."""
    for position, disk in enumerate(body.get("disks", [])):
        disk.setdefault("kind", "compute#attachedDisk")
        disk.setdefault("index", position)
        disk.setdefault("type", "PERSISTENT")
        disk.setdefault("mode", "READ_WRITE")
        if not template:
            disk.setdefault("boot", position == 0)
            disk.setdefault("autoDelete", False)
            disk.setdefault("deviceName", f"persistent-disk-{position}")
            disk.setdefault("interface", "SCSI")
    for position, interface in enumerate(body.get("networkInterfaces", [])):
        interface.setdefault("kind", "compute#networkInterface")
        interface.setdefault("name", f"nic{position}")
        for access in interface.get("accessConfigs", []):
            access.setdefault("kind", "compute#accessConfig")
            access.setdefault("type", "ONE_TO_ONE_NAT")
            access.setdefault("name", "External NAT" if not template else "external-nat")
            if not template:
                access.setdefault("networkTier", "PREMIUM")
    metadata = body.setdefault("metadata", {})
    metadata.setdefault("kind", "compute#metadata")
    metadata["fingerprint"] = digest(metadata.get("items"))
    if "tags" in body or not template:
        tags = body.setdefault("tags", {})
        tags["fingerprint"] = digest(tags.get("items"))
    scheduling = body.setdefault("scheduling", {})
    spot = scheduling.get("preemptible") or scheduling.get("provisioningModel") == "SPOT"
    for key, value in (_SPOT if spot else _MIGRATES).items():
        scheduling.setdefault(key, value)
    if not template:
        scheduling.setdefault("provisioningModel", "STANDARD")


def create_template(call: Call, body: Body) -> None:
    properties = body.setdefault("properties", {})
    if not properties.get("machineType") and not body.get("sourceInstance"):
        raise invalid(
            "Invalid value for field 'resource.properties.machineType': ''. A machine type must be specified."
        )
    body.setdefault("description", "")
    links.normalise(call, properties)
    default_machine(call, properties, template=True)


def create_instance(call: Call, body: Body) -> None:
    template = str(call.params.get("sourceInstanceTemplate", ""))
    if template:
        source = call.need(links.name_of(links.full(call, template)))
        merged = merge_patch(copy.deepcopy(source.get("properties", {})), body)
        body.clear()
        body.update(merged)
    links.normalise(call, body)
    if not body.get("machineType"):
        raise invalid("Invalid value for field 'resource.machineType': ''. A machine type must be specified.")
    if "/" not in body["machineType"]:
        body["machineType"] = f"{COMPUTE_BASE}projects/{call.project}/{_place(call)}/machineTypes/{body['machineType']}"
    elif not body["machineType"].startswith("https:"):
        body["machineType"] = links.full(call, body["machineType"])
    body.setdefault(
        "networkInterfaces", [{"network": f"{COMPUTE_BASE}projects/{call.project}/global/networks/default"}]
    )
    default_machine(call, body, template=False)
    for disk in body.get("disks", []):
        _disk_of(call, body, disk)
    for interface in body["networkInterfaces"]:
        interface.setdefault("networkIP", f"10.128.0.{secrets.randbelow(250) + 2}")
        interface.setdefault("stackType", "IPV4_ONLY")
        interface["fingerprint"] = standard.fingerprint(interface)
        for access in interface.get("accessConfigs", []):
            access.setdefault("natIP", new_address(call))
    body.setdefault("canIpForward", False)
    body.setdefault("deletionProtection", False)
    body.setdefault("startRestricted", False)
    body.setdefault("cpuPlatform", "Intel Broadwell")
    shielded = body.setdefault("shieldedInstanceConfig", {})
    for key, value in (("enableSecureBoot", False), ("enableVtpm", True), ("enableIntegrityMonitoring", True)):
        shielded.setdefault(key, value)
    body.setdefault("shieldedInstanceIntegrityPolicy", {"updateAutoLearnPolicy": True})
    body["lastStartTimestamp"] = body["creationTimestamp"]
    body["status"] = "RUNNING"


def _disk_of(call: Call, body: Body, disk: Body) -> None:
    """A disk that the request describes is made; one that it names is attached."""
    wanted = disk.pop("initializeParams", None)
    if wanted is None:
        if disk.get("source"):
            disk["source"] = links.full(call, disk["source"])
            attach(call, disk["source"], body["selfLink"])
        return
    name = wanted.get("diskName") or (body["name"] if disk.get("boot") else f"{body['name']}-{disk['index']}")
    path = f"compute/projects/{call.project}/{_place(call)}/disks/{name}"
    made: Body = {
        "kind": "compute#disk",
        "id": numeric_id(),
        "name": name,
        "creationTimestamp": body["creationTimestamp"],
        "selfLink": COMPUTE_BASE + relative(path),
        "zone": body["zone"],
        "sizeGb": str(wanted.get("diskSizeGb", "10")),
        "type": links.full(call, wanted.get("diskType", f"{_place(call)}/diskTypes/pd-standard")),
        "users": [body["selfLink"]],
        "status": "READY",
        "physicalBlockSizeBytes": "4096",
        "labelFingerprint": standard.fingerprint({}),
    }
    if wanted.get("sourceImage"):
        made["sourceImage"] = images.resolved(links.full(call, wanted["sourceImage"]))
    call.put(path, made)
    disk["source"], disk["diskSizeGb"] = made["selfLink"], made["sizeGb"]


def attach(call: Call, disk: str, user: str, *, gone: bool = False) -> None:
    """Keep a disk's `users` in step with the instances that hold it."""
    name = links.name_of(disk)
    body = call.get(name)
    if body is None:
        return
    users = [link for link in body.get("users", []) if link != user] + ([] if gone else [user])
    changed = {key: value for key, value in body.items() if key != "users"}
    call.put(name, {**changed, **({"users": users} if users else {})})


def delete_instance(call: Call, body: Body) -> None:
    if body.get("deletionProtection"):
        raise invalid(
            f"Invalid value for field 'resource.deletionProtection': 'true'. Resource cannot be deleted if it's protected "
            f"against deletion. {relative(call.name)}"
        )
    links.refuse_if_used(call, body)
    for disk in body.get("disks", []):
        if disk.get("source") and disk.get("autoDelete"):
            call.delete(links.name_of(disk["source"]))
        elif disk.get("source"):
            attach(call, disk["source"], body["selfLink"], gone=True)


def create_disk(call: Call, body: Body) -> None:
    body["type"] = links.full(call, body.get("type") or f"{_place(call)}/diskTypes/pd-standard")
    for field in ("sourceImage", "sourceSnapshot", "sourceDisk"):
        if body.get(field):
            body[field] = images.resolved(links.full(call, body[field]))
            source = call.get(links.name_of(body[field]))
            if source is None and field == "sourceImage":
                body["sourceImageId"] = images.number_of(body[field])
            if source is not None:
                body[f"{field}Id"] = source["id"]
                size = source.get("sizeGb") or source.get("diskSizeGb")
                if size:
                    body.setdefault("sizeGb", size)
    if body.get("replicaZones"):
        # Bare names, partial links and `global/zones/…` are all taken.
        zones = [zone.rpartition("/")[2] for zone in body["replicaZones"]]
        body["replicaZones"] = [links.full(call, f"zones/{zone}") for zone in zones]
    body.setdefault("sizeGb", "500" if body["type"].endswith("pd-standard") else "100")
    body.setdefault("physicalBlockSizeBytes", "4096")
    body.setdefault("enableConfidentialCompute", False)
    body["status"] = "READY"


def delete_disk(call: Call, body: Body) -> None:
    if body.get("users"):
        raise ApiError(
            "INVALID_ARGUMENT",
            f"The disk resource '{relative(call.name)}' is already being used by '{relative(links.name_of(body['users'][0]))}'",
            reason="resourceInUseByAnotherResource",
        )


def resize_disk(call: Call) -> Body | Reply:
    old = call.need()
    size = int(call.body.get("sizeGb", 0))
    if size <= int(old.get("sizeGb", 0)):
        raise invalid(
            f"Invalid value for field 'sizeGb': '{size}'. Disk size must be larger than the current size of {old.get('sizeGb')} GB."
        )
    return change(call, {**old, "sizeGb": str(size)}, "resizeDisk")


def create_image(call: Call, body: Body) -> None:
    body.setdefault("sourceType", "RAW")
    if body.get("sourceDisk"):
        body["sourceDisk"] = links.full(call, body["sourceDisk"])
        disk = call.need(links.name_of(body["sourceDisk"]))
        body["sourceDiskId"], body["diskSizeGb"] = disk["id"], disk["sizeGb"]
    body.setdefault("diskSizeGb", "10")
    body.setdefault("archiveSizeBytes", "0")
    body.setdefault("storageLocations", ["us"])
    body["status"] = "READY"


def create_snapshot(call: Call) -> Body | Reply:
    """disks.createSnapshot: https://cloud.google.com/compute/docs/reference/rest/v1/disks/createSnapshot"""
    disk = call.need()
    call.name = f"compute/projects/{call.project}/global/snapshots"
    name = f"{call.name}/{call.body.get('name', '')}"
    if name in call.engine.store:
        raise links.existing(name)
    body: Body = {
        **call.body,
        "kind": "compute#snapshot",
        "id": numeric_id(),
        "creationTimestamp": rfc3339(call.now, 3).replace("Z", "-00:00"),
        "selfLink": COMPUTE_BASE + relative(name),
        "sourceDisk": disk["selfLink"],
        "sourceDiskId": disk["id"],
        "diskSizeGb": disk["sizeGb"],
        "storageLocations": call.body.get("storageLocations", ["us"]),
        "storageBytes": "0",
        "storageBytesStatus": "UP_TO_DATE",
        "status": "READY",
        "labelFingerprint": standard.fingerprint(call.body.get("labels", {})),
    }
    call.put(name, body)
    call.name = name
    return standard.finish(call, "createSnapshot", body)


# Verbs on an instance


def change(call: Call, new: Body, verb: str) -> Body | Reply:
    """Keep a changed resource and answer with the operation of its own verb."""
    standard.refresh_marks(call, new) if "fingerprint" in new else None
    call.put(call.name, new)
    call.announce("updated", call.name)
    return standard.finish(call, verb, new)


_STATES = {"start": "RUNNING", "stop": "TERMINATED", "reset": "RUNNING", "suspend": "SUSPENDED", "resume": "RUNNING"}


def set_state(call: Call) -> Body | Reply:
    body, verb = call.need(), call.method.tail
    stamps = {"stop": "lastStopTimestamp", "suspend": "lastSuspendedTimestamp"}
    stamp = rfc3339(call.now, 3).replace("Z", "-00:00")
    return change(call, {**body, "status": _STATES[verb], stamps.get(verb, "lastStartTimestamp"): stamp}, verb)


def set_machine_type(call: Call) -> Body | Reply:
    body = call.need()
    if body.get("status") != "TERMINATED":
        raise invalid(f"Instance is starting or running. Please stop the instance '{body['name']}' first.")
    return change(call, {**body, "machineType": links.full(call, call.body.get("machineType", ""))}, "setMachineType")


def set_metadata(call: Call) -> Body | Reply:
    body = call.need()
    _same_mark(call, body.get("metadata", {}), "metadata")
    given = {"kind": "compute#metadata", **call.body, "fingerprint": digest(call.body.get("items"))}
    return change(call, {**body, "metadata": given}, "setMetadata")


def set_tags(call: Call) -> Body | Reply:
    body = call.need()
    _same_mark(call, body.get("tags", {}), "tags")
    return change(call, {**body, "tags": {**call.body, "fingerprint": digest(call.body.get("items"))}}, "setTags")


def _same_mark(call: Call, held: Body, word: str) -> None:
    given = call.body.get("fingerprint")
    if given and given != held.get("fingerprint"):
        raise ApiError(
            "CONDITION_NOT_MET",
            f"Supplied fingerprint does not match current {word} fingerprint.",
            reason="conditionNotMet",
        )


def set_scheduling(call: Call) -> Body | Reply:
    body = call.need()
    return change(call, {**body, "scheduling": {**body.get("scheduling", {}), **call.body}}, "setScheduling")


def set_service_account(call: Call) -> Body | Reply:
    account = {"email": call.body.get("email", "default"), "scopes": call.body.get("scopes", [])}
    return change(call, {**call.need(), "serviceAccounts": [account]}, "setServiceAccount")


def set_deletion_protection(call: Call) -> Body | Reply:
    wanted = call.params.get("deletionProtection", True)
    return change(call, {**call.need(), "deletionProtection": bool(wanted)}, "setDeletionProtection")


def attach_disk(call: Call) -> Body | Reply:
    body = call.copy()
    disk = {**call.body, "source": links.full(call, call.body.get("source", ""))}
    call.need(links.name_of(disk["source"]))
    body["disks"] = [*body.get("disks", []), disk]
    default_machine(call, body, template=False)
    attach(call, disk["source"], body["selfLink"])
    return change(call, body, "attachDisk")


def detach_disk(call: Call) -> Body | Reply:
    body, device = call.copy(), call.params.get("deviceName", "")
    gone = [disk for disk in body.get("disks", []) if disk.get("deviceName") == device]
    if not gone:
        raise invalid(
            f"Invalid value for field 'deviceName': '{device}'. No attached disk found with this device name."
        )
    body["disks"] = [disk for disk in body["disks"] if disk.get("deviceName") != device]
    attach(call, gone[0].get("source", ""), body["selfLink"], gone=True)
    return change(call, body, "detachDisk")


def serial_output(call: Call) -> Body:
    return {"kind": "compute#serialPortOutput", "contents": "", "start": "0", "next": "0", "selfLink": _self(call)}


def _self(call: Call) -> str:
    return str(call.need()["selfLink"]) + "/serialPort"


METHODS = {
    **{f"instances.{verb}": set_state for verb in _STATES},
    "instances.setMachineType": set_machine_type,
    "instances.setMetadata": set_metadata,
    "instances.setTags": set_tags,
    "instances.setScheduling": set_scheduling,
    "instances.setServiceAccount": set_service_account,
    "instances.setDeletionProtection": set_deletion_protection,
    "instances.attachDisk": attach_disk,
    "instances.detachDisk": detach_disk,
    "instances.getSerialPortOutput": serial_output,
    "disks.resize": resize_disk,
    "regionDisks.resize": resize_disk,
    "disks.createSnapshot": create_snapshot,
    "regionDisks.createSnapshot": create_snapshot,
}
CREATING = {
    "instances": create_instance,
    "instanceTemplates": create_template,
    "disks": create_disk,
    "images": create_image,
}
DELETING = {"instances": delete_instance, "disks": delete_disk}
