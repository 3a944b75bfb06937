"""Which backend answers a request, and what happens on the way: the url map's rules.

https://cloud.google.com/load-balancing/docs/url-map-concepts
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

from twin.kernel.types import Body


@dataclass(frozen=True, slots=True)
class Route:
    """A decision: a backend (by link), or a redirect. `actions` are header actions, outermost first."""

    backend: str = ""
    redirect: Body | None = None
    action: Body = field(default_factory=dict)
    actions: tuple[Body, ...] = ()
    matched: str = ""
    """The prefix that matched, which a rewrite replaces."""
    named: Body = field(default_factory=dict)
    """What a path template's variables matched."""


def route(url_map: Body, host: str, path: str, query: str, headers: Mapping[str, str]) -> Route:
    """Follow host rules, then the path matcher's route rules or path rules, then defaults."""
    outer = (url_map["headerAction"],) if "headerAction" in url_map else ()
    matcher = _matcher(url_map, host)
    if matcher is None:
        return _default(url_map, outer)
    actions = (*outer, matcher["headerAction"]) if "headerAction" in matcher else outer
    for rule in sorted(matcher.get("routeRules", ()), key=lambda item: int(item.get("priority", 0))):
        found = _route_rule(rule, path, query, headers)
        if found is not None:
            inner = (*actions, rule["headerAction"]) if "headerAction" in rule else actions
            return replace(_decided(rule, inner, found[0]), named=found[1])
    best: tuple[int, Body, str] | None = None
    for rule in matcher.get("pathRules", ()):
        for pattern in rule.get("paths", ()):
            prefix = pattern.removesuffix("*")
            fits = path.startswith(prefix) if pattern.endswith("*") else path == pattern
            # An exact path goes before a prefix of the same length.
            rank = 2 * len(prefix) + (not pattern.endswith("*"))
            if fits and (best is None or rank > best[0]):
                best = (rank, rule, prefix)
    if best is not None:
        return _decided(best[1], actions, best[2])
    return _default(matcher, actions)


def _matcher(url_map: Body, host: str) -> Body | None:
    """The path matcher for a host: exact, then the longest `*.suffix`, then `*`."""
    host = host.lower().partition(":")[0]
    best: tuple[int, str] | None = None
    for rule in url_map.get("hostRules", ()):
        for pattern in rule.get("hosts", ()):
            pattern = pattern.lower().partition(":")[0]
            fits = pattern in (host, "*") or (pattern.startswith("*") and host.endswith(pattern[1:]))
            rank = 1000 if pattern == host else len(pattern)
            if fits and (best is None or rank > best[0]):
                best = (rank, rule["pathMatcher"])
    if best is None:
        return None
    return next((item for item in url_map.get("pathMatchers", ()) if item["name"] == best[1]), None)


def _default(place: Body, actions: tuple[Body, ...]) -> Route:
    action = place.get("defaultRouteAction", {})
    if "defaultUrlRedirect" in place:
        return Route(redirect=place["defaultUrlRedirect"], action=action, actions=actions)
    return _weighted(place.get("defaultService", ""), action, actions, "")


def _decided(rule: Body, actions: tuple[Body, ...], matched: str) -> Route:
    action = rule.get("routeAction", {})
    if "urlRedirect" in rule:
        return Route(redirect=rule["urlRedirect"], action=action, actions=actions, matched=matched)
    return _weighted(rule.get("service", ""), action, actions, matched)


def _weighted(service: str, action: Body, actions: tuple[Body, ...], matched: str) -> Route:
    shares = action.get("weightedBackendServices", ())
    if shares:
        weights = [int(share.get("weight", 0)) for share in shares]
        chosen = random.choices(shares, weights)[0] if any(weights) else shares[0]  # noqa: S311 - a split, no secret
        inner = (*actions, chosen["headerAction"]) if "headerAction" in chosen else actions
        return Route(chosen["backendService"], None, action, inner, matched)
    return Route(service, None, action, actions, matched)


def _route_rule(rule: Body, path: str, query: str, headers: Mapping[str, str]) -> tuple[str, Body] | None:
    """The matched prefix and a template's variables, or None. Any of a rule's match rules is enough."""
    for match in rule.get("matchRules", ()):
        fold = bool(match.get("ignoreCase"))
        seen = path.lower() if fold else path
        prefix, whole = match.get("prefixMatch", ""), match.get("fullPathMatch", "")
        if fold:
            prefix, whole = prefix.lower(), whole.lower()
        if whole and seen != whole:
            continue
        if prefix and not seen.startswith(prefix):
            continue
        if match.get("regexMatch") and not re.fullmatch(match["regexMatch"], path):
            continue
        template = match.get("pathTemplateMatch")
        fits = re.fullmatch(_template(template), path) if template else None
        if template and fits is None:
            continue
        if _headers(match, headers) and _parameters(match, query):
            return str(whole or prefix), fits.groupdict() if fits is not None else {}
    return None


def _template(pattern: str) -> str:
    """A path template as a regular expression: `*` is one segment, `**` any number, `{name=…}` names what it matches
    (https://cloud.google.com/load-balancing/docs/url-map-concepts#wildcards-regx-dynamic)."""

    def part(found: re.Match[str]) -> str:
        if found["name"]:
            return f"(?P<{found['name']}>{_template(found['inner'] or '*')})"
        return {"**": ".*", "*": "[^/]+"}.get(found[0]) or re.escape(found[0])

    return re.sub(r"\{(?P<name>\w+)(=(?P<inner>[^}]+))?\}|\*\*|\*|[^{*]+", part, pattern)


def _headers(match: Body, headers: Mapping[str, str]) -> bool:
    for wanted in match.get("headerMatches", ()):
        value = headers.get(wanted.get("headerName", ""))
        if _matches(wanted, value) == bool(wanted.get("invertMatch")):
            return False
    return True


def _matches(wanted: Body, value: str | None) -> bool:
    if "presentMatch" in wanted:
        return (value is not None) == bool(wanted["presentMatch"])
    if value is None:
        return False
    if "exactMatch" in wanted:
        return bool(value == wanted["exactMatch"])
    if "prefixMatch" in wanted:
        return value.startswith(wanted["prefixMatch"])
    if "suffixMatch" in wanted:
        return value.endswith(wanted["suffixMatch"])
    if "regexMatch" in wanted:
        return re.fullmatch(wanted["regexMatch"], value) is not None
    span = wanted.get("rangeMatch") or {"rangeStart": 0, "rangeEnd": 0}
    return value.lstrip("-").isdigit() and int(span["rangeStart"]) <= int(value) < int(span["rangeEnd"])


def _parameters(match: Body, query: str) -> bool:
    given = parse_qs(query, keep_blank_values=True)
    for wanted in match.get("queryParameterMatches", ()):
        values = given.get(wanted.get("name", ""))
        if not _matches(wanted, values[0] if values else None):
            return False
    return True


def rewritten(route: Route, path: str) -> str:
    """The path (without its query) that the backend sees."""
    rewrite = route.action.get("urlRewrite", {})
    if rewrite.get("pathTemplateRewrite"):
        return re.sub(r"\{(\w+)\}", lambda found: str(route.named.get(found[1], "")), rewrite["pathTemplateRewrite"])
    prefix = rewrite.get("pathPrefixRewrite", "")
    if not prefix:
        return path
    return str(prefix) + path[len(route.matched) :]


def location(redirect: Body, scheme: str, host: str, path: str, query: str, matched: str) -> tuple[int, str]:
    """Status and Location of a redirect."""
    codes = {"FOUND": 302, "SEE_OTHER": 303, "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308}
    status = codes.get(redirect.get("redirectResponseCode", ""), 301)
    scheme = "https" if redirect.get("httpsRedirect") else scheme
    if redirect.get("pathRedirect"):
        path = redirect["pathRedirect"]
    elif redirect.get("prefixRedirect"):
        path = redirect["prefixRedirect"] + path[len(matched) :]
    kept = f"?{query}" if query and not redirect.get("stripQuery") else ""
    return status, f"{scheme}://{redirect.get('hostRedirect') or host}{path}{kept}"
