"""Pieces of PromQL. Windows are Grafana's $__rate_interval: at least four scrapes, and as long as a pixel of the graph."""

CLASS = 'class=~"$class"'
ZERO = "vector(0)"


def rate(metric: str, by: str = "", where: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str = "", where: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {rate(metric + '_bucket', labels, where)})"


def none_yet(label: str, name: str = "none") -> str:
    """0 for what has not happened yet, under a name for the legend.

    A counter with labels has no series before its first event, and "No data" would look like a fault. queries.py knows the
    form, `X or on() 0`, and tells X from the 0.
    """
    return f'or on() label_replace({ZERO}, "{label}", "{name}", "", "")'
