"""Temporal over gRPC: GetSystemInfo, then a page of workflows. The stubs come with the temporalio package."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from regreen.facts.services.spec import Missing, Seen, ServiceSpec


def probe(spec: ServiceSpec, limit: float) -> Seen:
    """grpc.RpcError when it does not answer in `limit` seconds. The address may carry `/NAMESPACE`."""
    try:
        import grpc  # type: ignore[import-untyped]
        from temporalio.api.workflowservice.v1 import request_response_pb2 as messages
        from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub
    except ImportError:
        raise Missing("temporalio") from None
    target = urlsplit(spec.address if "://" in spec.address else f"grpc://{spec.address}")
    namespace = target.path.strip("/") or "default"
    headers = [("authorization", f"Bearer {spec.secret}")] if spec.secret else None
    secure = target.scheme in ("https", "grpcs")
    options = [("grpc.enable_http_proxy", 0)]
    begun = time.monotonic()
    with (
        grpc.secure_channel(target.netloc, grpc.ssl_channel_credentials(), options)
        if secure
        else grpc.insecure_channel(target.netloc, options)
    ) as channel:
        stub: Any = WorkflowServiceStub(channel)
        about = stub.GetSystemInfo(messages.GetSystemInfoRequest(), timeout=limit, metadata=headers)
        connected = time.monotonic()
        question = messages.ListWorkflowExecutionsRequest(namespace=namespace, page_size=10)
        listed = stub.ListWorkflowExecutions(question, timeout=limit, metadata=headers)
        done = time.monotonic()
    found = len(listed.executions)
    more = "+" if listed.next_page_token else ""
    return Seen(
        connected - begun, done - connected, f"Temporal {about.server_version}, {found}{more} workflows in {namespace}"
    )
