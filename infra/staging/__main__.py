"""`pulumi up` for staging: the program of `infra.program`, on the configuration of the selected stack."""

from __future__ import annotations

import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository: this project is run in place

from infra.config import SECTIONS
from infra.live import reader
from infra.program import build
from infra.safety import refuse_production
from regreen.facts.cloud.google import Google

config = pulumi.Config()
google = pulumi.Config("gcp")
values = {name: config.get_object(name) for name in (*SECTIONS, "aura", "imports")}
refuse_production(google.require("project"), pulumi.get_stack())
project, region = google.require("project"), google.require("region")
build(
    {**values, "project": project, "region": region},
    lambda *asked: reader(Google(project), project, region)(*asked),
)
