"""The overview page: its style and its template, in the frame of `pipeline/views/web_page.py`."""

STYLE = """
ul { list-style: none; margin: 0 0 1.5rem; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; overflow: hidden; }
img { display: block; width: 100%; height: 14rem; object-fit: contain; background: #fff; }
figcaption { padding: .5rem .6rem; overflow-wrap: anywhere; }
figcaption small { display: block; color: var(--soft); }
.failed, .failed small { color: var(--bad); }
"""

TEMPLATE = """<h1>{{ title }}</h1>
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
</tbody></table></div>"""
