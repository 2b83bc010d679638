"""A page that needs nothing else: one file, no script, nothing loaded, whatever comes from a user escaped."""

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

BASE_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5b6670; --back: #fff; --card: #f4f6f8; --line: #d8dee4;
  --bad: #b3261e; --good: #1a7f4b; --warn: #8a5a00; --accent: #0067a3; --second: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5af; --back: #14181c; --card: #1e242a;
  --line: #36404a; --bad: #ff8a80; --good: #5fd39a; --warn: #e9b44c; --accent: #6cb8ee; --second: #ff9a6b; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--back); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; color: var(--soft); }
figure { margin: 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { background: var(--card); }
td.number { text-align: right; }
td.wide { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
"""

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
BODY
</body>
</html>
"""


def rendered(title: str, style: str, body: str, **values: Any) -> str:
    """The page as HTML. style: our own rules, after BASE_STYLE; body: a jinja2 template of our own, autoescaped."""
    from markupsafe import Markup

    rules = BASE_STYLE + style
    return _template(body).render(
        policy=policy(rules),
        title=title,
        style=Markup(rules),  # noqa: S704 our own text
        **values,
    )


def policy(style: str) -> str:
    """The content security policy: pictures within the page, this style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def file_bytes(html: str) -> bytes:
    """As a file; names with half a surrogate pair, as file systems may have them, are spelled out."""
    return html.encode("utf-8", "backslashreplace")


@functools.cache
def _template(body: str) -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_FRAME.replace("BODY", body))
