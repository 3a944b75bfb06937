"""Rules over planned resources: on graphs made by hand, and on the graph that the program really declares."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.config import StackDocument
from infra.live import LIVE
from infra.policies import HIDDEN, RULES, Planned, broken, written
from infra.program import build
from tests.unit.infra.graphs import PROJECT, REGION, Graph
from tests.unit.infra.test_program import EVERYTHING

SERVICE = "gcp:cloudrunv2/service:Service"
KEY = "gcp:kms/cryptoKey:CryptoKey"
RING = "gcp:kms/keyRing:KeyRing"
KEY_GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
CDN = Planned("same", "gcp:compute/backendBucket:BackendBucket", "static", {"bucketName": "assets", "enableCdn": True})


def service(*variables: dict[str, str], **inputs: Any) -> Planned:
    return Planned("update", SERVICE, "api", {"template": {"containers": [{"envs": list(variables)}]}, **inputs})


# Production


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"project": "quotes-prod"}, "Service api is in project quotes-prod, which looks like production"),
        ({"labels": {"stage": "production"}}, "Service api carries the label 'production', which looks like production"),
        ({"keyRing": "projects/live-1/locations/us/keyRings/r"}, "Service api is in project live-1, which looks like production"),
    ],
)  # fmt: skip
def test_nothing_of_production_is_planned(inputs: dict[str, Any], words: str) -> None:
    assert broken([Planned("update", SERVICE, "api", inputs)]) == (words,)


def test_googles_own_service_agents_are_no_production() -> None:
    agent = "serviceAccount:service-1@dataflow-service-producer-prod.iam.gserviceaccount.com"
    grant = {
        "project": "quotes-staging",
        "member": agent,
        "cryptoKeyId": "projects/quotes-staging/locations/us/keyRings/r",
    }

    assert broken([Planned("create", KEY_GRANT, "data-agent", grant)]) == ()


# Keys


@pytest.mark.parametrize("kind", ["create", "update", "import", "same"])
@pytest.mark.parametrize(("type_", "word"), [(KEY, "CryptoKey"), (RING, "KeyRing")])
def test_a_key_without_protection_is_refused_whatever_is_done_to_it(kind: str, type_: str, word: str) -> None:
    assert broken([Planned(kind, type_, "data")]) == (
        f"{word} data is not protected: to destroy a key destroys the data under it",
    )
    assert broken([Planned(kind, type_, "data", protect=True)]) == ()


@pytest.mark.parametrize("who", ["allUsers", "allAuthenticatedUsers"])
def test_no_key_is_given_to_the_public(who: str) -> None:
    assert broken([Planned("create", KEY_GRANT, "data-all", {"member": who})]) == (
        f"CryptoKeyIAMMember data-all would let {who} use a key",
    )


def test_a_grant_that_is_there_does_not_stop_other_repairs() -> None:
    assert broken([Planned("same", KEY_GRANT, "data-all", {"member": "allUsers"})]) == ()


# Buckets

READ = {"bucket": "assets", "role": "roles/storage.objectViewer", "member": "allUsers"}


def test_the_cdns_bucket_may_be_read_by_all() -> None:
    assert broken([CDN, Planned("create", BUCKET_GRANT, "assets-all", READ)]) == ()


@pytest.mark.parametrize(
    ("others", "inputs", "why"),
    [
        ((), READ, "no CDN stands on it"),
        ((CDN,), {**READ, "bucket": "exports"}, "no CDN stands on it"),
        ((Planned("same", CDN.type, "static", {"bucketName": "assets", "enableCdn": False}),), READ, "no CDN stands on it"),
        ((CDN,), {**READ, "role": "roles/storage.objectAdmin"}, "the CDN does not need roles/storage.objectAdmin"),
        ((CDN,), {**READ, "role": "roles/storage.legacyBucketReader"}, "the CDN does not need roles/storage.legacyBucketReader"),
    ],
    ids=["no CDN", "another bucket", "CDN is off", "writes", "lists"],
)  # fmt: skip
def test_any_other_public_bucket_is_refused(others: tuple[Planned, ...], inputs: dict[str, str], why: str) -> None:
    found = broken([*others, Planned("create", BUCKET_GRANT, "all", inputs)])

    assert found == (f"BucketIAMMember all would open bucket {inputs['bucket']} to allUsers: {why}",)


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("gcp:storage/bucketIAMBinding:BucketIAMBinding", {"role": "roles/storage.objectViewer", "members": ["user:a@b.c", "allUsers"]}),
        ("gcp:storage/bucketIAMPolicy:BucketIAMPolicy", {"policyData": json.dumps({"bindings": [{"members": ["allUsers"]}]})}),
        ("gcp:storage/bucketAccessControl:BucketAccessControl", {"role": "READER", "entity": "allAuthenticatedUsers"}),
        ("gcp:storage/defaultObjectAccessControl:DefaultObjectAccessControl", {"role": "READER", "entity": "allUsers"}),
        ("gcp:storage/bucketACL:BucketACL", {"predefinedAcl": "publicRead"}),
        ("gcp:storage/bucketACL:BucketACL", {"roleEntities": ["OWNER:user-a@b.c", "READER:allUsers"]}),
    ],
)  # fmt: skip
def test_every_way_to_open_a_bucket_is_seen(type_: str, inputs: dict[str, Any]) -> None:
    (said,) = broken([Planned("create", type_, "all", {"bucket": "exports", **inputs})])

    assert "would open bucket exports to all" in said


def test_an_access_list_may_let_all_read_the_cdns_objects_and_nothing_else() -> None:
    kind = "gcp:storage/bucketACL:BucketACL"

    assert broken([CDN, Planned("create", kind, "a", {"bucket": "assets", "roleEntities": ["READER:allUsers"]})]) == ()
    assert broken([CDN, Planned("create", kind, "a", {"bucket": "assets", "roleEntities": ["WRITER:allUsers"]})]) != ()


def test_a_closed_bucket_is_fine() -> None:
    member = {"bucket": "exports", "role": "roles/storage.admin", "member": "user:a@b.c"}

    assert (
        broken([Planned("create", BUCKET_GRANT, "a", member), Planned("create", "gcp:storage/bucket:Bucket", "b")])
        == ()
    )


# Secrets


def test_a_plain_secret_in_a_variable_is_refused_without_its_value() -> None:
    found = broken([service({"name": "MODE", "value": "fast"}, {"name": "STRIPE_API_KEY", "value": "hunter2"})])

    assert found == ("Service api: STRIPE_API_KEY would hold a secret in plain text: refer to a secret",)


def test_a_secret_is_known_by_what_its_value_begins_with() -> None:
    assert broken([service({"name": "DATABASE", "value": "postgres://app:hunter2@10.0.0.1/db"})]) != ()


def test_a_plain_secret_that_is_there_does_not_stop_its_service_from_being_taken_over() -> None:
    found = Planned("import", SERVICE, "api", service({"name": "STRIPE_API_KEY", "value": "hunter2"}).inputs)

    assert broken([found, *written({"services": {"api": {"env": {"STRIPE_API_KEY": LIVE}}}})]) == ()
    assert broken([found, *written({"services": {"api": {"env": {"STRIPE_API_KEY": "hunter2"}}}})]) != ()


@pytest.mark.parametrize("value", [*HIDDEN, LIVE, ""])
def test_what_is_hidden_unknown_or_left_as_it_is_is_no_plain_secret(value: str) -> None:
    assert broken([service({"name": "STRIPE_API_KEY", "value": value})]) == ()


def test_a_reference_is_no_plain_secret() -> None:
    reference: Any = {"name": "STRIPE_API_KEY", "valueSource": {"secretKeyRef": {"secret": "s", "version": "1"}}}

    assert broken([service(reference)]) == ()


def test_a_jobs_variables_and_every_container_are_looked_at() -> None:
    envs = [{"envs": []}, {"envs": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]
    job = Planned("create", "gcp:cloudrunv2/job:Job", "nightly", {"template": {"template": {"containers": envs}}})

    assert broken([job]) == ("Job nightly: DB_PASSWORD would hold a secret in plain text: refer to a secret",)


def test_an_output_must_not_show_a_secret() -> None:
    stack = Planned("same", "pulumi:pulumi:Stack", "twin", outputs={"apiToken": "hunter2", "uri": "https://a", "dbPassword": "[secret]"})  # fmt: skip

    assert broken([stack]) == ("Stack twin: the output apiToken would show a secret",)


def test_no_secret_version_is_part_of_a_stack_even_hidden() -> None:
    version = Planned("create", "gcp:secretmanager/secretVersion:SecretVersion", "v", {"secretData": "[secret]"})

    assert broken([version]) == ("SecretVersion v would put a secret's value into the stack's state: add versions outside of it",)  # fmt: skip


def test_inputs_are_never_printed() -> None:
    assert "hunter2" not in repr(service({"name": "A", "value": "hunter2"}))


# The graph of the program


def planned(graph: Graph) -> list[Planned]:
    """A graph as the engine would show it in a preview."""
    return [Planned("create", item.type, item.name, item.inputs, graph.outputs.get(item.name, {}), item.protect) for item in graph.made]  # fmt: skip


def test_the_program_breaks_no_rule() -> None:
    assert broken(planned(Graph.of(**EVERYTHING))) == ()


def test_a_rule_holds_for_what_a_person_writes_into_the_stacks_file() -> None:
    text = """
config:
  regreen-staging:services:
    api:
      image: registry/api:1
      env: {STRIPE_API_KEY: hunter2}
      keep: {labels: {stage: prod}}
  regreen-staging:keys:
    data: {ring: projects/quotes-prod/locations/us/keyRings/r, users: [allUsers]}
"""
    values = StackDocument.parse("Pulumi.twin.yaml", text.encode()).plain()
    graph = Graph(lambda: build({**values, "project": PROJECT, "region": REGION}))

    found = broken(planned(graph))

    (grant,) = (item.name for item in graph.made if item.type == KEY_GRANT)
    assert sorted(said.split(",")[0] for said in found) == [
        "CryptoKey data is in project quotes-prod",
        f"CryptoKeyIAMMember {grant} is in project quotes-prod",
        f"CryptoKeyIAMMember {grant} would let allUsers use a key",
        "Service api carries the label 'prod'",
        "Service api: STRIPE_API_KEY would hold a secret in plain text: refer to a secret",
    ]


def test_what_stands_in_the_file_is_seen_although_the_engine_hides_it_beside_a_secret() -> None:
    hidden: Any = {"template": {"containers": {"4dabf18193072939515e22adb298388d": "sig", "ciphertext": "[secret]"}}}
    services = {"api": {"env": {"STRIPE_API_KEY": "hunter2", "MODE": "fast", "SIGNING_KEY": LIVE}}}

    assert broken([Planned("update", SERVICE, "api", hidden)]) == ()
    assert broken([Planned("update", SERVICE, "api", hidden), *written({"services": services})]) == (
        "Service api: STRIPE_API_KEY would hold a secret in plain text: refer to a secret",
    )


def test_what_engine_and_file_both_show_is_said_once() -> None:
    services = {"api": {"env": {"STRIPE_API_KEY": "hunter2"}}}
    envs = {"name": "STRIPE_API_KEY", "value": "hunter2"}

    assert len(broken([service(envs), *written({"services": services})])) == 1


def test_a_value_left_as_it_is_live_breaks_no_rule() -> None:
    services = {"api": {"image": "i", "env": {"STRIPE_API_KEY": LIVE}}}
    graph = Graph(lambda: build({"project": PROJECT, "region": REGION, "services": services}, lambda *_: "hunter2"))

    assert broken(planned(graph)) == ()
    assert "hunter2" not in repr(graph.made)


def test_every_rule_says_what_it_wants() -> None:
    assert all(rule.__doc__ and rule.__doc__.endswith(".") for rule in RULES)
