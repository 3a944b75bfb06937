"""`pulumi up` for staging: the program of `infra.program`, on the configuration of the selected stack."""

from __future__ import annotations

import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository: this project is run in place

from infra.config import SECTIONS
from infra.program import build
from infra.safety import refuse_production

config = pulumi.Config()
google = pulumi.Config("gcp")
values = {name: config.get_object(name) for name in (*SECTIONS, "imports")}
refuse_production(google.require("project"), pulumi.get_stack())
build({**values, "project": google.require("project"), "region": google.require("region")})
