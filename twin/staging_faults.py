"""Plants the faults of the patient's cloud, and takes them back.

A step is a plain API call, an edit (the resource is read, parts of it are set or removed, and it is written back), or
the name of something that takes more than that, with its own way back.
What a step replaced is remembered, so that a fault can be healed without knowing what it did.
"""

from __future__ import annotations

import contextlib
import copy
import json
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from twin.process import Running, TwinError

#: What Cloud Run's update takes of a service as it was read.
_RUN_PARTS: Final = ("template", "scaling", "traffic", "labels", "annotations", "ingress")
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Step = dict[str, Any]
Way = Callable[[], None]


class Api:
    """Calls to the twin's APIs as the project's owner, to Aura's as its client."""

    def __init__(self, twin: Running, owner: str) -> None:
        self._twin = twin
        self._owner = owner
        self._tokens: dict[str, str] = {}

    def call(self, verb: str, url: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON. TwinError with what the API said when it refuses."""
        content = json.dumps(body).encode() if body is not None else None
        return self.send(verb, url, content, "application/json")

    def send(self, verb: str, url: str, content: bytes | None, kind: str) -> dict[str, Any]:
        """The same with any content."""
        host, _, path = url.removeprefix("https://").partition("/")
        who = "aura:staging" if host.endswith(".neo4j.io") else f"user:{self._owner}"
        if who not in self._tokens:
            self._tokens[who] = str(self._twin.admin("POST", "token", {"principal": who})["accessToken"])
        headers = {"Host": host, "Authorization": f"Bearer {self._tokens[who]}", "Content-Type": kind}
        request = urllib.request.Request(f"{self._twin.proxy}/{path}", content, headers, method=verb)  # noqa: S310
        try:
            with _OPENER.open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise TwinError(f"{verb} {url} was refused ({error.code}): {error.read().decode()[:400]}") from error
        return dict(json.loads(text)) if text else {}


class Faults:
    """The table in `cloud/faults.toml`, and which of it is planted."""

    def __init__(self, path: Path, api: Api, fill: Callable[[Any], Any], ways: Mapping[str, tuple[Way, Way]]) -> None:
        self._api = api
        self._ways = ways
        self._fill = fill
        self._undo: list[Callable[[], object]] = []
        self.planted: list[str] = []
        self.table: dict[str, Mapping[str, Any]] = {
            fault["id"]: fault for fault in tomllib.loads(path.read_text(encoding="utf-8")).get("fault", [])
        }

    def plant(self, ids: Iterable[str]) -> None:
        """Break what these faults break. TwinError for an id that is not in the table."""
        for name in ids:
            if name not in self.table:
                raise TwinError(f"no fault {name} in cloud/faults.toml; there are: {', '.join(sorted(self.table))}")
            for text in self.table[name]["steps"]:
                self._run(self._fill(json.loads(text)))
            self.planted.append(name)

    def heal(self) -> None:
        """Take everything back, the newest first."""
        while self._undo:
            self._undo.pop()()
        self.planted.clear()

    def _run(self, step: Step) -> None:
        if "edit" in step:
            self._edit(step)
            return
        if "do" in step:
            there, back = self._ways[step["do"]]
            there()
            self._undo.append(back)
            return
        verb, url = step["verb"], step["url"]
        self._remember(verb, url, step.get("body") or {})
        answer = self._api.call(verb, url, step.get("body"))
        if step.get("wait"):
            self._wait(url, answer)
        if verb == "POST" and url.endswith("/jobs") and "//dataflow." in url:
            cancelled = {"requestedState": "JOB_STATE_CANCELLED"}
            self._undo.append(lambda: self._api.call("PUT", f"{url}/{answer['id']}", cancelled))

    def _remember(self, verb: str, url: str, body: Mapping[str, Any]) -> None:
        """Before a call: how to take back what it will make, replace or remove."""
        if url.endswith(":setIamPolicy"):
            self._undo.append(self._policy_of(url.removesuffix(":setIamPolicy")))
        elif verb == "DELETE" and "//secretmanager." in url:
            self._undo.append(self._secret_of(url))
        elif url.endswith(":addVersion"):
            value = self._api.call("GET", url.replace(":addVersion", "/versions/latest:access"))["payload"]["data"]
            self._undo.append(lambda: self._api.call("POST", url, {"payload": {"data": value}}))
        elif verb == "DELETE" and "//redis." in url:
            self._undo.append(self._cache_of(url))
        elif verb == "POST" and "serviceId=" in url:
            self._undo.append(lambda: self._api.call("DELETE", url.replace("?serviceId=", "/")))
        elif url.endswith("/entries:write"):
            logs = {entry["logName"] for entry in body["entries"]}
            self._undo += [self._without_log(name) for name in sorted(logs)]
        elif "copy" in body.get("configuration", {}):
            self._undo.append(self._copied_back(url, body))

    def _policy_of(self, resource: str) -> Callable[[], object]:
        before = self._api.call("GET", f"{resource}:getIamPolicy")
        before.pop("etag", None)
        return lambda: self._api.call("POST", f"{resource}:setIamPolicy", {"policy": before})

    def _secret_of(self, url: str) -> Callable[[], object]:
        """The secret again, with its newest value and its readers."""
        collection, _, name = url.rpartition("/")
        value = self._api.call("GET", f"{url}/versions/latest:access")["payload"]["data"]
        policy = self._policy_of(url)

        def again() -> None:
            self._api.call("POST", f"{collection}?secretId={name}", {"replication": {"automatic": {}}})
            self._api.call("POST", f"{url}:addVersion", {"payload": {"data": value}})
            policy()

        return again

    def _cache_of(self, url: str) -> Callable[[], object]:
        """The instance again, in place of the lesser one."""
        collection, _, name = url.rpartition("/")
        kept = ("tier", "memorySizeGb", "redisVersion", "redisConfigs", "labels")
        found = self._api.call("GET", url)
        before = {part: found[part] for part in kept if part in found}

        def again() -> None:
            self._api.call("DELETE", url)
            self._api.call("POST", f"{collection}?instanceId={name}", before)

        return again

    def _without_log(self, name: str) -> Callable[[], object]:
        project, _, log = name.partition("/logs/")

        def gone() -> None:
            with contextlib.suppress(TwinError):  # a log without entries is no log
                self._api.call("DELETE", f"https://logging.googleapis.com/v2/{project}/logs/{log}")

        return gone

    def _copied_back(self, url: str, body: Mapping[str, Any]) -> Callable[[], object]:
        """The table copied onto itself under the key that it has now."""
        target = body["configuration"]["copy"]["destinationTable"]
        table = f"{url.removesuffix('/jobs')}/datasets/{target['datasetId']}/tables/{target['tableId']}"
        key = self._api.call("GET", table).get("encryptionConfiguration", {}).get("kmsKeyName", "")
        key = key.partition("/cryptoKeyVersions/")[0]

        def again() -> None:
            job = copy.deepcopy(dict(body))
            job["jobReference"]["jobId"] += "-back"
            job["configuration"]["copy"]["destinationEncryptionConfiguration"] = {"kmsKeyName": key}
            self._wait(url, self._api.call("POST", url, job))

        return again

    def _wait(self, url: str, answer: Mapping[str, Any]) -> None:
        job = f"{url}/{answer['jobReference']['jobId']}?location={answer['jobReference']['location']}"
        end = time.monotonic() + 30
        state = answer
        while state["status"]["state"] != "DONE":
            if time.monotonic() > end:
                raise TwinError(f"{job} did not end within 30 s")
            time.sleep(0.05)
            state = self._api.call("GET", job)
        if "errorResult" in state["status"]:
            raise TwinError(f"{job} failed: {state['status']['errorResult'].get('message')}")

    def _edit(self, step: Step) -> None:
        url = step["edit"]
        before = self._api.call("GET", url)
        after = edited(before, step.get("set", {}), step.get("remove", ()))
        self._write(url, step, after)
        self._undo.append(lambda: self._write(url, step, before))

    def _write(self, url: str, step: Step, body: dict[str, Any]) -> None:
        verb, query = step.get("verb", "PATCH"), step.get("query", "")
        if url.startswith("https://run.googleapis.com/"):
            body = {name: body[name] for name in _RUN_PARTS if name in body}
            body["template"] = {name: value for name, value in body["template"].items() if name != "revision"}
            query = "updateMask=" + ",".join(_RUN_PARTS)
        elif url.startswith("https://compute.googleapis.com/"):
            body = {name: value for name, value in body.items() if name != "fingerprint"}
        elif url.startswith("https://bigquery.googleapis.com/"):
            body = {"defaultEncryptionConfiguration": body.get("defaultEncryptionConfiguration")}
        elif url.startswith("https://storage.googleapis.com/"):
            body = {"cacheControl": body.get("cacheControl")}
        elif url.startswith("https://sqladmin.googleapis.com/"):
            body = {"settings": {"activationPolicy": body["settings"]["activationPolicy"]}}
        self._api.call(verb, f"{url}?{query}" if query else url, body)


def edited(body: Mapping[str, Any], values: Mapping[str, Any], removed: Sequence[str]) -> dict[str, Any]:
    """A copy of a record with parts set and removed. KeyError for a part whose parent is not there."""
    result = copy.deepcopy(dict(body))
    for path, value in values.items():
        parent, key = _parent(result, path)
        if isinstance(parent, list):
            place = _place(parent, key)
            if place is None:
                parent.append(value)
            else:
                parent[place] = value
        else:
            parent[key] = value
    for path in removed:
        parent, key = _parent(result, path)
        if isinstance(parent, list):
            place = _place(parent, key)
            if place is None:
                raise KeyError(path)
            del parent[place]
        else:
            parent.pop(key, None)
    return result


def _parent(body: Any, path: str) -> tuple[Any, str]:
    *way, key = path.split("/")
    for part in way:
        if isinstance(body, list):
            place = _place(body, part)
            if place is None:
                raise KeyError(path)
            body = body[place]
        else:
            body = body[part]
    return body, key


def _place(items: list[Any], key: str) -> int | None:
    """Where an item is: by its index, or by its name."""
    if key.isdigit():
        return int(key) if int(key) < len(items) else None
    return next((index for index, item in enumerate(items) if item.get("name") == key), None)
