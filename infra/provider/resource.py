"""One generic create, read, update and delete over the table of types; what a type does otherwise is in `special`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.provider.rest import CallError, Rest
from infra.provider.special import Special, special
from infra.types import TypeSpec
from infra.types.difference import Difference, differences, overlay, seen_inputs
from infra.types.shape import UNKNOWN, at, identity, to_api, to_program


class RefusedError(Exception):
    """A request that this provider does not do; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The provider's configuration: what stands in for inputs that a program leaves out."""

    values: Mapping[str, str] = field(default_factory=dict)


class Resource:
    """The resources of one type."""

    def __init__(self, spec: TypeSpec, rest: Rest, settings: Settings) -> None:
        self.spec, self.rest, self.settings = spec, rest, settings
        self.special: Special = special(spec.token)
        self._placing = frozenset(re.findall(r"\{(\w+)\}", spec.own + spec.collection))

    def missing(self, inputs: Mapping[str, Any]) -> list[str]:
        """Inputs that the address needs and that are not given: names are never made up here."""
        wanted = re.findall(r"\{(\w+)\}", self.spec.own + self.spec.collection)
        known = {**self.settings.values, **inputs}
        return [name for name in dict.fromkeys(wanted) if name in self.spec.fields and name not in known]

    def address(self, template: str, inputs: Mapping[str, Any]) -> str:
        """A template with the inputs in it; a whole resource name is shortened where only its last part belongs."""

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            given = str(inputs.get(name) or self.settings.values.get(name) or "")
            if name == "keyRing" or found.start() == 0:
                return given
            return given.rstrip("/").rpartition("/")[2] if "/" in given and name != "name" else given

        return re.sub(r"\{(\w+)\}", value, template)

    def difference(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
        """What changes from old to new inputs."""
        found = differences(self._addressed(old), self._addressed(new), self.spec.fields)
        return [
            item for item in found if item.path not in self._placing or _last(old, item.path) != _last(new, item.path)
        ]

    def _addressed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs with those of the address that the provider's configuration gives: leaving them out is no change."""
        filled = {name: self.settings.values[name] for name in self.spec.fields if name in self.settings.values}
        return {**{name: value for name, value in filled.items() if self.spec.fields[name].url}, **inputs}

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id and the state of a new resource."""
        body = self.special.body(to_api(inputs, self.spec.fields), inputs, self.settings.values)
        if self.spec.reference:
            body[self.spec.reference] = self._reference(inputs)
        query = {key: self.address(text, inputs) for key, text in self.spec.query.items()}
        query = {key: text.lower() if text in ("True", "False") else text for key, text in query.items() if text}
        answer = self.special.create(
            self, self.spec.base + self.address(self.spec.collection, inputs), body, query, inputs
        )
        own = self.special.own(self, inputs, answer)
        for name, action in self.spec.setters.items():
            if "/" not in action and inputs.get(name):
                self._set(name, action, own, inputs)
        return own, self.state(inputs, self.get(own) or {})

    def _reference(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        known = {**self.settings.values, **inputs}
        parts = {
            "projectId": known.get("project"),
            "datasetId": inputs.get("datasetId"),
            "tableId": inputs.get("tableId"),
        }
        return {key: str(value) for key, value in parts.items() if value}

    def get(self, own: str) -> dict[str, Any] | None:
        """The live object; None where there is none."""
        try:
            return self.rest.call("GET", self.spec.base + own, query=self.special.view)
        except CallError as error:
            if error.code == 404:
                return None
            raise

    def read(self, own: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """Id, inputs and state of a live resource. Without inputs (an import) they are all that a program could declare."""
        named = identity(self.spec, own) if not inputs else {}
        address = self.address(self.spec.own, named) if named else own
        live = self.get(address)
        if live is None or self.special.gone(live):
            return None
        full = {**to_program(live, self.spec.fields), **self.special.extra(live)}
        if inputs:
            # What is in the address cannot drift: the resource would be another one.
            placed = {name: value for name, value in inputs.items() if name in self._placing}
            declared = {**seen_inputs(inputs, full, self.spec.fields), **placed}
        else:
            declared = {**full, **{key: value for key, value in named.items() if key in self.spec.fields}}
        return self.special.own(self, declared, live) if named else own, declared, self.state(declared, live)

    def update(self, own: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        """Change what differs, keep everything else. The state afterwards."""
        changed = sorted({item.top for item in self.difference(old, new)})
        replacing = [item.path for item in self.difference(old, new) if item.replaces]
        if replacing:
            raise RefusedError(f"{own}: {', '.join(replacing)} cannot be changed in place")
        sent = [name for name in changed if self.spec.fields[name].path]
        for name in [name for name in sent if name in self.spec.setters]:
            self._set(name, self.spec.setters[name], own, new)
            sent.remove(name)
        if sent:
            self._send(own, sent, new)
        self.special.updated(self, own, changed, new)
        return self.state(new, self.get(own) or {})

    def _set(self, name: str, action: str, own: str, inputs: Mapping[str, Any]) -> None:
        path = self.address(action, inputs) if "/" in action else f"{own}/{action}"
        answer = self.rest.call("POST", self.spec.base + path, {self.spec.fields[name].path[0]: inputs.get(name)})
        self.rest.settled(answer, self.spec.base)

    def _send(self, own: str, sent: list[str], new: Mapping[str, Any]) -> None:
        live = self.rest.call("GET", self.spec.base + own, query=self.special.view)
        whole = self.special.body(to_api(new, self.spec.fields), new, self.settings.values)
        merging = self.spec.update == "PATCH" and not self.spec.mask
        body = dict(live) if self.spec.update in ("PUT", "GET-PATCH") else {}
        mask = []
        for name in sent:
            spec = self.spec.fields[name]
            root = spec.path[0]
            mask.append(root)
            if root in whole:
                same_root = len(spec.path) == 1
                body[root] = (
                    overlay(live.get(root), whole[root], spec, merging)
                    if same_root
                    else _merged(live.get(root), whole[root])
                )
            elif merging:
                body[root] = None
            else:
                body.pop(root, None)
            for companion in self.spec.companions.get(name, ()):
                mask.append(companion)
                if companion in whole:
                    body[companion] = whole[companion]
        if self.spec.fingerprint and "fingerprint" in live:
            body["fingerprint"] = live["fingerprint"]
        body = self.special.sending(body, live, sent)
        query = {"updateMask": ",".join(dict.fromkeys(mask))} if self.spec.mask else dict(self.special.update_query)
        verb = "PATCH" if self.spec.update == "GET-PATCH" else self.spec.update
        if not verb:
            raise RefusedError(f"{own}: {', '.join(sent)}: there is no call that changes this in place")
        self.rest.settled(self.rest.call(verb, self.spec.base + own, body, query), self.spec.base)

    def delete(self, own: str, inputs: Mapping[str, Any]) -> None:
        """Delete the resource, unless deleting it only means to forget it."""
        if self.spec.forgets or inputs.get("deletionPolicy") == "ABANDON":
            return
        guard = inputs.get("deletionProtection", self._guarded())
        if guard:
            raise RefusedError(f"{own} has deletionProtection; set it to false and run `pulumi up` first")
        try:
            self.rest.settled(self.special.delete(self, own, inputs), self.spec.base)
        except CallError as error:
            if error.code != 404:
                raise

    def _guarded(self) -> bool:
        return self.spec.token in (
            "gcp:cloudrunv2/service:Service",
            "gcp:sql/databaseInstance:DatabaseInstance",
            "gcp:bigquery/table:Table",
        )

    def state(self, inputs: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs, and what the resource has besides them."""
        filled = to_program(live, {name: spec for name, spec in self.spec.fields.items() if not spec.secret})
        made: dict[str, Any] = {**filled, **inputs}
        made |= {
            name: self.settings.values[name]
            for name, spec in self.spec.fields.items()
            if spec.url and name not in made and name in self.settings.values
        }
        for name in self.spec.outputs:
            value = at(live, (name,))
            if name in ("effectiveLabels", "pulumiLabels"):
                value = live.get("labels") or {}
            if value is not None:
                made[name] = value
        return made | self.special.outputs(inputs, dict(live))

    def planned(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The state that a preview shows: what only the API can say is unknown."""
        unknown = dict.fromkeys(self.spec.outputs, UNKNOWN)
        unknown |= {name: UNKNOWN for name, spec in self.spec.fields.items() if spec.computed and name not in inputs}
        return {**unknown, **inputs}


def _last(inputs: Mapping[str, Any], name: str) -> str:
    """The last part of a name that may be given whole."""
    return str(inputs.get(name) or "").rpartition("/")[2]


def _merged(live: Any, new: Any) -> Any:
    """A new object on top of a live one, level by level: two inputs can share an API object."""
    if isinstance(live, Mapping) and isinstance(new, Mapping):
        return {**live, **{key: _merged(live.get(key), value) for key, value in new.items()}}
    return new
