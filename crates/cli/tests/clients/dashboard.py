#!/usr/bin/env python3
"""Reads a dashboard with the models that Grafana generates from its schema, and compares the result with the file.
Grafana would not show a field that the models do not know.

Usage: dashboard.py PATH_OF_DASHBOARD
"""
import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard


def missing(ours, theirs, path):
    """The paths at which the written file and the read dashboard differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [at for name, value in ours.items() for at in missing(value, theirs.get(name), f"{path}.{name}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [at for index, pair in enumerate(zip(ours, theirs)) for at in missing(*pair, f"{path}[{index}]")]
    return [] if ours == theirs else [f"{path}: {ours!r} became {theirs!r}"]


plugins.register_default_plugins()
written = json.load(open(sys.argv[1]))
read = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(written)))
wrong = missing(written, read, "dashboard")
if wrong:
    raise SystemExit("\n".join(wrong))
queries = [target for panel in read["panels"] for target in panel.get("targets", [])]
if not queries or not all(query.get("expr") for query in queries):
    raise SystemExit("a panel has no query")
print(f"Grafana's models read the whole dashboard: {len(read['panels'])} panels, {len(queries)} queries")
