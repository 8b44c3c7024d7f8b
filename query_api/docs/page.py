"""The routes of the page: its files, under a policy that lets it talk to this server alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from query_api.documents import serving

_FILES: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def routes() -> list[web.RouteDef]:
    """Give the page's routes. Its files are read here, once. Raises OSError."""
    directory = Path(__file__).parent
    page = (directory / "index.html").read_bytes()
    found = [web.get("/docs", serving(page, "text/html", HEADERS))]
    for name, content_type in _FILES.items():
        content = (directory / name).read_bytes()
        found.append(web.get(f"/docs/{name}", serving(content, content_type, HEADERS)))
    return found
