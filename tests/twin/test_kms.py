"""Cloud KMS through its official client, over gRPC and REST."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud import kms

from twin.process import Running

PARENT = "projects/staging-twin/locations/us"


@pytest.fixture(params=["grpc", "rest"])
def client(twin: Running, request: pytest.FixtureRequest) -> Iterator[Any]:
    made: Any = kms.KeyManagementServiceClient(transport=request.param)
    yield made
    made.transport.close()


@pytest.fixture
def key(client: Any, unique: str) -> str:
    ring = client.create_key_ring(parent=PARENT, key_ring_id=unique, key_ring={})
    made = client.create_crypto_key(
        parent=ring.name, crypto_key_id="k", crypto_key={"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT}
    )
    return str(made.name)


def set_state(client: Any, version: str, state: str) -> None:
    states: Any = kms.CryptoKeyVersion.CryptoKeyVersionState
    wanted = states[state]
    client.update_crypto_key_version(
        crypto_key_version={"name": version, "state": wanted}, update_mask={"paths": ["state"]}
    )


def test_a_new_key_has_an_enabled_primary(client: Any, key: str) -> None:
    found = client.get_crypto_key(name=key)
    assert found.primary.name == key + "/cryptoKeyVersions/1"
    assert found.primary.state == kms.CryptoKeyVersion.CryptoKeyVersionState.ENABLED
    assert found.destroy_scheduled_duration == timedelta(days=30)


def test_decrypt_returns_what_was_encrypted(client: Any, key: str) -> None:
    request = {"name": key, "plaintext": b"tulip", "plaintext_crc32c": google_crc32c.value(b"tulip")}
    sealed = client.encrypt(request=request)
    assert sealed.verified_plaintext_crc32c is True
    assert sealed.ciphertext_crc32c == google_crc32c.value(sealed.ciphertext)
    opened = client.decrypt(name=key, ciphertext=sealed.ciphertext)
    assert (opened.plaintext, opened.used_primary) == (b"tulip", True)


def test_a_wrong_checksum_is_refused(client: Any, key: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="plaintext_crc32c did not match the data in field plaintext"):
        client.encrypt(request={"name": key, "plaintext": b"tulip", "plaintext_crc32c": 1})


def test_a_changed_ciphertext_is_refused(client: Any, key: str) -> None:
    sealed = client.encrypt(name=key, plaintext=b"tulip").ciphertext
    with pytest.raises(exceptions.BadRequest, match="Decryption failed"):
        client.decrypt(name=key, ciphertext=sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_disabling_is_felt_after_the_delay(client: Any, key: str, settle: Callable[[], None]) -> None:
    version = key + "/cryptoKeyVersions/1"
    set_state(client, version, "DISABLED")
    assert client.encrypt(name=key, plaintext=b"x").name == version
    settle()
    with pytest.raises(exceptions.BadRequest) as refusal:
        client.encrypt(name=key, plaintext=b"x")
    assert f"{version} is not enabled, current state is: DISABLED." in str(refusal.value)
    set_state(client, version, "ENABLED")
    settle()
    assert client.encrypt(name=key, plaintext=b"x").name == version


def test_rotation_makes_a_new_primary_and_old_ciphertexts_open(client: Any, twin: Running, unique: str) -> None:
    ring = client.create_key_ring(parent=PARENT, key_ring_id=unique, key_ring={})
    now = datetime.fromisoformat(twin.admin("GET", "clock")["now"]).astimezone(UTC)
    spec = {
        "purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT,
        "rotation_period": {"seconds": 7_776_000},
        "next_rotation_time": now + timedelta(seconds=30),
    }
    key = client.create_crypto_key(parent=ring.name, crypto_key_id="k", crypto_key=spec).name
    old = client.encrypt(name=key, plaintext=b"old").ciphertext
    twin.admin("POST", "clock", {"advance": 31})
    assert client.get_crypto_key(name=key).primary.name == key + "/cryptoKeyVersions/2"
    opened = client.decrypt(name=key, ciphertext=old)
    assert (opened.plaintext, opened.used_primary) == (b"old", False)


def test_a_rotation_period_needs_its_first_moment(client: Any, unique: str) -> None:
    ring = client.create_key_ring(parent=PARENT, key_ring_id=unique, key_ring={})
    spec = {"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT, "rotation_period": {"seconds": 7_776_000}}
    with pytest.raises(exceptions.BadRequest, match="next_rotation_time"):
        client.create_crypto_key(parent=ring.name, crypto_key_id="k", crypto_key=spec)


def test_destruction_is_scheduled_and_can_be_taken_back(client: Any, key: str, twin: Running) -> None:
    states = kms.CryptoKeyVersion.CryptoKeyVersionState
    version = key + "/cryptoKeyVersions/1"
    assert client.destroy_crypto_key_version(name=version).state == states.DESTROY_SCHEDULED
    assert client.restore_crypto_key_version(name=version).state == states.DISABLED


def test_names_are_unique_and_missing_ones_are_worded_as_google_does(client: Any, key: str) -> None:
    ring = key.partition("/cryptoKeys/")[0]
    with pytest.raises(exceptions.Conflict, match=f"KeyRing {ring} already exists"):
        client.create_key_ring(parent=PARENT, key_ring_id=ring.rpartition("/")[2], key_ring={})
    with pytest.raises(exceptions.NotFound, match=f"CryptoKey {key}x not found."):
        client.get_crypto_key(name=key + "x")


def test_asymmetric_keys_sign_verifiably(client: Any, unique: str) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    ring = client.create_key_ring(parent=PARENT, key_ring_id=unique, key_ring={})
    algorithm = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm.EC_SIGN_P256_SHA256
    spec = {"purpose": kms.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN, "version_template": {"algorithm": algorithm}}
    version = (
        client.create_crypto_key(parent=ring.name, crypto_key_id="k", crypto_key=spec).name + "/cryptoKeyVersions/1"
    )
    signature = client.asymmetric_sign(request={"name": version, "data": b"contract"}).signature
    public = serialization.load_pem_public_key(client.get_public_key(name=version).pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, b"contract", ec.ECDSA(hashes.SHA256()))


def test_pages_follow_each_other(client: Any, key: str) -> None:
    ring = key.partition("/cryptoKeys/")[0]
    for number in range(4):
        client.create_crypto_key(
            parent=ring,
            crypto_key_id=f"p{number}",
            crypto_key={"purpose": kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT},
        )
    pages = list(client.list_crypto_keys(request={"parent": ring, "page_size": 2}).pages)
    assert [len(page.crypto_keys) for page in pages] == [2, 2, 1]
