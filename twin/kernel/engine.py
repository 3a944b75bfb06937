"""The engine: one HTTP request in, one transaction, one reply out."""

# ruff: noqa: ARG002 - the signature is the caller's

from __future__ import annotations

import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twin.kernel import beside, policy_verbs, standard
from twin.kernel.audit import Audit
from twin.kernel.documents import Document, Method, load, versions
from twin.kernel.enums import number_to_name, type_name, with_numbers
from twin.kernel.errors import ApiError, bad_request, envelope, error_info, invalid, unimplemented
from twin.kernel.faults import Faults, Quotas
from twin.kernel.masks import parse_fields, parse_update_mask, select
from twin.kernel.metadata import PREFIX
from twin.kernel.names import project_of, snake, uncapital
from twin.kernel.parameters import parameters_of, restore_nulls
from twin.kernel.policies import Policies, denial, permission_for
from twin.kernel.routing import Match, Routes
from twin.kernel.semantics import Call, MethodFunction, Semantics, local_key
from twin.kernel.shapes import Reader, Shape, check, shape_of
from twin.kernel.store import Store
from twin.kernel.types import Body, Context, Reply, Request, Wait

log = logging.getLogger("twin")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a twin is started with."""

    project: str = "staging-twin"
    number: str = "482917365021"
    owner: str = "owner@example.com"
    propagation: float = 0.0
    """Seconds until a change of a policy or of a key's state is felt."""
    operation_seconds: float = 0.0
    """Seconds until an operation is done; at 0 it is done when it is next asked for."""
    streaming_buffer: float = 90.0
    """Seconds that streamed BigQuery rows stay in the buffer."""
    strict: bool = False
    """A response that departs from the official schema becomes a 500 instead of a note."""


@dataclass(slots=True)
class Engine:
    """The whole control plane. Not thread-safe: one thread calls it."""

    store: Store
    settings: Settings
    services: Mapping[str, Semantics]
    clock_offset: float = 0.0
    routes: Routes = field(default_factory=Routes)
    outbox: list[tuple[str, str]] = field(default_factory=list)
    listeners: list[Callable[[str, str], None]] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    quotas: Quotas = field(default_factory=Quotas)
    violations: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    runner: Callable[[str, Callable[[], Any], Callable[[Context, Any], None]], None] | None = None
    parts: dict[str, Any] = field(default_factory=dict)
    """Live parts that services own (the BigQuery warehouse, the blob folder)."""
    policies: Policies = field(init=False)
    audit: Audit = field(init=False)
    _deferred: list[tuple[str, Callable[[], Any], Callable[[Context, Any], None]]] = field(default_factory=list)
    _running: set[str] = field(default_factory=set)
    _replies: OrderedDict[str, Body] = field(default_factory=OrderedDict)
    _creatable: dict[Document, frozenset[tuple[str, ...]]] = field(default_factory=dict)
    _default: dict[str, Semantics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.policies = Policies(self)
        self.audit = Audit(self.store.folder / "audit.jsonl")

    # Time and projects

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset)

    @property
    def default_project(self) -> str:
        return self.settings.project

    def project_exists(self, project: str) -> bool:
        return f"cloudresourcemanager/projects/{project}" in self.store

    def number_of(self, project: str) -> str:
        body = self.store.get(f"cloudresourcemanager/projects/{project}")
        return str(body["projectNumber"]) if body else self.settings.number

    def id_of(self, number: str) -> str:
        """The project's id for its number; the argument itself when no project has that number."""
        body = self.store.get(f"project-number/{number}")
        return str(body["id"]) if body else number

    def project_of(self, name: str) -> str:
        found = project_of(name)
        if found:
            return found
        parts = name.split("/")
        for length in range(len(parts), 1, -1):
            body = self.store.get("/".join(parts[:length]))
            if body is not None and "~project" in body:
                return str(body["~project"])
        return ""

    def agent_exists(self, email: str) -> bool:
        return f"service-agent/{email}" in self.store

    def knows_agent(self, email: str) -> bool:
        """Whether the twin itself makes agents of this kind."""
        ending = email[email.index("@") :]
        return email.startswith("bq-") or any(name.endswith(ending) for name, _ in self.store.children("service-agent"))

    def missing_project(self, call: Call, project: str) -> ApiError:
        if self.semantics(call.api).dialect == "legacy" and call.api == "compute":
            return ApiError("NOT_FOUND", f"The resource 'projects/{project}' was not found")
        if call.api == "bigquery":
            return ApiError("NOT_FOUND", f"Not found: Project {project}")
        return denial(permission_for(call.method, None), f"x/projects/{project}")

    # Semantics and schemas

    def semantics(self, api: str) -> Semantics:
        found = self.services.get(api) or self._default.get(api)
        if found is None:
            found = self._default[api] = Semantics(api)
        return found

    def missing(self, name: str) -> ApiError:
        return self.semantics(name.partition("/")[0]).missing(name)

    def shape(self, document: Document, ref: str) -> Shape:
        return shape_of(document, ref)

    def creatable(self, document: Document) -> frozenset[tuple[str, ...]]:
        known = self._creatable.get(document)
        if known is None:
            known = frozenset(method.collection for method in document.methods.values() if method.kind == "create")
            self._creatable[document] = known
        return known

    # The way in

    def handle(self, request: Request, principal: str, internal: bool = False) -> Reply:
        """Answer one request. Never raises: a bug is a logged 500."""
        context = Context(principal, self.now(), internal)
        dialect = "rpc"
        method_id = ""
        try:
            match = self.routes.find(request.host, request.verb, request.path)
            if match is None:
                raise ApiError("NOT_FOUND", f"The requested URL {request.path} was not found on this server.", http=404)
            dialect = self.semantics(match.method.document.name).dialect
            method_id = match.method.id
            if not principal and not internal:
                raise _unauthenticated(match.method, given=bool(request.headers.get("authorization")))
            delay, drop = 0.0, False
            if not internal:
                delay, drop = self.faults.strike(method_id)
                self.quotas.take(method_id, self)
            reply = self._transact(context, match, request)
            reply.delay, reply.drop = delay, drop
        except ApiError as error:
            self.audit.refused(context, method_id or request.path, error)
            reply = Reply(
                error.http, envelope(error, dialect), headers=dict(error.headers), delay=getattr(error, "delay", 0.0)
            )
        except Exception:
            log.exception("bug while serving %s %s%s", request.verb, request.host, request.path)
            reply = Reply(500, envelope(ApiError("INTERNAL", "Internal error encountered."), dialect))
        return reply

    def _transact(self, context: Context, match: Match, request: Request) -> Reply:
        self.outbox.clear()
        self._deferred.clear()
        try:
            call = self.prepare(context, match, request)
            reply = self.perform(call)
            if call.params.get("validateOnly") or call.params.get("validate_only"):
                self.store.rollback()
                self.outbox.clear()
                self._deferred.clear()
            else:
                self._commit(call)
        except BaseException:
            self.store.rollback()
            raise
        return self._shape_reply(call, reply, request)

    def _commit(self, call: Call | None) -> None:
        if call is not None and call.method.verb != "GET":
            self.audit.done(call.context, call.method.id, call.name)
        self.store.commit()
        events, deferred = list(self.outbox), list(self._deferred)
        self.outbox.clear()
        self._deferred.clear()
        for topic, name in events:
            for listener in self.listeners:
                listener(topic, name)
        for key, work, finish in deferred:
            if self.runner is not None:
                self._running.add(key)
                self.runner(key, work, finish)
            else:
                self.complete(key, work(), finish)

    def defer(self, key: str, work: Callable[[], Any], finish: Callable[[Context, Any], None]) -> None:
        """Run `work` outside of the engine once this transaction is committed, then `finish` in a transaction of its own."""
        self._deferred.append((key, work, finish))

    def complete(self, key: str, result: Any, finish: Callable[[Context, Any], None]) -> None:
        self.transact(lambda context: finish(context, result))
        self._running.discard(key)

    def abandon(self, key: str) -> None:
        """Background work ended badly; whoever waits shall look again."""
        self._running.discard(key)

    def running(self, key: str) -> bool:
        return key in self._running

    def transact(self, work: Callable[[Context], None]) -> None:
        """Run the twin's own work in one transaction."""
        try:
            work(Context("", self.now(), internal=True))
            self._commit(None)
        except BaseException:
            self.store.rollback()
            raise

    # One call

    def prepare(self, context: Context, match: Match, request: Request) -> Call:
        method = match.method
        semantics = self.semantics(method.document.name)
        problems: list[tuple[str, str]] = []
        params = parameters_of(method, match, request.query, problems)
        if problems:
            raise bad_request(*problems)
        call = Call(
            self, context, method, params, {}, self.canonical(match), region=match.region, headers=request.headers
        )
        call.media, call.media_type = request.media, request.media_type
        if method.request and request.content.strip():
            call.body = self._body(method, request, semantics)
        elif method.request is None and request.content:
            raise invalid("This method takes no body.")
        mask = params.get("updateMask") or (call.body.get("updateMask") if method.kind in ("patch", "update") else None)
        if method.wrapped and self._own(method, semantics) is None:
            # The rest of the envelope (ids, flags) stands beside the path and query parameters.
            call.params.update((key, value) for key, value in call.body.items() if key != method.wrapped)
            call.body = call.body.get(method.wrapped, {})
        if mask and method.request and isinstance(mask, str):
            call.mask = parse_update_mask(mask, shape_of(method.document, method.resource))
        return call

    def _body(self, method: Method, request: Request, semantics: Semantics) -> Body:
        try:
            raw = json.loads(request.content)
        except (ValueError, RecursionError) as error:
            kind = "Parse Error" if semantics.dialect != "rpc" else "Invalid JSON payload received. Unexpected token."
            raise bad_request(("", f"{kind}\n{error}" if kind != "Parse Error" else kind)) from error
        if not isinstance(raw, dict):
            raise bad_request(("", 'Invalid JSON payload received. Unknown name "": Root element must be a message.'))
        api = method.document.name
        reader = Reader(number_to_name(api), method.parameters, type_name(api))
        shape = shape_of(method.document, method.request)
        body: Body = reader.read(shape, raw, _body_field(method))
        if semantics.merge_patch and method.kind == "patch":
            restore_nulls(raw, body, shape)
        if reader.problems:
            raise bad_request(*reader.problems[:10])
        return body

    def canonical(self, match: Match) -> str:
        """The canonical name that a match addresses; project numbers become ids."""
        method = match.method
        parts = list(match.segments[method.skip : method.item])
        for position in range(len(parts) - 1):
            if parts[position] in ("projects", "namespaces") and parts[position + 1].isdigit():
                parts[position + 1] = self.id_of(parts[position + 1])
        if method.document.name == "storage" and len(parts) > 3 and parts[2] in ("o", "folders", "managedFolders"):
            # An object's key is one segment of its name, however many slashes it has.
            parts[3] = quote(parts[3], safe="")
        name = "/".join((method.document.name, *parts))
        if method.document.name == "compute" and len(parts) > 3 and parts[-1].isdigit() and name not in self.store:
            # compute takes a resource's numeric id for its name (https://cloud.google.com/apis/design/resource_names).
            for other, body in self.store.children(name.rpartition("/")[0]):
                if body.get("id") == parts[-1]:
                    return other
        return name

    def perform(self, call: Call) -> Reply:
        """Authorise and run one prepared call inside the open transaction."""
        semantics = self.semantics(call.api)
        key = local_key(call.method)
        self.authorise(call, semantics, key)
        request_id = call.params.get("requestId")
        memo = f"{call.method.id}|{call.name}|{request_id}" if request_id else ""
        if memo in self._replies:
            return Reply(body=self._replies[memo])
        function = self._own(call.method, semantics)
        if function is None:
            kind = call.method.kind
            function = standard.VERBS.get(kind) or policy_verbs.VERBS.get(kind) or beside.VERBS.get(kind)
        if function is None:
            raise unimplemented(f"the method {call.method.id}")
        result = function(call)
        reply = result if isinstance(result, Reply) else Reply(body=result)
        if memo and reply.body is not None and not call.params.get("validateOnly"):
            self._replies[memo] = reply.body
            if len(self._replies) > 10_000:
                self._replies.popitem(last=False)
        return reply

    def _own(self, method: Method, semantics: Semantics) -> MethodFunction | None:
        """What a service says about this method itself."""
        key = local_key(method)
        return semantics.methods.get(f"{method.document.version}:{key}") or semantics.methods.get(key)

    def authorise(self, call: Call, semantics: Semantics, key: str) -> None:
        if call.context.internal:
            return
        self._must_be_on(call)
        permission = call.method.cached.get("permission")
        if permission is None:
            permission = permission_for(call.method, semantics.permissions.get(key))
            call.method.cached["permission"] = permission
        if not permission or not self.project_known(call):
            return
        if not self.policies.allowed(call.context.principal, permission, call.name, call.now):
            raise semantics.denied(call, permission) if semantics.denied else denial(permission, call.name)

    def _must_be_on(self, call: Call) -> None:
        """An API that its project has turned off refuses every call; one that nobody ever turned on is let through."""
        project = project_of(call.name)
        api = _HOSTS.get(call.api, call.api)
        if project and api != "serviceusage":
            usage = self.store.get(f"serviceusage/projects/{project}/services/{api}.googleapis.com")
            if usage is not None and usage.get("state") == "DISABLED":
                raise _disabled(call.api, self.number_of(project))

    def project_known(self, call: Call) -> bool:
        project = project_of(call.name)
        return not project or project == "-" or self.project_exists(project)

    def invoke(self, context: Context, method_id: str, name: str, body: Body, params: Mapping[str, Any]) -> Body:
        """Another service's method in the same transaction. `name` is the canonical name that it addresses."""
        api = name.partition("/")[0]
        for version in versions(api):
            method = load(api, version).methods.get(method_id)
            if method is not None:
                break
        else:
            raise unimplemented(f"the method {method_id}")
        call = Call(self, context, method, dict(params), body, name)
        reply = self.perform(call)
        return reply.body or {}

    # The way out

    def _shape_reply(self, call: Call, reply: Reply, request: Request) -> Reply:
        if reply.wait is not None:
            wait = reply.wait
            if not self.running(wait.key):
                reply = Reply(body=self.resume(wait))
            else:
                return reply
        return self.finish_reply(call.method, call.params, reply)

    def resumed(self, request: Request, wait: Wait) -> Reply:
        """The late answer to a request whose background work has ended (or has not, within the time asked for)."""
        match = self.routes.find(request.host, request.verb, request.path)
        assert match is not None
        dialect = self.semantics(match.method.document.name).dialect
        try:
            return self.finish_reply(match.method, dict(request.query), Reply(body=self.resume(wait)))
        except ApiError as error:
            return Reply(error.http, envelope(error, dialect))

    def resume(self, wait: Wait) -> Body:
        context = Context("", self.now(), internal=True)
        try:
            body = wait.resume(context)
            self._commit(None)
        except BaseException:
            self.store.rollback()
            raise
        return body

    def finish_reply(self, method: Method, params: Body, reply: Reply) -> Reply:
        """Check a reply against the official schema, then reduce it to the fields asked for."""
        if reply.body is not None and method.response and reply.status < 300:
            problems: list[str] = []
            check(shape_of(method.document, method.response), reply.body, method.id, problems)
            if problems:
                self.violations.extend(problems[:5])
                if self.settings.strict:
                    raise ApiError(
                        "INTERNAL", "The twin's reply departs from the official schema: " + "; ".join(problems[:5])
                    )
        fields = params.get("fields")
        if fields and reply.body is not None:
            reply.body = select(reply.body, parse_fields(fields))
        if "enum-encoding=int" in params.get("alt", "") and reply.body is not None and method.response:
            reply.body = with_numbers(shape_of(method.document, method.response), reply.body, method.document.name)
        return reply


def _unauthenticated(method: Method, *, given: bool) -> ApiError:
    """No credentials, or such as nobody gave out. The words are those of every Google front end.

    https://cloud.google.com/apis/design/errors#error_payloads; both bodies are shown in public reports of 401s.
    """
    service = f"{_HOSTS.get(method.document.name, method.document.name)}.googleapis.com"
    what = "Request had invalid authentication credentials." if given else _MISSING_CREDENTIALS
    reason = "ACCESS_TOKEN_TYPE_UNSUPPORTED" if given else "CREDENTIALS_MISSING"
    return ApiError(
        "UNAUTHENTICATED",
        f"{what} Expected OAuth 2 access token, login cookie or other valid authentication credential. See "
        "https://developers.google.com/identity/sign-in/web/devconsole-project.",
        reason="authError" if given else "required",
        details=(error_info(reason, "googleapis.com", service=service),),
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'},
        entry={
            "message": "Invalid Credentials" if given else "Login Required.",
            "location": "Authorization",
            "locationType": "header",
        },
        parsed=True,
    )


_MISSING_CREDENTIALS = "Request is missing required authentication credential."
_HOSTS = {"sql": "sqladmin"}


def _body_field(method: Method) -> str:
    """The field of the request that a body is read into, which problems with it are told by ('' for the whole request).

    https://google.aip.dev/133 and its like: `body: "crypto_key"`. Compute and Cloud SQL name theirs for all resources.
    """
    if method.wrapped or method.kind not in ("create", "put", "patch", "update") or method.request.endswith("Request"):
        return ""
    known = {"compute": "resource", "sql": "body", "sqladmin": "body", "storage": ""}
    name = method.document.name
    return known[name] if name in known else snake(uncapital(PREFIX.sub("", method.request)))


def _disabled(api: str, number: str) -> ApiError:
    """https://cloud.google.com/service-usage/docs/troubleshooting: calls to an API that a project has turned off."""
    service = f"{_HOSTS.get(api, api)}.googleapis.com"
    page = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    link = {"description": "Google developers console API activation", "url": page}
    return ApiError(
        "PERMISSION_DENIED",
        f"{service} has not been used in project {number} before or it is disabled. Enable it by visiting {page} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.",
        reason="accessNotConfigured",
        details=(
            {"@type": "type.googleapis.com/google.rpc.Help", "links": [link]},
            error_info("SERVICE_DISABLED", "googleapis.com", service=service, consumer=f"projects/{number}"),
        ),
        entry={"domain": "usageLimits", "extendedHelp": "https://console.developers.google.com"},
    )


def open_engine(folder: Path, settings: Settings, services: Mapping[str, Semantics]) -> Engine:
    """An engine on a state folder; an empty folder is a project as Google hands it out."""
    return Engine(Store(folder), settings, services)
