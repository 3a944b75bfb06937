"""The catalogue of code checks: one detector a file, listed here in the order in which reports show them."""

from __future__ import annotations

from typing import Final

from checks.code import (
    assertions_true,
    bases_linearize,
    coroutines_awaited,
    dependencies_declared,
    external_calls_bounded,
    helpers_annotated,
    import_paths_consistent,
    imports_acyclic,
    imports_resolve,
    markers_registered,
    markers_spelled,
    mocked_boundaries,
    no_secret_literals,
    optional_imports_guarded,
    pools_configured,
    pydantic_fields_valid,
    pytest_config_unique,
    results_stream,
    source_readable,
    strict_markers_effective,
    test_classes_collectable,
    tests_assert_not_return,
    tests_can_fail,
    waits_not_sleeps,
    websocket_has_open_timeout,
    websocket_keyword_current,
)
from regreen.facts.source import CodeCheck

CATALOGUE: Final[tuple[CodeCheck, ...]] = (
    source_readable,
    pytest_config_unique,
    markers_registered,
    markers_spelled,
    strict_markers_effective,
    tests_assert_not_return,
    tests_can_fail,
    assertions_true,
    test_classes_collectable,
    waits_not_sleeps,
    mocked_boundaries,
    websocket_has_open_timeout,
    websocket_keyword_current,
    imports_resolve,
    optional_imports_guarded,
    bases_linearize,
    imports_acyclic,
    import_paths_consistent,
    dependencies_declared,
    helpers_annotated,
    pydantic_fields_valid,
    pools_configured,
    coroutines_awaited,
    external_calls_bounded,
    results_stream,
    no_secret_literals,
)
