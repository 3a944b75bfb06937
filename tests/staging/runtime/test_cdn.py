"""The CDN: what is kept, what the browser is told, how it is forgotten."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.staging.runtime.conftest import COMPUTE, PROJECT, Stage
from tests.staging.runtime.wire import ask

IMMUTABLE = "public, max-age=31536000, immutable"


def _service(stage: Stage, name: str, **policy: Any) -> str:
    """A service behind a CDN; returns the balancer's URL."""
    stage.deploy(name)
    headers = ["X-Cache:{cdn_cache_status}"]
    backend = stage.serverless(name, name, enableCDN=True, cdnPolicy=policy, customResponseHeaders=headers)
    return stage.balancer(name, {"defaultService": backend})


def _path(**headers: str) -> str:
    return "/asset?" + "&".join(f"{name.replace('_', '-')}={quote(value)}" for name, value in headers.items())


def _bucket(stage: Stage, name: str, **fields: Any) -> str:
    """A public bucket with one immutable asset, behind a balancer."""
    stage.ask("POST", f"storage.googleapis.com/storage/v1/b?project={PROJECT}", {"name": f"{name}-assets"})
    policy = {"bindings": [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]}
    stage.ask("PUT", f"storage.googleapis.com/storage/v1/b/{name}-assets/iam", policy)
    _upload(stage, name, b"console.log(1)")
    stage.ask("POST", f"{COMPUTE}/global/backendBuckets", {"name": name, "bucketName": f"{name}-assets", **fields})
    return stage.balancer(name, {"defaultService": f"projects/{PROJECT}/global/backendBuckets/{name}"})


def _upload(stage: Stage, name: str, content: bytes) -> None:
    key = quote("_next/static/a.js", safe="")
    url = f"storage.googleapis.com/upload/storage/v1/b/{name}-assets/o?uploadType=media&name={key}"
    status, _, answer = stage.call.raw("POST", url, content, {"Content-Type": "text/javascript"})
    assert status == 200, answer
    stage.ask("PATCH", f"storage.googleapis.com/storage/v1/b/{name}-assets/o/{key}", {"cacheControl": IMMUTABLE})


def test_a_second_hit_carries_its_age(stage: Stage, unique: str) -> None:
    url = _bucket(stage, unique, enableCdn=True, cdnPolicy={"cacheMode": "USE_ORIGIN_HEADERS"})

    first = ask(url, "/_next/static/a.js")
    stage.twin.admin("POST", "clock", {"advance": 7})
    second = ask(url, "/_next/static/a.js")

    assert (first.status, first.text, first.headers["cache-control"]) == (200, "console.log(1)", IMMUTABLE)
    assert "age" not in first.headers
    assert second.headers["age"] in ("7", "8")
    assert (second.text, second.headers["cache-control"]) == (first.text, IMMUTABLE)


def test_cache_all_static_takes_the_browser_s_year_away(stage: Stage, unique: str) -> None:
    """https://cloud.google.com/cdn/docs/using-ttl-overrides: clientTtl, 3600 by default, is a ceiling."""
    url = _bucket(stage, unique, enableCdn=True, cdnPolicy={"cacheMode": "CACHE_ALL_STATIC"})

    assert ask(url, "/_next/static/a.js").headers["cache-control"] == "public, max-age=3600, immutable"

    raised = {"cdnPolicy": {"cacheMode": "CACHE_ALL_STATIC", "maxTtl": 31536000, "clientTtl": 31536000}}
    stage.ask("PATCH", f"{COMPUTE}/global/backendBuckets/{unique}", raised)
    assert ask(url, "/_next/static/a.js").headers["cache-control"] == IMMUTABLE


def test_without_a_cdn_nothing_is_kept(stage: Stage, unique: str) -> None:
    url = _bucket(stage, unique)

    assert "age" not in ask(url, "/_next/static/a.js").headers
    assert "age" not in ask(url, "/_next/static/a.js").headers


def test_a_private_bucket_refuses(stage: Stage, unique: str) -> None:
    url = _bucket(stage, unique, enableCdn=True)
    stage.ask("PUT", f"storage.googleapis.com/storage/v1/b/{unique}-assets/iam", {"bindings": []})

    refused = ask(url, "/_next/static/a.js")

    assert (refused.status, "AccessDenied" in refused.text) == (403, True)


def test_an_invalidation_makes_the_new_object_seen(stage: Stage, unique: str) -> None:
    url = _bucket(stage, unique, enableCdn=True, cdnPolicy={"cacheMode": "USE_ORIGIN_HEADERS"})
    ask(url, "/_next/static/a.js")
    _upload(stage, unique, b"console.log(2)")
    assert ask(url, "/_next/static/a.js").text == "console.log(1)"

    stage.ask("POST", f"{COMPUTE}/global/urlMaps/{unique}/invalidateCache", {"path": "/other/*"})
    assert ask(url, "/_next/static/a.js").text == "console.log(1)"
    stage.ask("POST", f"{COMPUTE}/global/urlMaps/{unique}/invalidateCache", {"path": "/_next/static/*"})

    assert ask(url, "/_next/static/a.js").text == "console.log(2)"


@pytest.mark.parametrize(
    ("mode", "given", "kept"),
    [
        ("USE_ORIGIN_HEADERS", "public, max-age=60", True),
        ("USE_ORIGIN_HEADERS", "", False),
        ("USE_ORIGIN_HEADERS", "private, max-age=60", False),
        ("CACHE_ALL_STATIC", "", True),
        ("CACHE_ALL_STATIC", "no-store", False),
        ("CACHE_ALL_STATIC", "private", False),
        ("FORCE_CACHE_ALL", "private, no-store", True),
    ],
)
def test_modes(stage: Stage, unique: str, mode: str, given: str, kept: bool) -> None:
    url = _service(stage, unique, cacheMode=mode)
    path = _path(Cache_Control=given) if given else "/asset"

    first, second = ask(url, path), ask(url, path)

    assert (second.body == first.body) is kept
    assert ("age" in second.headers) is kept
    assert second.headers["x-cache"] == ("hit" if kept else "uncacheable")


def test_a_stale_entry_is_revalidated(stage: Stage, unique: str) -> None:
    url = _service(stage, unique, cacheMode="USE_ORIGIN_HEADERS", serveWhileStale=0)
    path = _path(Cache_Control="max-age=60", ETag='"v1"')
    first = ask(url, path)
    stage.twin.admin("POST", "clock", {"advance": 61})

    again = ask(url, path)

    assert (again.status, again.body, again.headers["x-cache"]) == (200, first.body, "revalidated")
    assert ask(url, path).headers["x-cache"] == "hit"


def test_conditions_and_ranges_are_answered_from_the_cache(stage: Stage, unique: str) -> None:
    url = _service(stage, unique, cacheMode="USE_ORIGIN_HEADERS")
    path = _path(Cache_Control="max-age=60", ETag='"v1"')
    whole = ask(url, path)

    same = ask(url, path, If_None_Match='"v1"')
    other = ask(url, path, If_None_Match='"v0"')
    part = ask(url, path, Range="bytes=2-4")

    assert (same.status, same.body, other.status) == (304, b"", 200)
    assert (part.status, part.body) == (206, whole.body[2:5])
    assert part.headers["content-range"] == f"bytes 2-4/{len(whole.body)}"


def test_negative_caching(stage: Stage, unique: str) -> None:
    url = _service(stage, unique, cacheMode="CACHE_ALL_STATIC", negativeCaching=True)

    first, second = ask(url, _path(status="404")), ask(url, _path(status="404"))
    stage.twin.admin("POST", "clock", {"advance": 121})
    later = ask(url, _path(status="404"))

    assert (first.status, second.status, second.body) == (404, 404, first.body)
    assert later.body != first.body


def test_the_cache_key_follows_its_policy(stage: Stage, unique: str) -> None:
    key = {"includeHost": True, "includeProtocol": True, "includeQueryString": True, "queryStringWhitelist": ["v"]}
    url = _service(stage, unique, cacheMode="FORCE_CACHE_ALL", cacheKeyPolicy=key)
    first = ask(url, "/asset?v=1&utm=a")

    assert ask(url, "/asset?v=1&utm=b").body == first.body
    assert ask(url, "/asset?v=2&utm=a").body != first.body
    assert ask(url, "/asset?v=1&utm=a", Host="other.example").body != first.body
    assert ask(url, "/asset?v=1&utm=a", "POST").status == 405


def test_a_bypass_header_goes_to_the_origin(stage: Stage, unique: str) -> None:
    bypass = [{"headerName": "X-Fresh"}]
    url = _service(stage, unique, cacheMode="CACHE_ALL_STATIC", bypassCacheOnRequestHeaders=bypass)
    first = ask(url, "/asset")

    assert ask(url, "/asset").body == first.body
    assert ask(url, "/asset", X_Fresh="1").body != first.body
