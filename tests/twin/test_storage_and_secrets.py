"""Cloud Storage and Secret Manager through their clients."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud import secretmanager

from twin.caller import Caller
from twin.process import Running

# Untyped, and missing from the namespace package that mypy sees.
storage: Any = importlib.import_module("google.cloud.storage")
PROJECT = "staging-twin"


@pytest.fixture
def client(twin: Running) -> Iterator[Any]:
    made: Any = storage.Client(project=PROJECT)
    yield made
    made.close()


@pytest.fixture(params=["grpc", "rest"])
def vault(twin: Running, request: pytest.FixtureRequest) -> Iterator[Any]:
    made: Any = secretmanager.SecretManagerServiceClient(transport=request.param)
    yield made
    made.transport.close()


def test_bytes_come_back_whole_and_in_ranges(client: Any, unique: str) -> None:
    bucket = client.create_bucket(unique)
    blob = bucket.blob("folder/a b.txt")
    blob.upload_from_string(b"0123456789" * 1000, content_type="text/plain")
    assert blob.download_as_bytes() == b"0123456789" * 1000
    assert bucket.blob("folder/a b.txt").download_as_bytes(start=5, end=9) == b"56789"
    found = bucket.get_blob("folder/a b.txt")
    assert found is not None
    assert (found.size, found.content_type) == (10_000, "text/plain")


def test_a_resumable_upload_arrives(client: Any, unique: str) -> None:
    blob = client.create_bucket(unique).blob("big", chunk_size=256 * 1024)
    content = bytes(range(256)) * 4096
    blob.upload_from_string(content)
    assert blob.download_as_bytes() == content


def test_listing_makes_folders_and_pages(client: Any, unique: str) -> None:
    bucket = client.create_bucket(unique)
    for name in ("a/1", "a/2", "b/1", "c"):
        bucket.blob(name).upload_from_string(b"x")
    listing = client.list_blobs(unique, delimiter="/")
    assert [blob.name for blob in listing] == ["c"]
    assert sorted(listing.prefixes) == ["a/", "b/"]
    assert [blob.name for blob in client.list_blobs(unique, page_size=1)] == ["a/1", "a/2", "b/1", "c"]


def test_generations_guard_writes(client: Any, unique: str) -> None:
    blob = client.create_bucket(unique).blob("x")
    blob.upload_from_string(b"1", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string(b"2", if_generation_match=0)
    assert blob.download_as_bytes() == b"1"


def test_a_bucket_with_objects_stays_and_missing_ones_are_worded(client: Any, unique: str) -> None:
    bucket = client.create_bucket(unique)
    bucket.blob("x").upload_from_string(b"1")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        client.get_bucket(unique + "-gone")
    with pytest.raises(exceptions.NotFound, match=f"No such object: {unique}/gone"):
        bucket.blob("gone").reload()


def test_lifecycle_and_cors_are_kept(client: Any, unique: str) -> None:
    bucket = client.create_bucket(unique)
    bucket.add_lifecycle_delete_rule(age=30)
    bucket.cors = [{"origin": ["https://web.example"], "method": ["GET"], "maxAgeSeconds": 60}]
    bucket.patch()
    fresh = client.get_bucket(unique)
    assert [dict(rule) for rule in fresh.lifecycle_rules] == [{"action": {"type": "Delete"}, "condition": {"age": 30}}]
    assert fresh.cors[0]["origin"] == ["https://web.example"]
    assert fresh.metageneration == 2


def test_copy_and_compose(client: Any, unique: str) -> None:
    bucket = client.create_bucket(unique)
    one, two = bucket.blob("1"), bucket.blob("2")
    one.upload_from_string(b"ab")
    two.upload_from_string(b"cd")
    both = bucket.blob("both")
    both.compose([one, two])
    assert both.download_as_bytes() == b"abcd"
    assert bucket.copy_blob(both, bucket, "copy").download_as_bytes() == b"abcd"


def test_a_batch_answers_each_part(client: Any, unique: str) -> None:
    bucket = client.create_bucket(unique)
    for name in ("a", "b"):
        bucket.blob(name).upload_from_string(b"x")
    with client.batch():
        bucket.blob("a").delete()
        bucket.blob("b").delete()
    assert list(client.list_blobs(unique)) == []


def make_secret(vault: Any, unique: str) -> str:
    spec: dict[str, Any] = {"replication": {"automatic": {}}}
    return str(vault.create_secret(parent=f"projects/{PROJECT}", secret_id=unique, secret=spec).name)


def test_versions_count_up_and_latest_is_the_newest(vault: Any, twin: Running, unique: str) -> None:
    name = make_secret(vault, unique)
    assert name == f"projects/{twin.number}/secrets/{unique}"
    for value in (b"one", b"two"):
        vault.add_secret_version(parent=name, payload={"data": value, "data_crc32c": google_crc32c.value(value)})
    latest = vault.access_secret_version(name=name + "/versions/latest")
    assert (latest.name, latest.payload.data) == (name + "/versions/2", b"two")
    assert latest.payload.data_crc32c == google_crc32c.value(b"two")
    assert vault.access_secret_version(name=f"projects/{PROJECT}/secrets/{unique}/versions/1").payload.data == b"one"


def test_disabled_and_destroyed_versions_are_closed(vault: Any, unique: str) -> None:
    name = make_secret(vault, unique)
    version = vault.add_secret_version(parent=name, payload={"data": b"x"}).name
    vault.disable_secret_version(name=version)
    with pytest.raises(exceptions.BadRequest, match="is in DISABLED state"):
        vault.access_secret_version(name=version)
    vault.enable_secret_version(name=version)
    assert vault.access_secret_version(name=version).payload.data == b"x"
    vault.destroy_secret_version(name=version)
    with pytest.raises(exceptions.BadRequest, match="is in DESTROYED state"):
        vault.access_secret_version(name=version)
    with pytest.raises(exceptions.BadRequest):
        vault.enable_secret_version(name=version)


def test_missing_secrets_and_bad_checksums(vault: Any, twin: Running, unique: str) -> None:
    missing = f"projects/{twin.number}/secrets/{unique}"
    with pytest.raises(exceptions.NotFound) as refusal:
        vault.get_secret(name=missing)
    assert f"Secret [{missing}] not found." in str(refusal.value)
    name = make_secret(vault, unique)
    with pytest.raises(exceptions.BadRequest, match="checksum"):
        vault.add_secret_version(parent=name, payload={"data": b"x", "data_crc32c": 1})


def test_access_is_granted_per_secret_and_felt_after_the_delay(
    twin: Running, unique: str, settle: Callable[[], None]
) -> None:
    owner = Caller(twin)
    base = f"iam.googleapis.com/v1/projects/{PROJECT}/serviceAccounts"
    status, account = owner("POST", base, {"accountId": unique})
    assert status == 200
    member = f"serviceAccount:{account['email']}"
    other = Caller(twin, member)
    secret = f"secretmanager.googleapis.com/v1/projects/{PROJECT}/secrets"
    owner("POST", f"{secret}?secretId={unique}", {"replication": {"automatic": {}}})
    owner("POST", f"{secret}/{unique}:addVersion", {"payload": {"data": "eA=="}})
    address = f"{secret}/{unique}/versions/latest:access"
    status, refusal = other("GET", address)
    assert (status, refusal["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "secretmanager.versions.access" in refusal["error"]["message"]
    policy = {"policy": {"bindings": [{"role": "roles/secretmanager.secretAccessor", "members": [member]}]}}
    assert owner("POST", f"{secret}/{unique}:setIamPolicy", policy)[0] == 200
    assert other("GET", address)[0] == 403
    settle()
    assert other("GET", address)[1]["payload"]["data"] == "eA=="
    for caller in (owner, other):
        caller.close()
