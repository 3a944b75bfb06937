"""Instances, templates, disks, groups and policies: what a client of compute sees besides load balancing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import compute

from twin.caller import Caller
from twin.process import Running

PROJECT, ZONE = "staging-twin", "us-central1-a"
BASE = f"compute.googleapis.com/compute/v1/projects/{PROJECT}"
LINK = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


@pytest.fixture
def machines(twin: Running) -> Iterator[Any]:
    made: Any = compute.InstancesClient()
    yield made
    made.transport.close()


def machine(machines: Any, name: str, **more: object) -> Any:
    disk = {
        "boot": True,
        "auto_delete": True,
        "initialize_params": {"source_image": "projects/debian-cloud/global/images/family/debian-12"},
    }
    body = {"name": name, "machine_type": f"zones/{ZONE}/machineTypes/e2-small", "disks": [disk], **more}
    machines.insert(project=PROJECT, zone=ZONE, instance_resource=body).result(timeout=10)
    return machines.get(project=PROJECT, zone=ZONE, instance=name)


def test_an_instance_gets_its_disk_its_address_and_its_marks(machines: Any, rest: Caller, unique: str) -> None:
    made = machine(machines, unique)
    assert made.status == "RUNNING"
    assert made.machine_type == f"{LINK}/zones/{ZONE}/machineTypes/e2-small"
    assert made.disks[0].source == f"{LINK}/zones/{ZONE}/disks/{unique}"
    assert made.metadata.fingerprint == made.tags.fingerprint == "1B2M2Y8AsgTpgAmY7PhCfg=="
    assert made.network_interfaces[0].network == f"{LINK}/global/networks/default"
    disk = rest("GET", f"{BASE}/zones/{ZONE}/disks/{unique}")[1]
    assert disk["users"] == [made.self_link]
    refused = rest("DELETE", f"{BASE}/zones/{ZONE}/disks/{unique}")
    assert refused[0] == 400
    assert refused[1]["error"]["errors"][0]["reason"] == "resourceInUseByAnotherResource"
    machines.delete(project=PROJECT, zone=ZONE, instance=unique).result(timeout=10)
    assert rest("GET", f"{BASE}/zones/{ZONE}/disks/{unique}")[0] == 404, "the boot disk was to be deleted with it"


def test_a_running_instance_keeps_its_machine_type(machines: Any, unique: str) -> None:
    machine(machines, unique)
    wanted = {"machine_type": f"zones/{ZONE}/machineTypes/e2-medium"}
    change = {
        "project": PROJECT,
        "zone": ZONE,
        "instance": unique,
        "instances_set_machine_type_request_resource": wanted,
    }
    with pytest.raises(exceptions.BadRequest):
        machines.set_machine_type(**change)
    machines.stop(project=PROJECT, zone=ZONE, instance=unique).result(timeout=10)
    assert machines.get(project=PROJECT, zone=ZONE, instance=unique).status == "TERMINATED"
    machines.set_machine_type(**change).result(timeout=10)
    machines.start(project=PROJECT, zone=ZONE, instance=unique).result(timeout=10)
    made = machines.get(project=PROJECT, zone=ZONE, instance=unique)
    assert (made.status, made.machine_type.rpartition("/")[2]) == ("RUNNING", "e2-medium")


def test_metadata_and_labels_are_guarded_by_their_fingerprints(machines: Any, rest: Caller, unique: str) -> None:
    made = machine(machines, unique)
    path = f"{BASE}/zones/{ZONE}/instances/{unique}"
    items = {"items": [{"key": "a", "value": "1"}], "fingerprint": made.metadata.fingerprint}
    assert rest("POST", f"{path}/setMetadata", items)[0] == 200
    assert rest("POST", f"{path}/setMetadata", items)[0] == 412, "the fingerprint is of the old metadata"
    assert rest("POST", f"{path}/setLabels", {"labels": {"x": "y"}, "labelFingerprint": "AAAA"})[0] == 412
    held = rest("GET", path)[1]
    assert held["metadata"]["items"] == [{"key": "a", "value": "1"}]


def test_a_protected_instance_is_not_deleted(machines: Any, rest: Caller, unique: str) -> None:
    machine(machines, unique, deletion_protection=True)
    path = f"{BASE}/zones/{ZONE}/instances/{unique}"
    assert rest("DELETE", path)[0] == 400
    assert rest("POST", f"{path}/setDeletionProtection?deletionProtection=false")[0] == 200
    assert rest("DELETE", path)[0] == 200


def test_an_instance_from_a_template(machines: Any, rest: Caller, unique: str) -> None:
    properties = {
        "machineType": "e2-small",
        "disks": [{"boot": True, "initializeParams": {}}],
        "labels": {"from": "template"},
    }
    assert rest("POST", f"{BASE}/global/instanceTemplates", {"name": unique, "properties": properties})[0] == 200
    template = rest("GET", f"{BASE}/global/instanceTemplates/{unique}")[1]["properties"]
    assert template["scheduling"] == {"automaticRestart": True, "onHostMaintenance": "MIGRATE", "preemptible": False}
    assert template["disks"][0]["kind"] == "compute#attachedDisk"
    query = f"sourceInstanceTemplate=global/instanceTemplates/{unique}"
    assert rest("POST", f"{BASE}/zones/{ZONE}/instances?{query}", {"name": unique})[0] == 200
    assert machines.get(project=PROJECT, zone=ZONE, instance=unique).labels == {"from": "template"}


def test_members_of_an_instance_group(machines: Any, rest: Caller, unique: str) -> None:
    made = machine(machines, unique)
    group = f"{BASE}/zones/{ZONE}/instanceGroups"
    rest("POST", group, {"name": unique, "namedPorts": [{"name": "http", "port": 80}]})
    member = {"instances": [{"instance": made.self_link}]}
    assert rest("POST", f"{group}/{unique}/addInstances", member)[0] == 200
    assert (
        rest("POST", f"{group}/{unique}/addInstances", member)[1]["error"]["errors"][0]["reason"]
        == "memberAlreadyExists"
    )
    listed = rest("POST", f"{group}/{unique}/listInstances", {"instanceState": "ALL"})[1]["items"]
    assert listed == [{"instance": made.self_link, "status": "RUNNING", "namedPorts": [{"name": "http", "port": 80}]}]
    assert rest("GET", f"{group}/{unique}")[1]["size"] == 1
    assert rest("POST", f"{group}/{unique}/removeInstances", member)[0] == 200
    assert rest("POST", f"{group}/{unique}/removeInstances", member)[0] == 400


def test_rules_of_a_security_policy(rest: Caller, unique: str) -> None:
    path = f"{BASE}/global/securityPolicies"
    rest("POST", path, {"name": unique})
    rule = {
        "action": "deny(403)",
        "priority": 7,
        "match": {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["192.0.2.0/24"]}},
    }
    assert rest("POST", f"{path}/{unique}/addRule", rule)[1]["operationType"] == "AddRule"
    assert rest("POST", f"{path}/{unique}/addRule", rule)[0] == 400
    assert [rule["priority"] for rule in rest("GET", f"{path}/{unique}")[1]["rules"]] == [7, 2147483647]
    rest("POST", f"{path}/{unique}/patchRule?priority=7", {"action": "allow"})
    assert rest("GET", f"{path}/{unique}/getRule?priority=7")[1]["action"] == "allow"
    rest("POST", f"{path}/{unique}/removeRule?priority=7")
    refused = rest("GET", f"{path}/{unique}/getRule?priority=7")
    assert refused[0] == 400
    assert "does not contain a rule at priority 7" in refused[1]["error"]["message"]


def test_deleting_a_network_in_use_fails_in_its_operation(rest: Caller, unique: str) -> None:
    rest("POST", f"{BASE}/global/networks", {"name": unique, "autoCreateSubnetworks": False})
    rest(
        "POST",
        f"{BASE}/global/firewalls",
        {"name": unique, "network": f"global/networks/{unique}", "allowed": [{"IPProtocol": "tcp"}]},
    )
    status, running = rest("DELETE", f"{BASE}/global/networks/{unique}")
    assert (status, running["status"]) == (200, "RUNNING")
    done = rest("POST", f"{BASE}/global/operations/{running['name']}/wait")[1]
    assert done["error"]["errors"][0]["code"] == "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
    assert done["httpErrorStatusCode"] == 400
    assert rest("GET", f"{BASE}/global/networks/{unique}")[0] == 200
    rest("DELETE", f"{BASE}/global/firewalls/{unique}")
    rest("DELETE", f"{BASE}/global/networks/{unique}")
    assert rest("GET", f"{BASE}/global/networks/{unique}")[0] == 404


def test_a_signing_key_goes_in_and_only_its_name_comes_out(rest: Caller, unique: str) -> None:
    rest("POST", f"{BASE}/global/backendServices", {"name": unique, "enableCDN": True})
    path = f"{BASE}/global/backendServices/{unique}"
    assert rest("POST", f"{path}/addSignedUrlKey", {"keyName": "k", "keyValue": "MTIzNDU2Nzg5MDEyMzQ1Ng=="})[0] == 200
    held = rest("GET", path)[1]
    assert held["cdnPolicy"]["signedUrlKeyNames"] == ["k"]
    assert "MTIzNDU2" not in str(held)
    assert rest("POST", f"{path}/deleteSignedUrlKey?keyName=other")[0] == 400
    assert rest("POST", f"{path}/deleteSignedUrlKey?keyName=k")[0] == 200
    assert "signedUrlKeyNames" not in rest("GET", path)[1]["cdnPolicy"]


def test_a_nat_gets_google_s_timeouts(rest: Caller, unique: str) -> None:
    nat = {
        "name": "n",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
    }
    path = f"{BASE}/regions/us-central1/routers"
    rest("POST", path, {"name": unique, "network": "global/networks/default", "nats": [nat]})
    held = rest("GET", f"{path}/{unique}")[1]["nats"][0]
    assert (held["tcpTimeWaitTimeoutSec"], held["udpIdleTimeoutSec"], held["type"]) == (120, 30, "PUBLIC")


def test_small_verbs_change_one_thing(machines: Any, rest: Caller, unique: str) -> None:
    machine(machines, unique, network_interfaces=[{"network": "global/networks/default"}])
    path = f"{BASE}/zones/{ZONE}/instances/{unique}"
    assert rest("POST", f"{path}/addAccessConfig?networkInterface=nic0", {"name": "n"})[0] == 200
    assert rest("POST", f"{path}/addAccessConfig?networkInterface=nic0", {"name": "n"})[0] == 400, "one is the most"
    assert rest("GET", path)[1]["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    assert rest("POST", f"{path}/deleteAccessConfig?networkInterface=nic0&accessConfig=other")[0] == 400
    assert rest("POST", f"{path}/deleteAccessConfig?networkInterface=nic0&accessConfig=n")[0] == 200
    assert rest("POST", f"{path}/setDiskAutoDelete?deviceName=persistent-disk-0&autoDelete=false")[0] == 200
    assert rest("GET", path)[1]["disks"][0]["autoDelete"] is False


def test_a_subnetwork_only_grows(rest: Caller, unique: str) -> None:
    rest("POST", f"{BASE}/global/networks", {"name": unique, "autoCreateSubnetworks": False})
    subnets = f"{BASE}/regions/us-central1/subnetworks"
    rest("POST", subnets, {"name": unique, "network": f"global/networks/{unique}", "ipCidrRange": "10.9.0.0/24"})
    assert rest("POST", f"{subnets}/{unique}/expandIpCidrRange", {"ipCidrRange": "10.9.0.0/25"})[0] == 400
    assert rest("POST", f"{subnets}/{unique}/expandIpCidrRange", {"ipCidrRange": "10.9.0.0/20"})[0] == 200
    assert rest("GET", f"{subnets}/{unique}")[1]["ipCidrRange"] == "10.9.0.0/20"
