"""Every staging check on snapshots: healthy passes, each fault is named, and what could not be seen is UNKNOWN."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from checks.staging import CATALOGUE
from regreen.cloud.look import judge
from regreen.facts.cloud import CloudCheck, Collection, Measurement, Snapshot
from regreen.model import Status, Verdict
from tests.unit.checks.staging_world import FAULTS, HEALTHY, MEASURED, Fault, bare, environment, snapshot

ENVIRONMENT = environment()
CHECKS = {check.ID: check for check in CATALOGUE}
BY_ID = pytest.mark.parametrize("check", CATALOGUE, ids=list(CHECKS))


def verdict_of(check: CloudCheck, found: Snapshot, required: Any = ENVIRONMENT) -> Verdict:
    (verdict,) = judge(found, (check,), required, time.perf_counter()).verdicts
    return verdict


@BY_ID
def test_the_healthy_environment_passes(check: CloudCheck) -> None:
    verdict = verdict_of(check, snapshot())

    assert (verdict.status, verdict.error, verdict.findings) == (Status.PASS, "", ())


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_found_and_named(fault: Fault) -> None:
    verdict = verdict_of(CHECKS[fault.check], snapshot(fault))

    assert verdict.status is Status.FAIL
    assert (fault.subject, fault.observed) in [(item.subject, item.observed) for item in verdict.findings]
    assert {item.severity for item in verdict.findings} == {CHECKS[fault.check].SEVERITY}


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {fault.check for fault in FAULTS} == set(CHECKS)


@pytest.mark.parametrize(("check", "kind"), [(check, kind) for check in CATALOGUE for kind in check.READS])
def test_what_cannot_be_read_makes_it_unknown_with_the_apis_words(check: CloudCheck, kind: str) -> None:
    found = snapshot()
    blind = replace(found, collections={**found.collections, kind: Collection(error="403 PERMISSION_DENIED: no")})

    verdict = verdict_of(check, blind)

    assert verdict.status is Status.UNKNOWN
    assert verdict.error == f"{kind}: 403 PERMISSION_DENIED: no"


@pytest.mark.parametrize(("check", "name"), [(check, name) for check in CATALOGUE for name in check.MEASURES])
def test_an_experiment_that_could_not_be_made_makes_it_unknown(check: CloudCheck, name: str) -> None:
    found = snapshot()
    blind = replace(found, measurements={**found.measurements, name: Measurement(error="no way there from here")})

    verdict = verdict_of(check, blind)

    assert verdict.status is Status.UNKNOWN
    assert "no way there from here" in verdict.error


@BY_ID
def test_nobody_looked_is_unknown(check: CloudCheck) -> None:
    verdict = verdict_of(check, Snapshot("quotes-staging", "424242", "now"))

    assert verdict.status is Status.UNKNOWN
    assert "was not collected" in verdict.error or "was not measured" in verdict.error


#: These look at whatever is there; the others need a requirement.
_OF_THEMSELVES = {
    "staging.cloud-run-ready", "staging.cloud-run-secrets-by-reference", "staging.no-bypass-key-in-production",
    "staging.no-503-in-window", "staging.no-1011-in-window", "staging.scaling-within-30s", "staging.drift",
}  # fmt: skip


@BY_ID
def test_where_nothing_is_required_nothing_passes_but_what_needs_no_requirement(check: CloudCheck) -> None:
    verdict = verdict_of(check, snapshot(), bare())

    assert (verdict.status is Status.PASS) == (check.ID in _OF_THEMSELVES)
    if check.ID not in _OF_THEMSELVES:
        assert verdict.status is Status.UNKNOWN
        assert "nothing is required here" in verdict.error


@pytest.mark.parametrize("check", ["staging.no-503-in-window", "staging.no-1011-in-window"])
def test_silence_in_the_window_proves_nothing(check: str) -> None:
    found = snapshot()
    silent = replace(found, collections={**found.collections, "monitoring.requests": Collection()})

    assert verdict_of(CHECKS[check], silent).error == "no request in the last 24 h: silence proves nothing"


def test_without_a_burst_scaling_is_unknown() -> None:
    found = snapshot()
    silent = replace(found, collections={**found.collections, "monitoring.requests": Collection()})

    assert verdict_of(CHECKS["staging.scaling-within-30s"], silent).status is Status.UNKNOWN


def test_without_the_projects_number_grants_are_unknown() -> None:
    verdict = verdict_of(CHECKS["staging.kms-grants"], snapshot(number=""))

    assert verdict.error == "the project's number could not be read, so its service agents have no names"


def test_a_serverless_backend_needs_neither_time_out_nor_draining() -> None:
    fault = Fault("", "", ((("compute.backendServices", "api-backend", "timeoutSec"), 5),), "", "")

    assert verdict_of(CHECKS["staging.load-balancer-timeouts"], snapshot(fault)).status is Status.PASS
    assert verdict_of(CHECKS["staging.load-balancer-draining"], snapshot(fault)).status is Status.PASS


API = ("run.services", "api")
#: Other ways to be as it should be.
ALSO_HEALTHY: tuple[tuple[str, tuple[str | int, ...], Any], ...] = (
    ("cloud-run-min-instances", (*API, "scaling"), {"minInstanceCount": 3}),
    ("cloud-run-min-instances", API, {"template": {"scaling": {"minInstanceCount": 1}}}),
    ("cloud-run-max-instances", API, {"scaling": {"maxInstanceCount": 2}, "template": {}}),
    ("cloud-run-probes", (*API, "template", "containers", 0, "startupProbe"), {"grpc": {}}),
    ("cloud-run-request-timeout", (*API, "template", "timeout"), "3600s"),
    ("cdn-cache-policy", ("compute.backendBuckets", "static", "cdnPolicy"), {"cacheMode": "CACHE_ALL_STATIC", "clientTtl": 31536000}),
    ("load-balancer-draining", ("compute.backendServices", "ws-backend", "connectionDraining"), {"drainingTimeoutSec": 600}),
    ("load-balancer-routes", ("compute.urlMaps", "lb", "hostRules"), [{"hosts": ["*"], "pathMatcher": "main"}]),
    ("kms-key-rotation", ("kms.keys", "projects/quotes-staging/locations/us/keyRings/ring/cryptoKeys/data", "rotationPeriod"), 86400),
    ("bigquery-tables-cmek", ("bigquery.tables", "market.orders"), {"type": "EXTERNAL"}),
    ("aura-reachable", ("run.services", "worker", "template", "containers", 0, "env"), [{"name": "GRAPH", "value": "neo4j+s://a1b2.databases.neo4j.io"}]),
    ("service-auth", ("run.policies", "api", "bindings", 0, "members"), ["allUsers", "user:ann@example.com"]),
    ("scaling-within-30s", ("monitoring.instances", "0", "points", 0, "interval", "endTime"), "2026-03-01T10:01:30Z"),
)  # fmt: skip


@pytest.mark.parametrize(("check", "path", "value"), ALSO_HEALTHY)
def test_what_is_as_good_passes(check: str, path: tuple[str | int, ...], value: Any) -> None:
    verdict = verdict_of(CHECKS[f"staging.{check}"], snapshot(Fault("", "", ((path, value),), "", "")))

    assert (verdict.status, verdict.error, verdict.findings) == (Status.PASS, "", ())


def test_an_old_revision_with_traffic_is_looked_at_too() -> None:
    old = {"name": "api-00001", "containers": [{"env": []}]}
    traffic = [{"revision": "api-00001", "percent": 10}, {"revision": "api-00002", "percent": 90}]
    breaks = ((("run.revisions", "api-00001"), old), (("run.services", "api", "trafficStatuses"), traffic))

    verdict = verdict_of(CHECKS["staging.cloud-run-env-complete"], snapshot(Fault("", "", breaks, "", "")))

    assert [item.observed for item in verdict.findings] == [
        "MODE is not set in api-00001",
        "SIGNING_KEY is not set in api-00001",
    ]


def test_the_bypass_key_is_no_finding_in_staging() -> None:
    door = Fault("", "", ((("run.services", "api", "template", "containers", 0, "env", 0), {"name": "TEST_DOOR", "value": "1"}),), "", "")  # fmt: skip

    assert verdict_of(CHECKS["staging.no-bypass-key-in-production"], snapshot(door)).status is Status.PASS


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_finding_holds_a_secrets_value(fault: Fault) -> None:
    verdict = verdict_of(CHECKS[fault.check], snapshot(fault))

    assert "hunter2" not in repr(verdict)


def test_a_saved_snapshot_is_judged_as_the_live_one() -> None:
    fault = FAULTS[0]
    found = snapshot(fault)
    again = Snapshot.loads(found.dumps())

    assert again.dumps() == found.dumps()
    assert [verdict_of(check, again) for check in CATALOGUE] == [verdict_of(check, found) for check in CATALOGUE]
    with pytest.raises(ValueError, match="not a snapshot of schema 1"):
        Snapshot.loads(json.dumps({"schema": 0}))


def test_the_world_holds_what_the_checks_ask_for() -> None:
    assert set(HEALTHY) == {kind for check in CATALOGUE for kind in check.READS}
    assert set(MEASURED) == {name for check in CATALOGUE for name in check.MEASURES}
