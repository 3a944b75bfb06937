"""What live values mean for declared ones when everything is read anew."""

from __future__ import annotations

from infra.types import FieldSpec
from infra.types.difference import seen_inputs

SCALING = FieldSpec(
    "object",
    ("scaling",),
    fields={
        "maxInstanceCount": FieldSpec("integer", ("maxInstanceCount",)),
        "minInstanceCount": FieldSpec("integer", ("minInstanceCount",)),
        "mode": FieldSpec("string", ("mode",), computed=True),
    },
)


def test_what_others_set_beside_declared_inputs_is_seen() -> None:
    live = {"scaling": {"maxInstanceCount": 5, "minInstanceCount": 3, "mode": "AUTOMATIC"}}
    assert seen_inputs({"scaling": {"maxInstanceCount": 5}}, live, {"scaling": SCALING}) == {
        "scaling": {"maxInstanceCount": 5, "minInstanceCount": 3}
    }


def test_what_the_api_fills_and_what_is_as_good_as_unset_stays_out() -> None:
    live = {"scaling": {"maxInstanceCount": 5, "minInstanceCount": 0, "mode": "AUTOMATIC"}}
    assert seen_inputs({"scaling": {"maxInstanceCount": 5}}, live, {"scaling": SCALING}) == {
        "scaling": {"maxInstanceCount": 5}
    }
