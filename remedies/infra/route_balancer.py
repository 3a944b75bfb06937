"""Send a path where the environment says, and leave every other rule alone.

The path is taken out of the rule that sends it elsewhere and put into one for the right backend; rules for other
paths, hosts and matchers stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from regreen.environment import Environment
from regreen.facts.cloud import Snapshot, StackFile
from regreen.facts.cloud.edit import change, joined, missing, refuse
from regreen.model import Finding, Proposal, Risk, Safety, Undo

ID: Final = "staging.route-balancer"
CHECKS: Final = ("staging.load-balancer-routes",)
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.FORWARD
RISK: Final = Risk.LOW


def propose(findings: Sequence[Finding], snapshot: Snapshot, stack: StackFile, environment: Environment) -> Proposal:
    """Edit the path matchers of the URL map."""
    routes = [item for item in findings if item.get("path")]
    held, refused = missing(stack, "urlMaps", ID, routes)
    done, left = [], []
    edits: dict[str, list[dict[str, Any]]] = {}
    for item in held:
        name = item.get("resource")
        matchers = edits.get(name) or copied(stack.get("urlMaps", name, "pathMatchers", default=[]))
        link = _link(snapshot, item.get("backend"))
        place = _matcher(stack, name, matchers, environment)
        if link and place is not None:
            reroute(place, item.get("path"), link)
            edits[name] = matchers
            done.append(item)
        else:
            reason = f"backend {item.get('backend')} does not exist" if not link else "no path matcher serves the host"
            left.append(refuse(ID, item, reason, "create it first, then run again"))
    values = [(("urlMaps", name, "pathMatchers"), matchers) for name, matchers in edits.items()]
    paths = ", ".join(sorted({f"{item.get('path')} to {item.get('backend')}" for item in done}))
    return joined(change(ID, stack, f"routes: {paths}", done, values), refused, Proposal((), tuple(left)))


def copied(value: Any) -> Any:
    """A plain copy of what the stack's file holds."""
    if isinstance(value, Mapping):
        return {str(key): copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _link(snapshot: Snapshot, backend: str) -> str:
    for kind in ("compute.backendServices", "compute.backendBuckets"):
        for name, body in snapshot.of(kind):
            if name == backend:
                return str(body.get("selfLink", ""))
    return ""


def _matcher(
    stack: StackFile, name: str, matchers: list[dict[str, Any]], environment: Environment
) -> dict[str, Any] | None:
    """The path matcher that serves the environment's host."""
    assert environment.balancer is not None
    host = environment.balancer.host
    for rule in stack.get("urlMaps", name, "hostRules", default=[]):
        if host in rule["hosts"] or "*" in rule["hosts"]:
            return next((item for item in matchers if item["name"] == rule["pathMatcher"]), None)
    return None


def reroute(matcher: dict[str, Any], path: str, link: str) -> None:
    """Let a path of a matcher lead to a link: `/*` is the default, any other path a rule."""
    if path == "/*":
        matcher["defaultService"] = link
        return
    rules: list[dict[str, Any]] = matcher.setdefault("pathRules", [])
    for rule in rules:
        if path in rule["paths"]:
            rule["paths"].remove(path)
    matcher["pathRules"] = [rule for rule in rules if rule["paths"]]
    same = next((rule for rule in matcher["pathRules"] if rule.get("service") == link and len(rule) == 2), None)
    if same:
        same["paths"].append(path)
    else:
        matcher["pathRules"].append({"paths": [path], "service": link})
