"""Refusals that every API shares: credentials, turned-off APIs, missing permissions, bodies that do not parse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from twin.caller import Caller
from twin.process import Running

PROJECT = "staging-twin"
RINGS = f"cloudkms.googleapis.com/v1/projects/{PROJECT}/locations/us/keyRings"
DATASETS = f"bigquery.googleapis.com/bigquery/v2/projects/{PROJECT}/datasets"


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def reason(error: Any) -> str:
    return str(next(item["reason"] for item in error["details"] if item["@type"].endswith("ErrorInfo")))


def test_no_credentials(twin: Running) -> None:
    nobody = Caller(twin, "")
    status, answer = nobody("GET", RINGS)
    assert (status, answer["error"]["status"], reason(answer["error"])) == (
        401,
        "UNAUTHENTICATED",
        "CREDENTIALS_MISSING",
    )
    assert "errors" not in answer["error"], "Cloud KMS speaks the newer dialect"
    _, answer = nobody("GET", DATASETS)
    entry = answer["error"]["errors"][0]
    assert (entry["message"], entry["reason"], entry["location"]) == ("Login Required.", "required", "Authorization")
    nobody.close()


def test_credentials_that_nobody_gave_out(twin: Running) -> None:
    stranger = Caller(twin, "")
    stranger.headers = {"Authorization": "Bearer ya29.made-up"}
    _, answer = stranger("GET", DATASETS)
    assert answer["error"]["message"].startswith("Request had invalid authentication credentials. Expected OAuth 2")
    assert reason(answer["error"]) == "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    assert answer["error"]["errors"][0]["message"] == "Invalid Credentials"
    stranger.close()


def test_a_missing_permission_names_itself(twin: Running, unique: str) -> None:
    other = Caller(twin, f"user:{unique}@example.com")
    _, answer = other("GET", f"{RINGS}/r")
    error = answer["error"]
    assert error["message"] == (
        f"Permission 'cloudkms.keyRings.get' denied on resource 'projects/{PROJECT}/locations/us/keyRings/r' "
        "(or it may not exist)."
    )
    assert reason(error) == "IAM_PERMISSION_DENIED"
    assert error["details"][0]["metadata"]["permission"] == "cloudkms.keyRings.get"
    other.close()


def test_an_api_that_was_turned_off(rest: Caller) -> None:
    services = f"serviceusage.googleapis.com/v1/projects/{PROJECT}/services"
    redis = f"redis.googleapis.com/v1/projects/{PROJECT}/locations/us-central1/instances"
    assert rest("POST", f"{services}/redis.googleapis.com:disable", {})[0] == 200
    try:
        status, answer = rest("GET", redis)
        assert (status, reason(answer["error"])) == (403, "SERVICE_DISABLED")
        assert "has not been used in project" in answer["error"]["message"]
    finally:
        rest("POST", f"{services}/redis.googleapis.com:enable", {})
    assert rest("GET", redis)[0] == 200


def test_an_unknown_field_is_refused_by_the_front_end(rest: Caller) -> None:
    _, answer = rest("POST", f"compute.googleapis.com/compute/v1/projects/{PROJECT}/global/addresses", {"nme": "x"})
    error = answer["error"]
    said = "Invalid JSON payload received. Unknown name \"nme\" at 'resource': Cannot find field."
    assert (error["code"], error["message"], error["status"]) == (400, said, "INVALID_ARGUMENT")
    assert error["errors"] == [{"message": said, "reason": "invalid"}]
    assert error["details"][0]["fieldViolations"] == [{"field": "resource", "description": said}]


def test_an_unknown_enum_value_names_the_enum(rest: Caller, unique: str) -> None:
    rest("POST", f"{RINGS}?keyRingId={unique}", {})
    _, answer = rest("POST", f"{RINGS}/{unique}/cryptoKeys?cryptoKeyId=k", {"purpose": "LOCK"})
    assert answer["error"]["message"] == (
        "Invalid value at 'crypto_key.purpose' (type.googleapis.com/google.cloud.kms.v1.CryptoKey.CryptoKeyPurpose), \"LOCK\""
    )


def test_a_mask_may_begin_with_the_resource(rest: Caller, unique: str) -> None:
    policies = f"orgpolicy.googleapis.com/v2/projects/{PROJECT}/policies"
    name = "compute.disableSerialPortAccess"
    made = {"name": f"projects/{PROJECT}/policies/{name}", "spec": {"rules": [{"enforce": True}]}}
    assert rest("POST", policies, made)[0] == 200
    changed = {**made, "spec": {"rules": [{"enforce": False}]}}
    status, answer = rest("PATCH", f"{policies}/{name}?updateMask=policy.spec", changed)
    assert (status, answer["spec"]["rules"]) == (200, [{"enforce": False}])
    assert rest("PATCH", f"{policies}/{name}?updateMask=other.spec", changed)[0] == 400


def test_an_agent_that_the_twin_does_not_make_may_be_granted(rest: Caller, unique: str) -> None:
    assert rest("POST", f"{RINGS}?keyRingId={unique}", {})[0] == 200
    number = rest("GET", f"cloudresourcemanager.googleapis.com/v1/projects/{PROJECT}")[1]["projectNumber"]

    def grant(email: str) -> int:
        binding = {"role": "roles/cloudkms.viewer", "members": [f"serviceAccount:{email}"]}
        return rest("POST", f"{RINGS}/{unique}:setIamPolicy", {"policy": {"bindings": [binding]}})[0]

    assert grant(f"service-{number}@gcp-sa-bigqueryconnection.iam.gserviceaccount.com") == 200
    assert grant(f"service-{number}9@gcp-sa-cloudkms.iam.gserviceaccount.com") == 400
    assert grant(f"{unique}@{PROJECT}.iam.gserviceaccount.com") == 400
