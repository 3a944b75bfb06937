"""Error pages of Google's front ends, as their clients know them."""

from __future__ import annotations

from html import escape

from aiohttp import web

_HEADERS = {"Content-Type": "text/html; charset=UTF-8"}


def forbidden(path: str) -> web.Response:
    """Cloud Run, when the caller may not invoke the service
    (https://cloud.google.com/run/docs/troubleshooting#unauthorized-client)."""
    return _page(
        403,
        "403 Forbidden",
        "Error: Forbidden",
        f"Your client does not have permission to get URL <code>{escape(path)}</code> from this server.",
    )


def unauthorized(path: str) -> web.Response:
    """Cloud Run, for a token that it cannot read."""
    response = _page(
        401,
        "401 Unauthorized",
        "Error: Unauthorized",
        f"Your client does not have permission to the requested URL <code>{escape(path)}</code>.",
    )
    response.headers["WWW-Authenticate"] = (
        'Bearer error="invalid_token" error_description="The access token could not be verified"'
    )
    return response


def not_found() -> web.Response:
    """A host or an ingress that leads nowhere."""
    return _page(404, "404 Page not found", "Error: Page not found", "The requested URL was not found on this server.")


def plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def server_error(status: int) -> web.Response:
    """The load balancer's own page."""
    text = {
        502: "The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds.",
        503: "The service you requested is not available at this time.<p>Service error -27.",
    }.get(status, "The server encountered an error and could not complete your request.")
    return _page(status, f"{status} Server Error", "Error: Server Error", text)


def _page(status: int, title: str, heading: str, text: str) -> web.Response:
    body = (
        '<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
        f"<title>{title}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n<h1>{heading}</h1>\n<h2>{text}</h2>\n"
        "<h2></h2>\n</body></html>\n"
    )
    return web.Response(status=status, body=body.encode(), headers=_HEADERS)
