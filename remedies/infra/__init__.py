"""The catalogue of infra remedies: one cure a file."""

from __future__ import annotations

from typing import Final

from regreen.facts.cloud import CloudRemedy
from remedies.infra import (
    add_cdn,
    add_probes,
    create_key,
    create_secrets,
    grant_invokers,
    launch_dataflow_with_key,
    move_graph_to_aura,
    propagate_variables,
    reencrypt_tables,
    refer_to_secrets,
    restore_image,
    route_balancer,
    set_balancer_timeouts,
    set_dataset_key,
    set_request_timeout,
    size_cache,
    size_cloud_run,
    start_database,
    use_new_graph,
)

CATALOGUE: Final[tuple[CloudRemedy, ...]] = (
    propagate_variables,
    size_cloud_run,
    set_request_timeout,
    add_probes,
    set_balancer_timeouts,
    route_balancer,
    start_database,
    size_cache,
    grant_invokers,
    create_secrets,
    refer_to_secrets,
    restore_image,
    create_key,
    set_dataset_key,
    reencrypt_tables,
    launch_dataflow_with_key,
    move_graph_to_aura,
    use_new_graph,
    add_cdn,
)
