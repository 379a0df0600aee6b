"""What the dashboards are made of: panels that look alike, laid out in rows of 24 columns."""

from typing import Any

Json = dict[str, Any]

# In Kubernetes a Grafana that is there already has a data source of another name: it is chosen at the top of the dashboard.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

# Values from which on a panel is of a colour; below the first it is of the base colour.
Thresholds = list[tuple[float, str]]


def query(expr: str, legend: str = "") -> Json:
    return {"expr": expr, "legendFormat": legend or "__auto"}


def graph(
    title: str,
    description: str,
    *queries: Json,
    unit: str,
    stacked: bool = False,
    top: float | None = None,
    thresholds: Thresholds | None = None,
    width: int = 12,
) -> Json:
    """Lines over time; `top` fixes the upper end of the axis, thresholds are drawn as lines."""
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    panel = _panel("timeseries", title, description, queries, unit, thresholds, width, 8)
    panel["fieldConfig"]["defaults"] |= {"min": 0, "color": {"mode": "palette-classic"}, "custom": custom}
    if top is not None:
        panel["fieldConfig"]["defaults"]["max"] = top
    panel["options"] = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["mean", "max", "lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def number(
    title: str,
    description: str,
    query: Json,
    *,
    unit: str,
    thresholds: Thresholds | None = None,
    base: str = "green",
    named: bool = False,
    width: int = 4,
) -> Json:
    """The value now; `named` shows the legend beside it, for values whose name is the news."""
    panel = _panel("stat", title, description, (query | {"instant": True, "range": False},), unit, thresholds, width, 4, base)
    panel["fieldConfig"]["defaults"] |= {"color": {"mode": "thresholds"}}
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value_and_name" if named else "value",
    }
    return panel


def table(title: str, description: str, query: Json, *, columns: list[str], width: int = 24) -> Json:
    """The labels of the series that there are now."""
    instant = query | {"instant": True, "range": False, "format": "table"}
    panel = _panel("table", title, description, (instant,), "none", None, width, 8)
    panel["options"] = {"showHeader": True, "cellHeight": "sm"}
    panel["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": columns}}},
        {"id": "organize", "options": {"indexByName": {name: at for at, name in enumerate(columns)}}},
    ]
    return panel


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: tuple[Json, ...],
    unit: str,
    thresholds: Thresholds | None,
    width: int,
    height: int,
    base: str = "green",
) -> Json:
    steps: list[Json] = [{"color": base, "value": None}]
    steps += [{"color": color, "value": value} for value, color in thresholds or []]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "editorMode": "code", "range": True} | query
            for at, query in enumerate(queries)
        ],
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "gridPos": {"w": width, "h": height},
    }


def dashboard(uid: str, title: str, description: str, panels: list[Json], *, by_class: bool = False) -> Json:
    variables: list[Json] = [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {"text": "Prometheus", "value": "clearfleet-prometheus"},
        }
    ]
    if by_class:
        variables.append(
            {
                "name": "class",
                "label": "Class of workers",
                "type": "query",
                "datasource": DATASOURCE,
                "query": {"query": "label_values(clearfleet_backlog_seconds, class)", "refId": "class"},
                "refresh": 2,  # when the time range changes
                "sort": 1,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": ["All"], "value": ["$__all"]},
            }
        )
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["clearfleet"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,  # one crosshair for all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "title": "Clearfleet", "tags": ["clearfleet"], "includeVars": True, "keepTime": True}
        ],
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": _laid_out(panels),
    }


def _laid_out(panels: list[Json]) -> list[Json]:
    """Left to right, in rows as high as their highest panel; ids count from 1."""
    x = y = height = 0
    for at, panel in enumerate(panels, start=1):
        size = panel["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        panel["id"] = at
        panel["gridPos"] = size | {"x": x, "y": y}
        x, height = x + size["w"], max(height, size["h"])
    return panels
