"""Service accounts that come back, keys that are switched off, keys that people bring along."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from twin.caller import Caller
from twin.process import Running

PROJECT = "staging-twin"
ACCOUNTS = f"iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts"


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


@pytest.fixture
def account(rest: Caller, unique: str) -> Any:
    return rest("POST", ACCOUNTS, {"accountId": unique, "serviceAccount": {"displayName": "d"}})[1]


def signed(email: str, kid: str, pem: str | bytes) -> str:
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    claims = {"iss": email, "sub": email, "iat": now, "exp": now + 600, "aud": "https://iam.googleapis.com/"}
    return jwt.encode(claims, pem, algorithm="RS256", headers={"kid": kid})


def as_account(rest: Caller, token: str) -> int:
    """What the account itself gets: 401 when the token is worth nothing, 403 as long as it may do nothing."""
    url = f"cloudkms.googleapis.com/v1/projects/{PROJECT}/locations/us/keyRings"
    return rest("GET", url, headers={"Authorization": f"Bearer {token}"})[0]


def test_a_key_is_switched_off_and_on(rest: Caller, account: Any) -> None:
    keys = f"{ACCOUNTS}/{account['email']}/keys"
    made = rest("POST", keys, {})[1]
    file = json.loads(base64.b64decode(made["privateKeyData"]))
    token = signed(account["email"], file["private_key_id"], file["private_key"])
    assert as_account(rest, token) == 403
    key = f"{keys}/{file['private_key_id']}"
    assert rest("POST", f"{key}:disable", {}) == (200, {})
    assert as_account(rest, token) == 401
    shown = rest("GET", key)[1]
    assert (shown["disabled"], shown["disableReason"]) == (True, "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED")
    assert rest("POST", f"{key}:enable", {}) == (200, {})
    assert as_account(rest, token) == 403
    assert "disabled" not in rest("GET", key)[1]


def test_a_key_of_ones_own(rest: Caller, account: Any) -> None:
    private = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unused")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=3650))
    pem = builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    keys = f"{ACCOUNTS}/{account['email']}/keys"
    status, made = rest("POST", f"{keys}:upload", {"publicKeyData": base64.b64encode(pem).decode()})
    assert (status, made["keyOrigin"], made["validAfterTime"]) == (200, "USER_PROVIDED", "2026-01-01T00:00:00Z")
    mine = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert as_account(rest, signed(account["email"], made["name"].rpartition("/")[2], mine)) == 403
    refused = rest("POST", f"{keys}:upload", {"publicKeyData": base64.b64encode(b"no certificate").decode()})
    assert refused[0] == 400
    assert "X.509 v3 certificate" in refused[1]["error"]["message"]


def test_a_deleted_account_comes_back(rest: Caller, account: Any, unique: str) -> None:
    place = f"{ACCOUNTS}/{account['email']}"
    assert rest("DELETE", place)[0] == 200
    assert rest("GET", place)[0] == 404
    again = f"iam.googleapis.com/v1/projects/-/serviceAccounts/{account['uniqueId']}:undelete"
    status, answer = rest("POST", again, {})
    assert (status, answer["restoredAccount"]["uniqueId"]) == (200, account["uniqueId"])
    assert rest("GET", place)[1]["displayName"] == "d"
    assert rest("POST", again, {})[0] == 404
    rest("DELETE", place)
    rest("POST", ACCOUNTS, {"accountId": unique})
    status, answer = rest("POST", again, {})
    assert (status, answer["error"]["status"]) == (409, "ALREADY_EXISTS")


def test_after_thirty_days_it_is_gone(rest: Caller, twin: Running, account: Any) -> None:
    rest("DELETE", f"{ACCOUNTS}/{account['email']}")
    twin.admin("POST", "clock", {"advance": 31 * 86_400})
    late = Caller(twin)
    again = f"iam.googleapis.com/v1/projects/-/serviceAccounts/{account['uniqueId']}:undelete"
    assert late("POST", again, {})[0] == 404
    late.close()
