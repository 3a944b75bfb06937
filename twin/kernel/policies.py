"""IAM: policies on resources, who may do what, and how long a change takes to be felt.

https://cloud.google.com/iam/docs/policies, https://cloud.google.com/iam/docs/access-change-propagation
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from twin.kernel import conditions
from twin.kernel.documents import Method
from twin.kernel.errors import ApiError, error_info, invalid
from twin.kernel.names import relative
from twin.kernel.roles import grants
from twin.kernel.semantics import local_key
from twin.kernel.types import Body, after, rfc3339

if TYPE_CHECKING:
    from twin.kernel.engine import Engine

PREFIX = "iam-policy/"
ROOT = "root"
"""Above every project: the twin's owner holds the organization, so that no project policy can lock it out."""
EMPTY_ETAG = "ACAB"
_MEMBER = re.compile(
    r"^(allUsers|allAuthenticatedUsers|(deleted:)?(user|serviceAccount|group|domain|principal|principalSet"
    r"|projectOwner|projectEditor|projectViewer):.+)$"
)
_AGENT = re.compile(
    r"^(service-\d+@[\w.-]+|bq-\d+@bigquery-encryption|\d+-compute@developer|\d+@cloudservices)\.(iam\.)?gserviceaccount\.com$"
)

# Permission names whose service differs from the API's name.
_SERVICE = {"sql": "cloudsql", "sqladmin": "cloudsql", "cloudresourcemanager": "resourcemanager"}
_VERB = {
    "insert": "create",
    "patch": "update",
    "replaceService": "update",
    "replaceJob": "update",
    "replaceAllTraffic": "update",
    "aggregatedList": "list",
    "bulkRestore": "restore",
    "addVersion": "add",
    "search": "get",
}


def permission_for(method: Method, override: str | None) -> str:
    """`cloudkms.cryptoKeys.get` for a method id; '' when the method asks for none."""
    if override is not None:
        return override
    if method.collection and method.collection[-1] in ("operations", "locations"):
        # Everybody may follow an operation of their own; its name is not guessable.
        return ""
    parts = method.id.split(".")
    service = _SERVICE.get(parts[0], parts[0])
    resource, verb = parts[-2], parts[-1]
    if verb in ("getIamPolicy", "setIamPolicy") or verb == "testIamPermissions":
        return f"{service}.{resource}.{verb}" if verb != "testIamPermissions" else ""
    return f"{service}.{resource}.{_VERB.get(verb, verb)}"


class Policies:
    """Stored policies and decisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decisions: dict[tuple[str, str, str], bool] = {}
        self._decided_at = -1
        self._pending_until = ""

    def read(self, name: str) -> Body:
        """The policy as it was last set, with its etag."""
        record = self._engine.store.get(PREFIX + name)
        if record is None:
            return {"etag": EMPTY_ETAG}
        policy: Body = record["versions"][-1]["policy"]
        return policy

    def write(self, name: str, policy: Body, now: datetime) -> Body:
        """Replace a policy. ApiError ABORTED on a stale etag, INVALID_ARGUMENT for a member or role that cannot be."""
        current = self.read(name)
        etag = policy.get("etag")
        if etag and etag != current.get("etag"):
            raise ApiError(
                "ABORTED",
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
                reason="conflict",
            )
        bindings = self._checked(policy.get("bindings", []))
        stored: Body = {"version": 3 if any("condition" in binding for binding in bindings) else 1}
        stored["etag"] = base64.b64encode(b"\x07" + secrets.token_bytes(7)).decode()
        if bindings:
            stored["bindings"] = bindings
        if policy.get("auditConfigs"):
            stored["auditConfigs"] = policy["auditConfigs"]
        record = self._engine.store.get(PREFIX + name)
        versions = list(record["versions"]) if record else []
        delay = self._engine.settings.propagation
        versions = [*versions[-5:], {"from": rfc3339(after(now, delay)), "policy": stored}]
        self._engine.store.put(PREFIX + name, {"versions": versions})
        return stored

    def reset(self) -> None:
        """Forget every decision: the store was replaced under it."""
        self._decisions.clear()
        self._decided_at, self._pending_until = -1, ""

    def forget(self, name: str) -> None:
        """A deleted resource takes its policy with it."""
        self._engine.store.delete(PREFIX + name)

    def _checked(self, bindings: list[Body]) -> list[Body]:
        merged: dict[tuple[str, str], Body] = {}
        for binding in bindings:
            role = binding.get("role", "")
            if not re.match(r"^(roles/|projects/[^/]+/roles/|organizations/[^/]+/roles/)[\w.]+$", role):
                raise invalid(f"Invalid role: {role}" if role else "Policy binding has no role.", "badRequest")
            condition = binding.get("condition")
            key = (role, str(condition or ""))
            entry = merged.setdefault(key, {"role": role, "members": []})
            if condition:
                _check_condition(condition)
                entry["condition"] = condition
            for member in binding.get("members", []):
                if not _MEMBER.match(member):
                    raise invalid(f"Invalid principal: {member}", "badRequest")
                self._must_exist(member)
                if member not in entry["members"]:
                    entry["members"].append(member)
        return [entry for entry in merged.values() if entry["members"]]

    def _must_exist(self, member: str) -> None:
        kind, _, email = member.partition(":")
        if kind != "serviceAccount" or "[" in email:
            return
        if _AGENT.match(email):
            # Of agents that the twin does not make itself nobody can say here whether Google has made them already.
            known = self._engine.agent_exists(email) or not self._engine.knows_agent(email)
        else:
            project = email.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
            if not self._engine.project_exists(project):
                return
            known = f"iam/projects/{project}/serviceAccounts/{email}" in self._engine.store
        if not known:
            raise invalid(f"Service account {email} does not exist.", "badRequest")

    # Decisions

    def allowed(self, principal: str, permission: str, name: str, now: datetime) -> bool:
        """May `principal` do this to the resource, by its own policy or one above it, as felt at `now`?"""
        if not permission:
            return True
        generation = self._engine.store.generation
        stamp = rfc3339(now)
        if generation != self._decided_at or (self._pending_until and stamp >= self._pending_until):
            self._decisions.clear()
            self._decided_at, self._pending_until = generation, ""
        key = (principal, permission, name)
        known = self._decisions.get(key)
        if known is None:
            known = self._decide(principal, permission, name, now)
            if len(self._decisions) > 50_000:
                self._decisions.clear()
            self._decisions[key] = known
        return known

    def _decide(self, principal: str, permission: str, name: str, now: datetime) -> bool:
        for binding in self.bindings(name, now):
            members = binding.get("members", ())
            if not _matches(principal, members):
                continue
            if "condition" in binding:
                # A condition may depend on the moment: never cache beyond this call.
                self._pending_until = rfc3339(now)
                number = self._engine.number_of(self._engine.project_of(name))
                if not conditions.holds(binding["condition"].get("expression", ""), name, now, number):
                    continue
            if self._role_grants(binding["role"], permission):
                return True
        return False

    def bindings(self, name: str, now: datetime) -> Iterator[Body]:
        """All bindings that apply to a resource, nearest first."""
        store, engine = self._engine.store, self._engine
        api, _, rest = name.partition("/")
        parts = rest.split("/")
        semantics = engine.semantics(api)
        for length in range(len(parts), 0, -1):
            ancestor = f"{api}/{'/'.join(parts[:length])}"
            yield from self._effective(ancestor, now)
            if semantics.bindings is not None:
                body = store.get(ancestor)
                if body is not None:
                    yield from semantics.bindings(engine, ancestor, body)
        project = engine.project_of(name)
        if project:
            yield from self._effective(f"cloudresourcemanager/projects/{project}", now)
        yield from self._effective(ROOT, now)

    def _effective(self, name: str, now: datetime) -> list[Body]:
        record = self._engine.store.get(PREFIX + name)
        if record is None:
            return []
        stamp = rfc3339(now)
        felt: list[Body] = []
        for version in record["versions"]:
            if version["from"] <= stamp:
                felt = version["policy"].get("bindings", [])
            elif not self._pending_until or version["from"] < self._pending_until:
                self._pending_until = version["from"]
        return felt

    def _role_grants(self, role: str, permission: str) -> bool:
        if role.startswith("roles/"):
            return grants(role, permission)
        custom = self._engine.store.get("iam/" + role)
        return custom is not None and not custom.get("deleted") and permission in custom.get("includedPermissions", ())


def _check_condition(condition: Body) -> None:
    """ApiError INVALID_ARGUMENT for a condition without a title or with an expression that does not parse."""
    if not condition.get("title"):
        raise invalid("Condition title must be set.", "badRequest")
    if not condition.get("expression"):
        raise invalid("Condition expression must be set.", "badRequest")
    try:
        conditions.check(str(condition["expression"]))
    except conditions.ExpressionError as error:
        raise invalid(f"Condition expression compilation failed: {error}.", "badRequest") from error


def _matches(principal: str, members: list[str]) -> bool:
    if "allUsers" in members or principal in members:
        return True
    if principal and principal != "allUsers" and "allAuthenticatedUsers" in members:
        return True
    domain = principal.rpartition("@")[2]
    return principal.startswith("user:") and f"domain:{domain}" in members


def denial(permission: str, name: str, legacy: bool = False) -> ApiError:
    """Google's refusal. https://cloud.google.com/iam/docs/troubleshooting-access"""
    resource = relative(name)
    if legacy:
        return ApiError("PERMISSION_DENIED", f"Required '{permission}' permission for '{resource}'", reason="forbidden")
    return ApiError(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
        reason="forbidden",
        details=(error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", resource=resource, permission=permission),),
    )


def override_for(method: Method, table: dict[str, str]) -> str | None:
    return table.get(local_key(method))
