"""The web application: who may ask, and what is answered. Nothing of it is reachable without the token in the address.

Another page in the same browser could send requests to this computer: it does not know the token (a random 256 bits in
the path, sent to nobody as a referrer), a name that is made to point to 127.0.0.1 fails at the host header (DNS
rebinding), and what changes anything must be JSON from our own origin.
"""

import functools
import hmac
import json
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from data.errors import ChainError
from data.printable import printable
from pipeline.review.web import pages
from pipeline.review.web.desk import Desk
from pipeline.review.web.faults import refusal
from pipeline.review.web.live import Live
from pipeline.views.web_page import BASE_STYLE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Request, Response

MOST_BYTES = 1 << 16  # of a request
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# beside the report's own policy, which is stricter: both hold
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'; sandbox"
)


class App:
    """A WSGI application for one run. token: in every address; port: that it is served at."""

    def __init__(self, live: Live, desk: Desk, by: str, port: int, token: str | None = None) -> None:
        self.live, self.desk, self.by, self.port = live, desk, by, port
        self.token = token or secrets.token_urlsafe(32)
        self._routes: dict[tuple[str, str], Callable[[Request, str], Response]] = {
            ("GET", ""): self._get_live,
            ("GET", "label"): self._get_label,
            ("GET", "state"): self._get_state,
            ("GET", "report"): self._get_report,
            ("GET", "items"): self._get_items,
            ("GET", "patch"): self._get_patch,
            ("POST", "label"): self._post_label,
            ("POST", "save"): self._post_save,
        }

    @property
    def hosts(self) -> set[str]:
        """What the host header may say."""
        return {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """WSGI."""
        from werkzeug.wrappers import Request

        request = Request(environ)
        request.max_content_length = MOST_BYTES
        return self._answer(request)(environ, start_response)

    def _answer(self, request: "Request") -> "Response":
        from werkzeug.exceptions import HTTPException

        if request.headers.get("Host", "") not in self.hosts:
            return _plain(421, "this address is answered on 127.0.0.1 only")
        token, _, place = request.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            return _plain(404, "not found")
        head, _, rest = place.partition("/")
        if request.method == "GET" and place in ASSETS:
            return _response(ASSETS[place][0].encode(), ASSETS[place][1])
        do = self._routes.get((request.method, head))
        if do is None:
            return _plain(404, "not found")
        if request.method == "POST":
            if request.headers.get("Origin", "").removeprefix("http://") not in self.hosts:
                return _plain(403, "only this page may change anything")
            if request.mimetype != "application/json":
                return _plain(415, "JSON is expected")
        try:
            return do(request, rest)
        except ChainError as error:
            return _json({"error": error.lines()}, 409)
        except HTTPException as error:  # a body that is too long, or broken off
            return _plain(error.code or 400, "refused")
        except Exception as error:  # noqa: BLE001 the outermost one of a request
            return _json({"error": refusal(error, self.live.layout).lines()}, 500)

    def _get_live(self, request: "Request", rest: str) -> "Response":
        if request.path.count("/") < 2:  # so that relative addresses hold
            return _plain(404, "the address ends with a slash")
        return _page(pages.LIVE, "live.js", title=_title(self.live))

    def _get_label(self, request: "Request", rest: str) -> "Response":
        return _page(pages.LABEL, "label.js", title=f"{_title(self.live)}: label patches", by=self.by)

    def _get_state(self, request: "Request", rest: str) -> "Response":
        return _json(self.live.state())

    def _get_report(self, request: "Request", rest: str) -> "Response":
        page = self.live.page()
        if page is None:
            return _plain(404, "the report is being written")
        return _response(page, "text/html; charset=utf-8", policy=REPORT_POLICY)

    def _get_items(self, request: "Request", rest: str) -> "Response":
        return _json(self.desk.items())

    def _get_patch(self, request: "Request", rest: str) -> "Response":
        picture = self.desk.picture(rest.removesuffix(".png"))
        return _plain(404, "not found") if picture is None else _response(picture, "image/png")

    def _post_label(self, request: "Request", rest: str) -> "Response":
        said = _said(request)
        if not isinstance(said.get("id"), str) or type(said.get("code", "")) not in (int, type(None)):
            return _plain(400, "an id and a code are expected")
        self.desk.label(said["id"], said["code"])
        return _json({})

    def _post_save(self, request: "Request", rest: str) -> "Response":
        said = _said(request)
        if not isinstance(said.get("by"), str):
            return _plain(400, "a name is expected")
        return _json({"lines": self.desk.save(said["by"], said.get("dry") is not False)})


ASSETS = {
    "style.css": (BASE_STYLE + pages.STYLE, "text/css; charset=utf-8"),
    "live.js": (pages.LIVE_SCRIPT, "text/javascript; charset=utf-8"),
    "label.js": (pages.LABEL_SCRIPT, "text/javascript; charset=utf-8"),
}


def _title(live: Live) -> str:
    return live.layout.root.resolve().name


def _said(request: "Request") -> dict[str, Any]:
    """The body as a mapping, empty where it is none."""
    try:
        said = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


@functools.cache
def _template(body: str) -> Callable[..., str]:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(pages.FRAME.replace("BODY", body)).render


def _page(body: str, script: str, **values: str) -> "Response":
    text = _template(body)(script=script, **{name: printable(value) for name, value in values.items()})
    return _response(text.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8")


def _json(value: dict[str, Any], status: int = 200) -> "Response":
    return _response(json.dumps(value).encode(), "application/json", status)


def _plain(status: int, text: str) -> "Response":
    return _response(text.encode(), "text/plain; charset=utf-8", status)


def _response(content: bytes, kind: str, status: int = 200, policy: str = PAGE_POLICY) -> "Response":
    from werkzeug.wrappers import Response

    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return Response(content, status, headers, content_type=kind)
