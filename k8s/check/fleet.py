"""A rendered overlay, to ask about."""

import decimal
import re

UNITS = {"": 1, "m": decimal.Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text) -> decimal.Decimal:
    """The number that a quantity such as 500m or 2Gi is."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()
    return decimal.Decimal(number) * UNITS[unit]


def matches(selector: dict, labels: dict) -> bool:
    """Whether a selector with matchLabels and matchExpressions (`In` alone) picks these labels."""
    wanted = selector.get("matchLabels", {}).items()
    among = ((e["key"], e["values"]) for e in selector.get("matchExpressions", []))
    return all(labels.get(k) == v for k, v in wanted) and all(labels.get(k) in values for k, values in among)


class Workload:
    """A Deployment."""

    def __init__(self, manifest: dict):
        self.name = manifest["metadata"]["name"]
        self.spec = manifest["spec"]
        self.labels = self.spec["template"]["metadata"]["labels"]
        self.pod = self.spec["template"]["spec"]
        self.containers = self.pod["containers"] + self.pod.get("initContainers", [])

    def __str__(self):
        return f"Deployment {self.name}"

    @property
    def is_worker(self) -> bool:
        return self.labels.get("app.kubernetes.io/name") == "clearfleet-worker"

    @property
    def is_pool(self) -> bool:
        return self.labels.get("app.kubernetes.io/component") == "upscale"

    @property
    def klass(self) -> str:
        """The class of a pool's workers."""
        return self.labels.get("clearfleet.io/class", "")

    @property
    def ports(self) -> set:
        return {port["name"] for container in self.containers for port in container.get("ports", [])}

    @property
    def env(self) -> dict:
        """Variables that are written down; None for those from elsewhere."""
        return {v["name"]: v.get("value") for container in self.containers for v in container.get("env", [])}

    @property
    def devices(self) -> dict:
        """The extended resources that it asks for, GPUs and slices of them."""
        limits = (container["resources"].get("limits", {}) for container in self.containers)
        return {name: count for limit in limits for name, count in limit.items() if "/" in name}


class Fleet:
    """All manifests of an overlay."""

    def __init__(self, manifests: list):
        self.manifests = manifests
        self.workloads = [Workload(m) for m in self.of("Deployment")]
        self.namespace = next((m["metadata"]["name"] for m in self.of("Namespace")), None)

    def of(self, *kinds: str) -> list:
        return [m for m in self.manifests if m["kind"] in kinds]

    def picked(self, selector: dict) -> list:
        """The workloads whose pods a selector picks."""
        return [w for w in self.workloads if matches(selector, w.labels)]

    def setting(self, config_map: str) -> dict:
        """What a generated ConfigMap says, whatever hash is in its name."""
        found = [m for m in self.of("ConfigMap") if re.fullmatch(rf"{config_map}-[a-z0-9]{{10}}", m["metadata"]["name"])]
        return found[0]["data"] if found else {}
