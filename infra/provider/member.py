"""One member of one role of a policy, by reading the policy and writing it back with its etag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.provider.resource import RefusedError, Resource
from infra.provider.rest import CallError

_TRIES: Final = 8
_BASIC: Final = {
    "roles/bigquery.dataOwner": "OWNER",
    "roles/bigquery.dataEditor": "WRITER",
    "roles/bigquery.dataViewer": "READER",
}
_KINDS: Final = {"user": "userByEmail", "serviceAccount": "userByEmail", "group": "groupByEmail", "domain": "domain"}


class Member(Resource):
    """A condition is part of a grant's identity: the same member and role under another condition is another grant."""

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if str(inputs["member"]).startswith("deleted:"):
            raise RefusedError(f"{inputs['member']}: a deleted member cannot be granted anything")
        own = self._id(inputs)
        self._change(self.address(self.spec.own, inputs), inputs, add=True)
        return own, {**inputs, "etag": ""}

    def read(self, own: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        declared = dict(inputs) or self._named(own)
        try:
            found = self._has(self._policy(self.address(self.spec.own, declared)), declared)
        except CallError as error:
            if error.code == 404:
                return None
            raise
        return (self._id(declared), declared, {**declared, "etag": ""}) if found else None

    def update(self, own: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        raise RefusedError(f"{own}: a grant has nothing that could be changed in place")

    def delete(self, own: str, inputs: Mapping[str, Any]) -> None:
        try:
            self._change(self.address(self.spec.own, inputs), inputs, add=False)
        except CallError as error:
            if error.code != 404:
                raise

    def planned(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"etag": "04da6b54-80e4-46f7-96ec-b56ff0331ba9", **inputs}

    def _id(self, inputs: Mapping[str, Any]) -> str:
        condition = inputs.get("condition") or {}
        title = f"/{condition.get('title', '')}" if condition else ""
        return f"{self.address(self.spec.own, inputs)}/{inputs['role']}/{inputs['member']}{title}"

    def _named(self, given: str) -> dict[str, Any]:
        """The inputs that an import id names: `RESOURCE ROLE MEMBER [CONDITION TITLE]`, separated by blanks."""
        from infra.types.shape import identity

        parts = given.split(" ", 3)
        if len(parts) < 3:
            raise RefusedError(f"the import id {given!r} must be `{self.spec.own} ROLE MEMBER`, separated by blanks")
        if self.spec.own.startswith("{"):
            named = {self.spec.own.strip("{}"): parts[0]}
        else:
            named = identity(self.spec, parts[0])
        inputs: dict[str, Any] = {**named, "role": parts[1], "member": parts[2]}
        if len(parts) == 4:
            policy = self._policy(self.address(self.spec.own, inputs))
            for binding in policy.get("bindings") or ():
                condition = binding.get("condition") or {}
                if binding.get("role") == parts[1] and condition.get("title") == parts[3]:
                    inputs["condition"] = {
                        key: condition[key] for key in ("title", "expression", "description") if condition.get(key)
                    }
        return inputs

    def _policy(self, resource: str) -> dict[str, Any]:
        base = self.spec.base
        if self.spec.member == "ACCESS":
            return self.rest.call("GET", base + resource, query={"accessPolicyVersion": "3"})
        if self.spec.member == "PATH":
            return self.rest.call("GET", f"{base}{resource}/iam", query={"optionsRequestedPolicyVersion": "3"})
        if self.spec.member == "POST":
            return self.rest.call("POST", f"{base}{resource}:getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
        return self.rest.call("GET", f"{base}{resource}:getIamPolicy", query={"options.requestedPolicyVersion": "3"})

    def _change(self, resource: str, inputs: Mapping[str, Any], add: bool) -> None:
        for attempt in range(_TRIES):
            policy = self._policy(resource)
            if self._has(policy, inputs) is add:
                return
            self._put_in(policy, inputs) if add else self._take_out(policy, inputs)
            try:
                self._write(resource, policy)
                return
            except CallError as error:
                if error.code not in (409, 412) or attempt + 1 == _TRIES:
                    raise

    def _write(self, resource: str, policy: dict[str, Any]) -> None:
        base = self.spec.base
        if self.spec.member == "ACCESS":
            body = {"access": policy["access"], "etag": policy.get("etag")}
            self.rest.call(
                "PATCH", base + resource, body, {"accessPolicyVersion": "3"}, {"If-Match": str(policy.get("etag", "*"))}
            )
        elif self.spec.member == "PATH":
            self.rest.call("PUT", f"{base}{resource}/iam", policy)
        else:
            policy["version"] = (
                3 if any("condition" in item for item in policy.get("bindings", ())) else policy.get("version", 1)
            )
            self.rest.call("POST", f"{base}{resource}:setIamPolicy", {"policy": policy})

    def _has(self, policy: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
        if self.spec.member == "ACCESS":
            return any(_same_entry(entry, _entry(inputs)) for entry in policy.get("access") or ())
        return any(
            _binds(binding, inputs) and _folded(inputs["member"]) in map(_folded, binding.get("members") or ())
            for binding in policy.get("bindings") or ()
        )

    def _put_in(self, policy: dict[str, Any], inputs: Mapping[str, Any]) -> None:
        if self.spec.member == "ACCESS":
            policy.setdefault("access", []).append(_entry(inputs))
            return
        for binding in policy.setdefault("bindings", []):
            if _binds(binding, inputs):
                binding.setdefault("members", []).append(inputs["member"])
                return
        made: dict[str, Any] = {"role": inputs["role"], "members": [inputs["member"]]}
        if inputs.get("condition"):
            made["condition"] = dict(inputs["condition"])
        policy["bindings"].append(made)

    def _take_out(self, policy: dict[str, Any], inputs: Mapping[str, Any]) -> None:
        if self.spec.member == "ACCESS":
            policy["access"] = [entry for entry in policy.get("access") or () if not _same_entry(entry, _entry(inputs))]
            return
        for binding in policy.get("bindings") or ():
            if _binds(binding, inputs):
                binding["members"] = [item for item in binding["members"] if _folded(item) != _folded(inputs["member"])]
        policy["bindings"] = [binding for binding in policy.get("bindings") or () if binding.get("members")]


def _folded(member: str) -> str:
    """Mails are compared without case; what stands before the colon is not touched."""
    kind, colon, name = str(member).partition(":")
    return f"{kind}{colon}{name.lower()}"


def _binds(binding: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    mine, theirs = inputs.get("condition") or {}, binding.get("condition") or {}
    keys = ("title", "expression", "description")
    return binding.get("role") == inputs["role"] and all(
        (mine.get(key) or "") == (theirs.get(key) or "") for key in keys
    )


def _entry(inputs: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = str(inputs["member"]).partition(":")
    made: dict[str, Any] = {"role": _BASIC.get(inputs["role"], inputs["role"])}
    if kind in ("allUsers", "allAuthenticatedUsers"):
        made["iamMember" if kind == "allUsers" else "specialGroup"] = kind
    else:
        made[_KINDS.get(kind, "iamMember")] = name if kind in _KINDS else inputs["member"]
    return made | ({"condition": dict(inputs["condition"])} if inputs.get("condition") else {})


def _same_entry(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def plain(entry: Mapping[str, Any]) -> dict[str, Any]:
        return {key: str(value).lower() if key.endswith("Email") else _BASIC.get(value, value) if key == "role" else value
                for key, value in entry.items()}  # fmt: skip

    return plain(one) == plain(other)
