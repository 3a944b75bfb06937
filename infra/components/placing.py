"""What every component needs to know of where it is: project, region, what is adopted, what is protected."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from infra.config import SECTIONS, merge
from infra.live import Resolve, filled

_WORD: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
#: What deployments and the platform write into a resource: to declare it would be to fight them for ever.
IGNORED: Final[Mapping[str, Sequence[str]]] = {
    "services": ("client", "clientVersion", "launchStage", "template.revision"),
    "databases": ("settings.version",),
}
#: Losing one of these loses data, or a name that can never be used again.
PROTECTED: Final = frozenset({"keyRings", "keys", "datasets", "databases", "caches", "buckets", "secrets", "aura"})


@dataclass(frozen=True, slots=True)
class Placing:
    """The project and region, the import ids of live resources by `section/name`, and whether to protect what is dear."""

    project: str
    region: str
    imports: Mapping[str, str] = field(default_factory=dict)
    protect: bool = True
    live: Resolve | None = None
    """Reads what the stack leaves as it is live; without it such a value is an error."""

    def arguments(self, section: str, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A resource's inputs as the SDK's constructors take them: snake_case at the top, the provider's shape below."""
        inputs = merge(section, name, settings)
        if section == "services":
            inputs = filled(inputs, name, self.live or _unread, pulumi.Output.secret)
        return {_WORD.sub(r"_\1", key).lower(): value for key, value in inputs.items()}

    def options(self, parent: pulumi.Resource, section: str, name: str, **more: Any) -> pulumi.ResourceOptions:
        """Options of a resource: adopted where it is live, protected where losing it is dear."""
        chosen: dict[str, Any] = {"parent": parent, "protect": self.protect and section in PROTECTED, **more}
        if section in IGNORED:
            chosen["ignore_changes"] = list(IGNORED[section])
        if live := self.imports.get(f"{section}/{name}"):
            chosen["import_"] = live
        return pulumi.ResourceOptions(**chosen)

    def member_options(self, parent: pulumi.Resource, section: str, name: str, member: str) -> pulumi.ResourceOptions:
        """Options of one IAM grant on a resource."""
        key = f"{section}/{name}/{SECTIONS[section].members}/{member}"
        live = self.imports.get(key)
        return pulumi.ResourceOptions(parent=parent, import_=live) if live else pulumi.ResourceOptions(parent=parent)


def _unread(service: str, _: int, variable: str) -> str:
    raise pulumi.RunError(
        f"services/{service}: {variable} is left as it is live, and nothing was given to read it with"
    )


def granted(name: str, member: str) -> str:
    """A resource name for a grant: readable, and different for different members."""
    readable = re.sub(r"[^a-z0-9]+", "-", member.split("@")[0].lower()).strip("-")
    return f"{name}-{readable}-{hashlib.sha256(member.encode()).hexdigest()[:6]}"
