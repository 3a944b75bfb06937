"""The catalogue of code remedies: one cure a file."""

from __future__ import annotations

from typing import Final

from regreen.facts.source import CodeRemedy
from remedies.code import (
    aioredis_to_redis,
    annotate,
    assert_can_fail,
    await_coroutine,
    bound_call,
    break_cycle,
    bridge_export,
    canonical_import_path,
    declare_dependency,
    enable_strict_markers,
    fix_marker_spelling,
    guard_optional_import,
    next_config,
    pool_settings,
    pydantic_current,
    register_marker,
    reorder_bases,
    restore_source,
    return_to_assert,
    rewrite_import,
    secret_accessor,
    test_class_not_collected,
    unify_pytest_config,
    wait_not_sleep,
    websocket_keyword,
    websocket_open_timeout,
)

CATALOGUE: Final[tuple[CodeRemedy, ...]] = (
    return_to_assert,
    websocket_open_timeout,
    websocket_keyword,
    pydantic_current,
    unify_pytest_config,
    register_marker,
    fix_marker_spelling,
    enable_strict_markers,
    assert_can_fail,
    test_class_not_collected,
    wait_not_sleep,
    aioredis_to_redis,
    pool_settings,
    await_coroutine,
    annotate,
    restore_source,
    declare_dependency,
    break_cycle,
    bound_call,
    secret_accessor,
    reorder_bases,
    rewrite_import,
    canonical_import_path,
    guard_optional_import,
    bridge_export,
    next_config,
)
