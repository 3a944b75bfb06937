"""Cloud Run's table of methods, and its rules."""

from __future__ import annotations

from twin.kernel.semantics import Rule, Semantics
from twin.services.run import model, v1, v1_jobs, v2

DOCS = "https://cloud.google.com/run/docs/"

SEMANTICS = Semantics(
    api="run",
    missing=model.missing,
    existing=model.existing,
    methods={**v1.METHODS, **v1_jobs.METHODS, **v2.METHODS},
    viewing={"services": v2.view, "jobs": v2.view, "revisions": v2.view},
    packages={"v1": "google.cloud.run.v1", "v2": "google.cloud.run.v2"},
    permissions={"services.replaceService": ""},
    rules=(
        Rule(
            "run.timeout-range",
            "template.timeout is at most 3600 s, 300 s by default",
            DOCS + "configuring/request-timeout",
        ),
        Rule(
            "run.concurrency",
            "maxInstanceRequestConcurrency is at most 1000, 80 by default",
            DOCS + "about-concurrency",
        ),
        Rule("run.max-instances", "100 instances at most by default", DOCS + "configuring/max-instances"),
        Rule(
            "run.min-not-above-max",
            "minimum instances cannot exceed maximum instances",
            DOCS + "configuring/min-instances",
        ),
        Rule("run.default-startup-probe", "without a probe: TCP on the port, 240 s", DOCS + "configuring/healthchecks"),
        Rule(
            "run.new-revision",
            "a changed template makes a revision, any other change does not",
            DOCS + "managing/revisions",
        ),
        Rule(
            "run.traffic-sums",
            "traffic percentages sum to 100, named revisions exist",
            DOCS + "rollouts-rollbacks-traffic-migration",
        ),
        Rule(
            "run.secret-access",
            "a revision is refused when its account cannot read a secret that it names",
            DOCS + "configuring/services/secrets",
        ),
        Rule(
            "run.service-level-min",
            "run.googleapis.com/minScale on the service is scaling.minInstanceCount",
            DOCS + "configuring/min-instances",
        ),
        Rule(
            "run.v1-conflict",
            "a stale resourceVersion is refused with 409",
            DOCS + "reference/rest/v1/namespaces.services/replaceService",
        ),
        Rule(
            "run.v1-keeps-unknown-annotations",
            "annotations without a field in v2 survive both faces",
            DOCS + "reference/rest/v1/namespaces.services",
        ),
        Rule(
            "run.ready-at-once",
            "a service is Ready when the operation is done, until a runtime says otherwise",
            "",
            "assumed",
        ),
        Rule("run.wording-of-violations", "'Violation in FIELD: …'", "", "assumed"),
    ),
)
