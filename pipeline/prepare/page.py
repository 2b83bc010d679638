"""The overview page: its style and its template. Whatever comes from a user is escaped; nothing is loaded or run."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5b6670; --back: #fff; --card: #f4f6f8; --line: #d8dee4;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5af; --back: #14181c; --card: #1e242a;
  --line: #36404a; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--back); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; color: var(--soft); }
ul { list-style: none; margin: 0 0 1.5rem; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; overflow: hidden; }
figure { margin: 0; }
img { display: block; width: 100%; height: 14rem; object-fit: contain; background: #fff; }
figcaption { padding: .5rem .6rem; overflow-wrap: anywhere; }
figcaption small { display: block; color: var(--soft); }
.failed, .failed small { color: var(--bad); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { background: var(--card); }
td.number { text-align: right; }
td.wide { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
"""

TEMPLATE = """<!doctype html>
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
<h1>{{ title }}</h1>
<p>{{ words }}</p>
<ul>
{%- for card in cards %}
<li{% if card.failed %} class="failed"{% endif %}><figure>
{%- if card.image %}<img loading="lazy" alt="{{ card.name }}, its patches marked"
 src="data:image/jpeg;base64,{{ card.image }}">
{%- endif %}
<figcaption dir="auto">{{ card.name }}<small>{{ card.words }}</small></figcaption></figure></li>
{%- endfor %}
</ul>
<div class="scroll" tabindex="0" role="region" aria-label="table"><table>
<thead><tr>{% for name in head %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in rows %}
<tr{% if row.failed %} class="failed"{% endif %}>{% for cell in row.cells %}<td
{%- if cell.kind %} class="{{ cell.kind }}"{% endif %} dir="auto">{{ cell.text }}</td>{% endfor %}</tr>
{%- endfor %}
</tbody></table></div>
</body>
</html>
"""
