"""Replay public recordings of Google's APIs against the twin, and say where its answers depart from them.

    PYTHONPATH=. python scripts/replay_recordings.py FOLDER [--api run,compute] [--out differences.jsonl] [--top 40] [--only SUBSTRING]

Reads k8s-config-connector's `_http*.log` files and VCR cassettes (Ruby, Python, Go; YAML or JSON) below FOLDER. Each file
is one scenario on a project of its own. What a server makes up (ids, etags, operation names, times) is carried from its
answers into the requests that follow, and is not compared. Recordings are other people's: none is kept here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from twin.frontdoor.uploads import Uploads
from twin.kernel.engine import Engine, Settings, open_engine
from twin.kernel.errors import ApiError
from twin.kernel.seed import seed
from twin.kernel.types import Reply, Request
from twin.services import catalogue

PROJECT: Final = "replay-twin"
NUMBER: Final = "123456789012"
OWNER: Final = "user:owner@example.com"
_HEAD: Final = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (https://\S+)$")
_STATUS: Final = re.compile(r"^(\d{3}) \w")
_TOKENS: Final = {"projectId": PROJECT, "projectNumber": NUMBER, "uniqueId": "abcdefu1", "kccVersion": "1"}
_TIME: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
#: Made up by the server: carried over, not compared.
_MADE: Final = re.compile(
    r"(^|\.)(etag|fingerprint|\w*Fingerprint|id|uid|uniqueId|generation|metageneration|numericId|oauth2ClientId|targetId"
    r"|projectNumber|clientOperationId|version|jobId|serverCaCert.*|ipAddress|natIP|gatewayAddress|\w*Time|\w*time"
    r"|settingsVersion|user|requestedBy|principalEmail|creator|lastModifier|privateKeyData|publicKeyData|pairingKey|md5Hash|crc32c)$"
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what the real API answered."""

    verb: str
    url: str
    request: str
    status: int
    response: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where an answer departs from its recording."""

    method: str
    kind: str
    """status, missing (recorded, not ours), extra (ours, not recorded) or value."""
    path: str
    recorded: Any
    ours: Any
    scenario: str
    verb: str
    url: str


# Reading recordings


#: How k8s-config-connector's own imitation words what is missing: such a recording shows nothing about Google.
_IMITATION: Final = re.compile(r'"message": "\w+ \\"[^"\\]+\\" not found"|mockgcp\.')


def imitated(entries: list[Exchange]) -> frozenset[str]:
    """The hosts of a scenario that were not Google."""
    return frozenset(urlsplit(entry.url).netloc for entry in entries if _IMITATION.search(entry.response))


def scenarios(folder: Path) -> Iterator[tuple[str, list[Exchange]]]:
    """Every scenario below a folder: numbered logs of one folder are one."""
    numbered: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".log" and path.name.startswith("_http") and "mock" not in path.name:
            if re.search(r"_http\d\d|_phase\d", path.name):
                numbered[path.parent].append(path)
            else:
                yield str(path.relative_to(folder)), list(_log(path.read_text(errors="replace")))
        elif path.suffix in (".yml", ".yaml", ".json") and path.is_file() and "http" in _start(path):
            found = list(_cassette(path))
            if found:
                yield str(path.relative_to(folder)), found
    for parent, paths in numbered.items():
        yield (
            str(parent.relative_to(folder)),
            [entry for path in paths for entry in _log(path.read_text(errors="replace"))],
        )


def _start(path: Path) -> str:
    with path.open(errors="replace") as file:
        return file.read(4096)


def _log(text: str) -> Iterator[Exchange]:
    for block in re.split(r"^---$", text, flags=re.M):
        lines = block.strip("\n").splitlines()
        match = _HEAD.match(lines[0]) if lines else None
        answer = next((n for n, line in enumerate(lines) if n and _STATUS.match(line) and lines[n - 1] == ""), None)
        if match is None or answer is None:
            continue
        _, request = _parts(lines[1:answer])
        _, response = _parts(lines[answer + 1 :])
        headers, _ = _parts(lines[1:answer])
        yield Exchange(match[1], match[2], request, int(lines[answer][:3]), response, headers)


def _parts(lines: list[str]) -> tuple[dict[str, str], str]:
    end = lines.index("") if "" in lines else len(lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[:end])}
    return headers, "\n".join(lines[end + 1 :]).strip()


def _cassette(path: Path) -> Iterator[Exchange]:
    import yaml

    try:
        loaded = yaml.load(path.read_text(errors="replace"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, ValueError):
        return
    entries = (loaded.get("http_interactions") or loaded.get("interactions")) if isinstance(loaded, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        asked, answered = entry.get("request", {}), entry.get("response", {})
        url = str(asked.get("uri") or asked.get("url") or "")
        if "googleapis.com" not in url:
            continue
        status = answered.get("status")
        code = answered.get("code") or (status.get("code") if isinstance(status, dict) else status)
        if not isinstance(code, int | str):
            continue
        yield Exchange(
            str(asked.get("method", "GET")).upper(),
            url,
            _text(asked.get("body")),
            int(code),
            _text(answered.get("body")),
        )


def _text(body: Any) -> str:
    if isinstance(body, dict):
        body = body.get("string", "")
    if isinstance(body, bytes):
        return body.decode(errors="replace")
    return str(body or "")


def with_tokens(text: str, names: Mapping[str, str] = _TOKENS) -> str:
    """A recording's placeholders as names that the API takes."""
    return re.sub(r"\$\{(\w+)\}", lambda match: names.get(match[1], match[1].lower()), text)


def named(entries: list[Exchange]) -> list[Exchange]:
    """The exchanges with names in place of placeholders, some of which stand for a name that another place still shows."""
    text = "\n".join(entry.response for entry in entries)
    names = dict(_TOKENS)
    if "${networkID}Service" in text or '"Default network for the project"' in text:
        names["networkID"] = "default"
    shown = re.findall(r'"datasetId": "([^"]*)"', "\n".join(entry.request for entry in entries))
    plain = [name for name in shown if name != "${datasetID}"]
    if plain:
        names["datasetID"] = with_tokens(plain[0])
    for entry in entries:
        # `…/jobs/${jobID}` in the address, `…/jobs/some-name` in the answer.
        for word, token in re.findall(r"/(\w+)/\$\{(\w+I[Dd])\}(?=[/?]|$)", entry.url):
            literal = re.search(rf"\b{word}/((?!\$\{{\w+I[Dd]\}})[^/\"?\\ ]+)\"", entry.response)
            if literal and token not in names:
                names[token] = with_tokens(literal[1].removesuffix("\\"))
    return [
        replace(
            entry,
            url=with_tokens(entry.url, names),
            request=with_tokens(entry.request, names),
            response=with_tokens(entry.response, names),
        )
        for entry in entries
    ]


# Playing


class World:
    """A twin in this process, fresh for each scenario."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = open_engine(
            folder, Settings(project=PROJECT, number=NUMBER, owner="owner@example.com"), catalogue.services()
        )
        catalogue.open_parts(self.engine, folder)
        self.uploads = Uploads()
        self.fresh()

    def fresh(self) -> None:
        self.engine.store.clear()
        for part in self.engine.parts.values():
            if hasattr(part, "reset"):
                part.reset()
        self.engine.policies.reset()
        seed(self.engine, catalogue.seeders())
        self.made: dict[str, str] = {}
        self.marks: dict[str, dict[str, str]] = {}
        self.operations: dict[str, str] = {}

    def play(self, entry: Exchange) -> tuple[str, Reply, Any]:
        """The method's id ('' when no API has it), our reply, and the recorded answer."""
        address = urlsplit(self._carried_url(entry.url))
        query = tuple(parse_qsl(address.query, keep_blank_values=True))
        body = _json(entry.request)
        content = entry.request.encode()
        if body is not None:
            content = json.dumps(self._carried(body, self._marks_of(address.path))).encode()
        request = Request(entry.verb, address.netloc, address.path, query, entry.headers, content)
        match = self.engine.routes.find(request.host, request.verb, request.path.replace("/upload/", "/", 1))
        if match is None:
            return "", Reply(404), None
        if "/upload/" in request.path:
            try:
                taken = self.uploads.take(request, OWNER)
            except ApiError as error:
                return match.method.id, Reply(error.http, {}), None
            if isinstance(taken, Reply):
                return match.method.id, taken, None
            request = taken
        reply = self.engine.handle(request, OWNER)
        recorded = _json(entry.response)
        if reply.status < 300 and entry.status < 300:
            self._learn(recorded, reply.body)
            self._remember(address.path, reply.body)
        return match.method.id, reply, recorded

    def _remember(self, path: str, ours: Any) -> None:
        """Marks (etags, fingerprints) by the path that they were seen at, and the newest operation of each collection."""
        if not isinstance(ours, dict):
            return
        name = str(ours.get("selfLink") or ours.get("name") or "")
        if "/operations/" in name:
            collection, _, last = name.rpartition("/")
            self.operations["/".join(collection.split("/")[-6:]).partition("projects/")[2] or collection] = last
        else:
            self.marks[_plain(path)] = {key: value for key, value in _leaves(ours) if _MARK.search(key)}

    def _marks_of(self, path: str) -> dict[str, str]:
        path = _plain(path)
        return self.marks.get(path) or self.marks.get(path.rpartition("/")[0], {})

    def _learn(self, recorded: Any, ours: Any) -> None:
        """What the server made up in this answer: recorded value → ours."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for key in recorded.keys() & ours.keys():
                there, here = recorded[key], ours[key]
                if isinstance(there, str) and isinstance(here, str):
                    generated = key == "name" or (_MADE.search(key) and key != "targetId" and there.strip("0") != "")
                    if there != here and generated and not _TIME.match(there):
                        self.made[there] = here
                        if key == "name" and there.count("/") == here.count("/"):
                            self.made[there.rpartition("/")[2]] = here.rpartition("/")[2]
                else:
                    self._learn(there, here)
        elif isinstance(recorded, list) and isinstance(ours, list):
            for there, here in zip(recorded, ours, strict=False):
                self._learn(there, here)

    def _carried(self, item: Any, marks: Mapping[str, str], path: str = "") -> Any:
        if isinstance(item, str):
            return marks[path] if path in marks else self.made.get(item, item)
        if isinstance(item, list):
            return [self._carried(each, marks, path) for each in item]
        if isinstance(item, dict):
            return {key: self._carried(value, marks, f"{path}.{key}".strip(".")) for key, value in item.items()}
        return item

    def _carried_url(self, url: str) -> str:
        head, mark, query = url.partition("?")
        collection, operation, last = head.partition("/operations/")
        parts = collection.split("/")
        parts = [self.made.get(unquote(part), part) if position > 2 else part for position, part in enumerate(parts)]
        path = "/".join(parts)
        if operation:
            place = f"{path}/operations".partition("projects/")[2]
            last, verb, rest = last.partition("/") if "/" in last else last.partition(":")
            path += operation + self.operations.get(place, self.made.get(last, last)) + verb + rest
        pairs = [
            f"{name}={self.made.get(unquote(value), value)}"
            for name, _, value in (pair.partition("=") for pair in query.split("&"))
        ]
        return path + mark + ("&".join(pairs) if query else "")


_MARK: Final = re.compile(r"(etag|[fF]ingerprint|settingsVersion)$")


def _plain(path: str) -> str:
    """A resource's path without version, custom verb or policy."""
    path = re.sub(r"^(/\w+)?/(v\d\w*|beta|alpha)/", "/", path)
    return re.sub(r"(:\w+|/(set|get)\w+|/iam)$", "", path)


def _leaves(item: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(item, dict):
        for key, value in item.items():
            yield from _leaves(value, f"{path}.{key}".strip("."))
    elif isinstance(item, str):
        yield path, item


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


# Comparing


def compare(recorded: Any, ours: Any, path: str = "") -> Iterator[tuple[str, str, Any, Any]]:
    """(kind, path, recorded, ours) for every leaf that differs."""
    if _MADE.search(path):
        if recorded is None or ours is None:
            yield ("missing" if ours is None else "extra"), path, recorded, ours
        return
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in sorted(recorded.keys() | ours.keys()):
            below = f"{path}.{key}" if path else key
            if key not in ours:
                yield "missing", below, recorded[key], None
            elif key not in recorded:
                yield "extra", below, None, ours[key]
            else:
                yield from compare(recorded[key], ours[key], below)
    elif isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            yield "value", f"{path}.length", recorded, ours
        for there, here in zip(recorded, ours, strict=False):
            yield from compare(there, here, f"{path}[]")
    elif recorded != ours and not _alike(recorded, ours):
        yield "value", path, recorded, ours


def _alike(recorded: Any, ours: Any) -> bool:
    """Times, generated names of one pattern, and project numbers for ids are no difference."""
    if not isinstance(recorded, str) or not isinstance(ours, str):
        return False
    if _TIME.match(recorded) and _TIME.match(ours):
        return True
    if "operation" in recorded and ("operation" in ours or re.fullmatch(r"[0-9a-f-]{36}", ours)):
        return True
    return any(pattern.match(recorded) and pattern.match(ours) for pattern in _ALIKE)


#: Addresses, generated accounts, generated host names.
_ALIKE: Final = (
    re.compile(r"^[0-9a-f:]*\d+[.:][0-9a-f.:]+(/\d+)?$"),
    re.compile(r"^p\d+-\w+-?@gcp-sa-cloud-sql\."),
    re.compile(r"^https://[\w-]+\.a\.run\.app$"),
)


def unfinished(recorded: Any, ours: Any) -> bool:
    """An operation that one side sees done and the other not yet: timing, not behaviour."""
    if not isinstance(recorded, dict) or not isinstance(ours, dict):
        return False
    if str(recorded.get("kind", "")).endswith("#operation"):
        return recorded.get("status") != ours.get("status")
    return "metadata" in recorded and "name" in recorded and recorded.get("done") != ours.get("done")


@dataclass(slots=True)
class Tally:
    """What has been seen."""

    played: Counter[str] = field(default_factory=Counter)
    same_status: Counter[str] = field(default_factory=Counter)
    same_body: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def run(folder: Path, apis: frozenset[str], only: str, *, real: bool) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="replay-") as place:
        world = World(Path(place))
        for name, entries in scenarios(folder):
            if only and only not in name:
                continue
            if apis and not any(_api(entry.url) in apis for entry in entries):
                continue
            world.fresh()
            left_out = imitated(entries) if real else frozenset()
            for entry in named(entries):
                if urlsplit(entry.url).netloc in left_out:
                    world.play(entry)
                else:
                    _one(world, name, entry, apis, tally)
        world.engine.parts["warehouse"].close()
    return tally


def _api(url: str) -> str:
    host = urlsplit(url).netloc.split(".")[0]
    if host == "www":
        return urlsplit(url).path.split("/")[1]
    return re.sub(r"^[a-z]+-[a-z]+\d-", "", host)


def _one(world: World, scenario: str, entry: Exchange, apis: frozenset[str], tally: Tally) -> None:
    method, reply, recorded = world.play(entry)
    if apis and _api(entry.url) not in apis:
        return
    api = method.split(".")[0] or f"({_api(entry.url)})"
    tally.played[api] += 1

    def note(kind: str, path: str, there: Any, here: Any) -> None:
        tally.differences.append(Difference(method or "?", kind, path, there, here, scenario, entry.verb, entry.url))

    if reply.status != entry.status:
        note("status", f"{entry.status}->{reply.status}", recorded, reply.body)
        return
    tally.same_status[api] += 1
    if recorded is None or reply.body is None or unfinished(recorded, reply.body):
        return
    tally.bodies[api] += 1
    found = list(compare(recorded, reply.body))
    tally.same_body[api] += not found
    for difference in found:
        note(*difference)


def report(tally: Tally, top: int) -> None:
    total, same = sum(tally.played.values()), sum(tally.same_status.values())
    bodies, alike = sum(tally.bodies.values()), sum(tally.same_body.values())
    print(
        f"{total} exchanges; status agrees in {same / max(total, 1):.4f}; whole body in {alike / max(bodies, 1):.4f} of {bodies}"
    )
    for api, count in tally.played.most_common(45):
        body = tally.same_body[api] / max(tally.bodies[api], 1)
        print(f"  {api:24} {count:6} status {tally.same_status[api] / count:.3f} body {body:.3f}")
    groups: Counter[tuple[str, str, str]] = Counter((d.method, d.kind, d.path) for d in tally.differences)
    examples = {(d.method, d.kind, d.path): d for d in tally.differences}
    for key, count in groups.most_common(top):
        sample = examples[key]
        print(
            f"{count:5} {key[0]} {key[1]} {key[2]}: {_short(sample.recorded)} | {_short(sample.ours)}  [{sample.scenario}]"
        )


def _short(item: Any) -> str:
    if isinstance(item, dict) and "error" in item:
        item = item["error"].get("message", item) if isinstance(item["error"], dict) else item
    text = json.dumps(item, default=str)
    return text if len(text) < 150 else text[:147] + "..."


def main(arguments: Iterable[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--api", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--real", action="store_true", help="leave out what is known to come from an imitation")
    parser.add_argument("--top", type=int, default=40)
    options = parser.parse_args(list(arguments))
    tally = run(options.folder, frozenset(filter(None, options.api.split(","))), options.only, real=options.real)
    if options.out:
        with options.out.open("w") as file:
            for difference in tally.differences:
                values = {name: getattr(difference, name) for name in Difference.__slots__}
                file.write(json.dumps(values, default=str) + "\n")
    report(tally, options.top)


if __name__ == "__main__":
    main(sys.argv[1:])
