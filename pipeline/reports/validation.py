"""Data Docs: the results of validate as one page that needs no network, no script and no other file."""

from typing import Any

from .page import STYLE

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Validation: {{ verdict }}</title>
<style>
{{ style | safe -}}
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.verdict { padding: 1rem 1.25rem; border-left: 6px solid; }
.verdict strong { display: block; font-size: 1.2rem; }
.verdict p { margin: .15rem 0 0; color: var(--text); }
.pass { color: var(--pass); background: var(--pass-back); }
.warn { color: var(--warn); background: var(--warn-back); }
.stop { color: var(--stop); background: var(--stop-back); }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: .75rem 0 0; }
dl div { flex: 1 1 9rem; padding: .75rem 1.25rem; }
dl .wide { flex-grow: 4; }
dt, th, code, .note, footer { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th:nth-child(1) { width: 44%; }
th:nth-child(2) { width: 28%; }
th { font-weight: 600; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th, td { padding: .6rem .75rem; vertical-align: top; }
th:first-child, td:first-child { padding-left: 1.25rem; }
th:last-child, td:last-child { padding-right: 1.25rem; }
tbody tr + tr { border-top: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
code { font-family: ui-monospace, "SF Mono", Consolas, monospace; }
td code { display: block; }
.limit { white-space: nowrap; }
.badge { display: inline-block; padding: .05rem .6rem; border-radius: 1rem; font-weight: 600; white-space: nowrap; }
.classes { padding: .5rem 1.25rem; }
.class {
  display: grid; grid-template-columns: minmax(5rem, 14rem) 1fr 9rem; gap: .75rem;
  align-items: center; padding: .2rem 0;
}
.class span:first-child { overflow-wrap: anywhere; }
.class span:last-child { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { height: .9rem; border-radius: 3px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; min-width: 2px; background: var(--bar); }
.note { margin: 0; padding: .75rem 1.25rem; }
footer { margin-top: 1.5rem; }
@media (max-width: 640px) {
  body { padding: 1rem .75rem; }
  thead { display: none; }
  dl .wide { flex-basis: 100%; }
  tr { display: flex; flex-direction: column; padding: .75rem 1rem; }
  td, td:first-child, td:last-child { padding: .1rem 0; }
  td:last-child { order: -1; }
  td[data-name]:empty { display: none; }
  td[data-name]::before { content: attr(data-name) ": "; color: var(--soft); font-size: .85rem; }
  .class { grid-template-columns: 1fr auto; gap: 0 .75rem; padding: .35rem 0; }
  .bar { grid-row: 2; grid-column: 1 / -1; height: .5rem; }
}
@media print { body { background: none; padding: 0; } tr, .class { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>Validation of the raw table</h1>
<div class="card verdict {{ worst }}" role="status"><strong>{{ signs[worst] }} {{ verdict }}</strong>
<p>{{ advice }}</p></div>
<dl>
<div class="card"><dt>Rows</dt><dd>{{ "{:,}".format(rows) }}</dd></div>
<div class="card"><dt>Classes</dt><dd>{{ "{:,}".format(number_of_classes) }}</dd></div>
<div class="card wide"><dt>{{ "Sources" if sources | length > 1 else "Source" }}</dt>
<dd>{{ sources[:3] | join(", ") }}{% if sources | length > 3 %} and {{ sources | length - 3 }} more{% endif %}
</dd></div>
</dl>

<h2>Rules</h2>
<div class="card"><table>
<thead><tr><th scope="col">Rule</th><th scope="col">Found</th><th scope="col">Limit</th>\
<th scope="col">If broken</th><th scope="col">Result</th></tr></thead>
<tbody>
{% for rule in rules %}
<tr><td>{{ rule.says[0] | upper }}{{ rule.says[1:] }}.<code>{{ rule.name }}\
{% if rule.parameter and rule.parameter != "validate." + rule.name %} · {{ rule.parameter }}{% endif %}</code></td>
<td data-name="Found">{{ rule.found | replace(" %", " %") }}</td>
<td data-name="Limit" class="limit">{{ rule.limit }}</td>
<td data-name="If broken">{{ rule.severity }}</td>
<td><span class="badge {{ rule.outcome }}">{{ signs[rule.outcome] }} {{ rule.outcome }}</span></td></tr>
{% endfor %}
</tbody></table></div>

<h2>Rows of each class</h2>
<div class="card">
{% if classes %}
<div class="classes">
{% for name, count in classes %}
<div class="class"><span dir="auto">{{ name }}</span>\
<span class="bar"><i style="width: {{ (100 * count / classes[0][1]) | round(2) }}%"></i></span>
<span>{{ "{:,}".format(count) }} ({{ "%.3g" | format(100 * count / rows) }} %)</span></div>
{% endfor %}
</div>
{% elif number_of_classes %}
<p class="note">The {{ "{:,}".format(number_of_classes) }} classes are not named here: so many are more likely to be \
texts than labels.</p>
{% else %}
<p class="note">No row has a label.</p>
{% endif %}
</div>
<footer>Rules are declared in <code>pipeline/validate.py</code>, limits in <code>params.yaml</code>, section \
<code>validate</code>; checked with Great Expectations {{ library }}. This page shows no texts.</footer>
</main>
</body>
</html>
"""

ORDER = ("stop", "warn", "pass")  # what is broken first
SIGNS = {"pass": "✓", "warn": "!", "stop": "✕"}
ADVICE = {
    "pass": "The table keeps every rule.",
    "warn": "The pipeline goes on; look at the rules marked with a warning before you trust its figures.",
    "stop": "The pipeline does not go on. Mend the data, or change the limit or validate.warn_only in params.yaml.",
}


def render(results: dict[str, Any]) -> str:
    """The page of the content of `results.json`: HTML with its style inside, and nothing from elsewhere."""
    from importlib.metadata import version

    from jinja2 import Environment, StrictUndefined

    outcomes = [rule["outcome"] for rule in results["rules"]]
    worst = next(outcome for outcome in ORDER if outcome in outcomes)
    count = outcomes.count(worst)
    rules = f"{count} rule{'s' if count > 1 else ''}"
    verdict = {
        "pass": f"Passed: all {rules} kept",
        "warn": f"Passed, with {count} warning{'s' if count > 1 else ''}",
        "stop": f"Stopped: {rules} broken",
    }[worst]
    page = Environment(autoescape=True, trim_blocks=True, undefined=StrictUndefined).from_string(TEMPLATE)
    return page.render(
        results | {"rules": sorted(results["rules"], key=lambda rule: ORDER.index(rule["outcome"]))},
        worst=worst,
        style=STYLE,
        verdict=verdict,
        advice=ADVICE[worst],
        signs=SIGNS,
        library=version("great-expectations"),
    )
