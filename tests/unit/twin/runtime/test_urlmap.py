"""A url map's decisions, rule by rule: which backend, which redirect, which path the backend sees."""

from __future__ import annotations

from typing import Any

import pytest

from twin.runtime.urlmap import location, rewritten, route

ROUTE_RULES: dict[str, dict[str, Any]] = {
    "exact": {"fullPathMatch": "/exact"},
    "folded": {"prefixMatch": "/Folded/", "ignoreCase": True},
    "pattern": {"regexMatch": "/v[0-9]+/items"},
    "template": {"pathTemplateMatch": "/shops/{shop}/{rest=items/**}"},
    "tagged": {"prefixMatch": "/", "headerMatches": [{"headerName": "X-Beta", "exactMatch": "yes"}]},
    "present": {"prefixMatch": "/", "headerMatches": [{"headerName": "X-Any", "presentMatch": True}]},
    "ranged": {
        "prefixMatch": "/",
        "headerMatches": [{"headerName": "X-Age", "rangeMatch": {"rangeStart": "10", "rangeEnd": "20"}}],
    },
    "asked": {"prefixMatch": "/", "queryParameterMatches": [{"name": "debug", "exactMatch": "1"}]},
    "inverted": {
        "prefixMatch": "/only/",
        "headerMatches": [{"headerName": "X-Old", "presentMatch": True, "invertMatch": True}],
    },
}


def mapped(rules: list[dict[str, Any]]) -> dict[str, Any]:
    matcher = {"name": "m", "defaultService": "default", "routeRules": rules}
    return {
        "defaultService": "elsewhere",
        "hostRules": [{"hosts": ["*"], "pathMatcher": "m"}],
        "pathMatchers": [matcher],
    }


URL_MAP = mapped(
    [
        {"priority": number, "service": name, "matchRules": [match]}
        for number, (name, match) in enumerate(ROUTE_RULES.items())
    ]
)


@pytest.mark.parametrize(
    ("path", "query", "headers", "backend"),
    [
        ("/exact", "", {}, "exact"),
        ("/exact/", "", {"X-Old": "1"}, "default"),
        ("/FOLDED/x", "", {}, "folded"),
        ("/v12/items", "", {}, "pattern"),
        ("/v12/items/3", "", {}, "default"),
        ("/shops/7/items/a/b", "", {}, "template"),
        ("/shops/7/8/items/a", "", {}, "default"),
        ("/other", "", {"X-Beta": "yes"}, "tagged"),
        ("/other", "", {"X-Beta": "no"}, "default"),
        ("/other", "", {"X-Any": ""}, "present"),
        ("/other", "", {"X-Age": "10"}, "ranged"),
        ("/other", "", {"X-Age": "20"}, "default"),
        ("/other", "", {"X-Age": "old"}, "default"),
        ("/other", "debug=1", {}, "asked"),
        ("/other", "debug=2", {}, "default"),
        ("/only/x", "", {}, "inverted"),
        ("/only/x", "", {"X-Old": "1"}, "default"),
    ],
)
def test_route_rules_choose_by_path_header_and_query(
    path: str, query: str, headers: dict[str, str], backend: str
) -> None:
    assert route(URL_MAP, "any.example", path, query, headers).backend == backend


def test_the_lowest_priority_number_goes_first_whatever_the_order() -> None:
    rules = [
        {"priority": 9, "service": "late", "matchRules": [{"prefixMatch": "/a/b"}]},
        {"priority": 1, "service": "early", "matchRules": [{"prefixMatch": "/a"}]},
    ]

    assert route(mapped(rules), "h", "/a/b", "", {}).backend == "early"


def test_any_match_rule_is_enough_and_all_within_one_are_needed() -> None:
    both = {"prefixMatch": "/x", "headerMatches": [{"headerName": "A", "presentMatch": True}]}
    url_map = mapped([{"priority": 1, "service": "found", "matchRules": [{"fullPathMatch": "/y"}, both]}])

    assert route(url_map, "h", "/y", "", {}).backend == "found"
    assert route(url_map, "h", "/x", "", {"A": "1"}).backend == "found"
    assert route(url_map, "h", "/x", "", {}).backend == "default"


@pytest.mark.parametrize(
    ("match", "rewrite", "path", "seen"),
    [
        ({"prefixMatch": "/old/"}, {"pathPrefixRewrite": "/new/"}, "/old/a/b", "/new/a/b"),
        ({"fullPathMatch": "/one"}, {"pathPrefixRewrite": "/two"}, "/one", "/two"),
        (
            {"pathTemplateMatch": "/{lang}/shops/{rest=**}"}, {"pathTemplateRewrite": "/shops/{lang}/{rest}"},
            "/en/shops/7/items", "/shops/en/7/items",
        ),
    ],
)  # fmt: skip
def test_a_rewrite_changes_what_the_backend_sees(
    match: dict[str, Any], rewrite: dict[str, str], path: str, seen: str
) -> None:
    rule = {"priority": 1, "service": "s", "matchRules": [match], "routeAction": {"urlRewrite": rewrite}}

    assert rewritten(route(mapped([rule]), "h", path, "", {}), path) == seen


def test_weights_split_and_a_weight_of_none_gets_nothing() -> None:
    shares = [
        {"backendService": "most", "weight": 90},
        {"backendService": "some", "weight": 10, "headerAction": {"requestHeadersToRemove": ["X"]}},
        {"backendService": "never", "weight": 0},
    ]
    rule = {
        "priority": 1,
        "matchRules": [{"prefixMatch": "/"}],
        "routeAction": {"weightedBackendServices": shares},
    }

    seen = [route(mapped([rule]), "h", "/", "", {}) for _ in range(600)]

    names = [each.backend for each in seen]
    assert set(names) == {"most", "some"}
    assert names.count("most") > 3 * names.count("some")
    assert {each.actions for each in seen if each.backend == "most"} == {()}
    assert all(each.actions == (shares[1]["headerAction"],) for each in seen if each.backend == "some")


@pytest.mark.parametrize(
    ("redirect", "answer"),
    [
        ({"httpsRedirect": True}, (301, "https://h/old/a?b=1")),
        ({"prefixRedirect": "/new/", "redirectResponseCode": "PERMANENT_REDIRECT"}, (308, "http://h/new/a?b=1")),
        ({"pathRedirect": "/there", "stripQuery": True, "redirectResponseCode": "FOUND"}, (302, "http://h/there")),
        ({"hostRedirect": "other", "redirectResponseCode": "SEE_OTHER"}, (303, "http://other/old/a?b=1")),
    ],
)
def test_a_redirect_says_where(redirect: dict[str, Any], answer: tuple[int, str]) -> None:
    rule = {"priority": 1, "matchRules": [{"prefixMatch": "/old/"}], "urlRedirect": redirect}
    found = route(mapped([rule]), "h", "/old/a", "b=1", {})

    assert found.redirect == redirect
    assert location(redirect, "http", "h", "/old/a", "b=1", found.matched) == answer


@pytest.mark.parametrize(
    ("host", "backend"),
    [("shop.example", "exact"), ("SHOP.example:8080", "exact"), ("a.shop.example", "below"), ("b.c", "any")],
)
def test_the_most_specific_host_wins(host: str, backend: str) -> None:
    rules = {"*": "any", "*.shop.example": "below", "shop.example": "exact", "*.example": "wide"}
    url_map = {
        "defaultService": "none",
        "hostRules": [{"hosts": [pattern], "pathMatcher": name} for pattern, name in rules.items()],
        "pathMatchers": [{"name": name, "defaultService": name} for name in rules.values()],
    }

    assert route(url_map, host, "/", "", {}).backend == backend


def test_header_actions_gather_from_the_outside_in() -> None:
    url_map = mapped([{"priority": 1, "service": "s", "matchRules": [{"prefixMatch": "/"}], "headerAction": {"in": 3}}])
    url_map["headerAction"] = {"in": 1}
    url_map["pathMatchers"][0]["headerAction"] = {"in": 2}

    assert [action["in"] for action in route(url_map, "h", "/", "", {}).actions] == [1, 2, 3]
