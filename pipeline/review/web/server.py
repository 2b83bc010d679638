"""`serve`: the web application on 127.0.0.1, until Ctrl-C."""

import errno
import socket
from collections.abc import Callable

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.review.choosing import Pick
from pipeline.views.status import rounds_of

HERE = "127.0.0.1"


def serve(
    layout: Layout, port: int, number: int | None, n: int, pick: Pick, by: str, say: Callable[[str], None]
) -> None:
    """Answer until interrupted. port: 0 is any free one; number, n, pick: what the labelling page asks about.

    Raises ChainError: 66 for no run directory or where Werkzeug is missing, 69 for a port that is taken, 73 for a link
    in the run directory that leads out of it.
    """
    try:
        from werkzeug.serving import WSGIRequestHandler, make_server
    except ModuleNotFoundError:
        raise ChainError(
            "serve needs the package werkzeug",
            "it is installed with the extra `serve` only",
            "python -m pip install 'patchchain[serve]'",
            ExitCode.MISSING,
        ) from None
    from pipeline.review.web.app import App
    from pipeline.review.web.desk import Desk
    from pipeline.review.web.live import Live

    class Silent(WSGIRequestHandler):
        """Says nothing of requests: their addresses hold the token."""

        def log(self, type: str, message: str, *args: object) -> None:
            """Nowhere."""

    rounds_of(layout)
    layout.refuse_ways_out()
    with _listening(port) as listener:
        port = listener.getsockname()[1]
        app = App(Live(layout), Desk(layout, number, n, pick), by, port)
        server = make_server(HERE, port, app, threaded=True, request_handler=Silent, fd=listener.fileno())
    say(f"http://{HERE}:{server.port}/{app.token}/       the report, live")
    say(f"http://{HERE}:{server.port}/{app.token}/label  label patches")
    say("for this computer and whoever knows the address; Ctrl-C ends it")
    server.serve_forever()  # it takes Ctrl-C as its end
    say("ended")


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HERE, port))
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise ChainError(
            f"port {port} cannot be used",
            "another program answers there" if taken else str(error),
            "leave --port out, or name another",
            ExitCode.IN_USE,
        ) from None
