"""Objects beyond the everyday: versions, soft delete, retention, access lists, HMAC keys, signed URLs, the XML API, CORS."""

from __future__ import annotations

import importlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions

from twin.caller import Caller
from twin.process import Running

storage: Any = importlib.import_module("google.cloud.storage")
PROJECT = "staging-twin"


@pytest.fixture
def client(twin: Running) -> Iterator[Any]:
    made: Any = storage.Client(project=PROJECT)
    yield made
    made.close()


@pytest.fixture
def call(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


def fetch(
    twin: Running, url: str, verb: str = "GET", data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """A plain HTTP client with no Google library and no token, through the proxy."""
    proxy = urllib.request.ProxyHandler({"https": twin.proxy})
    context = ssl.create_default_context(cafile=str(twin.folder / "ca.pem"))
    opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, data, headers or {}, method=verb)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), {name.lower(): value for name, value in error.headers.items()}


def test_versioned_objects_stay_addressable(client: Any, unique: str) -> None:
    bucket = client.bucket(unique)
    bucket.versioning_enabled = True
    bucket.create()
    blob = bucket.blob("x")
    blob.upload_from_string(b"one")
    first = blob.generation
    blob.upload_from_string(b"two")
    bucket.blob("x").delete()
    assert [item.name for item in client.list_blobs(unique)] == []
    kept = list(client.list_blobs(unique, versions=True))
    assert [(item.name, item.time_deleted is not None) for item in kept] == [("x", True), ("x", True)]
    assert bucket.blob("x", generation=first).download_as_bytes() == b"one"
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()


def test_a_deleted_object_can_be_restored_for_seven_days(client: Any, twin: Running, unique: str) -> None:
    bucket = client.create_bucket(unique)
    blob = bucket.blob("x")
    blob.upload_from_string(b"kept")
    generation = blob.generation
    blob.delete()
    (shelved,) = client.list_blobs(unique, soft_deleted=True)
    assert shelved.hard_delete_time - shelved.soft_delete_time == timedelta(days=7)
    bucket.restore_blob("x", generation=generation)
    assert bucket.blob("x").download_as_bytes() == b"kept"
    bucket.blob("x").delete()
    twin.admin("POST", "clock", {"advance": 7 * 86_400 + 1})
    assert list(client.list_blobs(unique, soft_deleted=True)) == []


def test_retention_and_holds_refuse_deletion(client: Any, unique: str) -> None:
    bucket = client.bucket(unique)
    bucket.retention_period = 3600
    bucket.create()
    blob = bucket.blob("x")
    blob.upload_from_string(b"1")
    with pytest.raises(exceptions.Forbidden, match="subject to bucket's retention policy"):
        blob.delete()
    bucket.reload()
    bucket.lock_retention_policy()
    bucket.retention_period = 60
    with pytest.raises(exceptions.Forbidden, match="Cannot reduce retention duration of a locked Retention Policy"):
        bucket.patch()
    held = client.create_bucket(unique + "-held").blob("y")
    held.upload_from_string(b"1")
    held.temporary_hold = True
    held.patch()
    with pytest.raises(exceptions.Forbidden, match="under active Temporary hold"):
        held.delete()
    held.temporary_hold = False
    held.patch()
    held.delete()


def test_access_lists_grant_until_access_is_uniform(client: Any, twin: Running, unique: str) -> None:
    bucket = client.create_bucket(unique)
    blob = bucket.blob("a/b.txt")
    blob.upload_from_string(b"public", content_type="text/plain")
    url = f"https://storage.googleapis.com/{unique}/a/b.txt"
    status, content, _ = fetch(twin, url)
    assert status == 401
    assert b"Anonymous caller does not have storage.objects.get access" in content
    blob.make_public()
    twin.admin("POST", "clock", {"advance": 61})
    status, content, headers = fetch(twin, url)
    assert (status, content, headers["content-type"]) == (200, b"public", "text/plain")
    assert ("allUsers", "READER") in [(entry["entity"], entry["role"]) for entry in blob.acl]
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    assert fetch(twin, url)[0] == 401
    with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access"):
        bucket.blob("a/b.txt").acl.reload()


def test_lifecycle_rules_delete_by_the_clock(client: Any, twin: Running, unique: str) -> None:
    bucket = client.bucket(unique)
    bucket.add_lifecycle_delete_rule(age=30, matches_prefix=["tmp/"])
    bucket.create()
    for name in ("tmp/old", "kept"):
        bucket.blob(name).upload_from_string(b"x")
    assert [item.name for item in client.list_blobs(unique)] == ["kept", "tmp/old"]
    twin.admin("POST", "clock", {"advance": 31 * 86_400})
    fresh = storage.Client(project=PROJECT)
    assert [item.name for item in fresh.list_blobs(unique)] == ["kept"]
    fresh.close()


def test_signed_urls_put_and_get(client: Any, twin: Running, unique: str) -> None:
    bucket = client.create_bucket(unique)
    blob = bucket.blob("dir/name with space.txt")
    now = twin_now(twin)
    put = sign(blob, now, "PUT", content_type="text/plain")
    assert fetch(twin, put, "PUT", b"signed", {"Content-Type": "text/plain"})[0] == 200
    assert blob.download_as_bytes() == b"signed"
    get = sign(blob, now, "GET")
    assert fetch(twin, get)[:2] == (200, b"signed")
    status, content, _ = fetch(twin, get.replace("dir/", "other/"))
    assert (status, b"SignatureDoesNotMatch" in content) == (403, True)
    status, content, _ = fetch(twin, sign(blob, now - timedelta(hours=2), "GET"))
    assert (status, b"ExpiredToken" in content) == (400, True)


def twin_now(twin: Running) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(twin.admin("GET", "clock")["now"])


def sign(blob: Any, now: Any, verb: str, **more: Any) -> str:
    """A V4 URL as the official library signs it, at the twin's time."""
    signing: Any = importlib.import_module("google.cloud.storage._signing")
    return str(
        signing.generate_signed_url_v4(
            blob.client._credentials,
            resource=f"/{blob.bucket.name}/{importlib.import_module('urllib.parse').quote(blob.name)}",
            expiration=timedelta(minutes=15),
            method=verb,
            api_access_endpoint="https://storage.googleapis.com",
            _request_timestamp=now.strftime("%Y%m%dT%H%M%SZ"),
            **more,
        )
    )


def test_hmac_keys_show_their_secret_once(client: Any, unique: str, twin: Running) -> None:
    email = f"twin-client@{PROJECT}.iam.gserviceaccount.com"
    metadata, secret = client.create_hmac_key(email)
    assert len(secret) == 40
    assert [key.access_id for key in client.list_hmac_keys(service_account_email=email)] == [metadata.access_id]
    with pytest.raises(exceptions.BadRequest, match="Cannot delete keys in 'ACTIVE' state"):
        client._connection.api_request(method="DELETE", path=metadata.path)
    metadata.state = "INACTIVE"
    metadata.update()
    metadata.delete()
    assert list(client.list_hmac_keys()) == []


def test_notifications_are_kept(call: Caller, unique: str, client: Any) -> None:
    client.create_bucket(unique)
    base = f"storage.googleapis.com/storage/v1/b/{unique}/notificationConfigs"
    topic = f"projects/{PROJECT}/topics/t"
    status, made = call("POST", base, {"topic": topic, "payload_format": "JSON_API_V1"})
    assert (status, made["id"], made["topic"]) == (200, "1", f"//pubsub.googleapis.com/{topic}")
    assert call("GET", base)[1]["items"] == [made]
    assert call("DELETE", f"{base}/1")[0] == 204
    assert call("GET", f"{base}/1")[0] == 404


def test_a_preflight_is_answered_by_the_bucket(client: Any, twin: Running, unique: str) -> None:
    bucket = client.bucket(unique)
    bucket.cors = [
        {
            "origin": ["https://web.example"],
            "method": ["GET", "PUT"],
            "responseHeader": ["content-type"],
            "maxAgeSeconds": 60,
        }
    ]
    bucket.create()
    url = f"https://{unique}.storage.googleapis.com/x"
    asked = {"Origin": "https://web.example", "Access-Control-Request-Method": "PUT"}
    status, _, headers = fetch(twin, url, "OPTIONS", headers=asked)
    assert (status, headers["access-control-allow-origin"], headers["access-control-max-age"]) == (
        200,
        "https://web.example",
        "60",
    )
    _, _, headers = fetch(twin, url, "OPTIONS", headers={**asked, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in headers


def test_the_xml_api_words_what_is_missing(twin: Running, call: Caller, unique: str) -> None:
    status, headers, content = call.raw("GET", f"storage.googleapis.com/{unique}-gone/x")
    assert (status, headers["content-type"]) == (404, "application/xml; charset=UTF-8")
    assert b"<Code>NoSuchBucket</Code>" in content
    call("POST", f"storage.googleapis.com/storage/v1/b?project={PROJECT}", {"name": unique})
    assert call.raw("PUT", f"storage.googleapis.com/{unique}/a/b", b"x", {"x-goog-meta-k": "v"})[0] == 200
    status, headers, content = call.raw("GET", f"{unique}.storage.googleapis.com/a/b")
    assert (status, headers["x-goog-meta-k"], content) == (200, "v", b"x")
    _, _, content = call.raw("GET", f"storage.googleapis.com/{unique}?list-type=2&prefix=a/")
    assert b"<Key>a/b</Key>" in content
    status, body = call("GET", f"storage.googleapis.com/storage/v1/b/{unique}/o/a%2Fb")
    assert (status, body["metadata"]) == (200, {"k": "v"})
    assert json.dumps(body).count("~") == 0


def test_a_bucket_of_one_region_says_that_it_is_isolated_to_its_zones(call: Caller, unique: str) -> None:
    buckets = f"storage.googleapis.com/storage/v1/b?project={PROJECT}"
    assert call("POST", buckets, {"name": f"{unique}-a", "location": "us-central1"})[1]["satisfiesPZI"] is True
    assert "satisfiesPZI" not in call("POST", buckets, {"name": f"{unique}-b", "location": "US"})[1]
