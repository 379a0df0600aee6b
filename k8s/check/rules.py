"""What must hold in every overlay beyond the schemas. Each rule yields what is wrong; its docstring is what it promises."""

import pathlib
import re

import yaml

from fleet import Fleet, quantity

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = []

# The shortest deadline of a batch, and what a program may take to close when its grace is over, in seconds
# (common/src/config.rs; CLOSING in the programs' `run`, and the end of their threads).
BATCH_DEADLINE = 600
CLOSING = 20
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "100.64.0.0/10")
UNNAMESPACED = ("Namespace",)


def rule(function):
    RULES.append(function)
    return function


def name(manifest: dict) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


@rule
def images_are_pinned(fleet: Fleet):
    """Every image has a tag that is not `latest`, or a digest."""
    for workload in fleet.workloads:
        for container in workload.containers:
            image = container["image"]
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest"):
                yield f"{workload}: {image}"


@rule
def containers_are_confined(fleet: Fleet):
    """No root, no writable root file system, no capabilities, no escalation, the runtime's seccomp profile."""
    for workload in fleet.workloads:
        pod = workload.pod.get("securityContext", {})
        if not pod.get("runAsNonRoot") or pod.get("runAsUser", 0) < 1000:
            yield f"{workload} may run as root"
        if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{workload} has no seccomp profile"
        if any(workload.pod.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{workload} shares namespaces with its node"
        if any("hostPath" in volume for volume in workload.pod.get("volumes", [])):
            yield f"{workload} mounts files of its node"
        for container in workload.containers:
            context = container.get("securityContext", {})
            confined = context.get("readOnlyRootFilesystem") is True
            confined &= context.get("allowPrivilegeEscalation") is False
            confined &= context.get("capabilities") == {"drop": ["ALL"]} and not context.get("privileged")
            if not confined:
                yield f"{workload}: the container {container['name']} is not confined"


@rule
def resources_are_bounded(fleet: Fleet):
    """Requests and limits of processor, memory and disk; no volume may grow beyond the limit of disk."""
    for workload in fleet.workloads:
        disk = 0
        for container in workload.containers:
            resources = container.get("resources", {})
            for what in ("cpu", "memory", "ephemeral-storage"):
                bounds = [resources.get(kind, {}).get(what) for kind in ("requests", "limits")]
                if None in bounds:
                    yield f"{workload}: {container['name']} has no request or no limit of {what}"
                elif quantity(bounds[0]) > quantity(bounds[1]):
                    yield f"{workload}: {container['name']} requests more {what} than its limit"
            disk += quantity(resources.get("limits", {}).get("ephemeral-storage", 0))
        folders = [v["emptyDir"].get("sizeLimit") for v in workload.pod.get("volumes", []) if "emptyDir" in v]
        if None in folders:
            yield f"{workload} has a folder without a limit"
        elif sum(map(quantity, folders)) >= disk:
            yield f"{workload}: its folders may outgrow its limit of disk, and leave nothing for logs"


@rule
def probes_are_there(fleet: Fleet):
    """Every container has the three probes, on ports that it has."""
    for workload in fleet.workloads:
        for container in workload.containers:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if container.get(probe, {}).get("httpGet", {}).get("port") not in ports:
                    yield f"{workload}: {container['name']} has no {probe} on a port of its own"


@rule
def pods_hold_no_token(fleet: Fleet):
    """No token of Kubernetes, an account of their own, no variables made from Services."""
    accounts = {m["metadata"]["name"]: m for m in fleet.of("ServiceAccount")}
    for workload in fleet.workloads:
        account = accounts.get(workload.pod.get("serviceAccountName"), {})
        if workload.pod.get("automountServiceAccountToken") is not False:
            yield f"{workload} mounts a token"
        if account.get("automountServiceAccountToken") is not False:
            yield f"{workload} has no account without a token"
        if workload.pod.get("enableServiceLinks") is not False:
            yield f"{workload}: Services would set variables such as CLEARFLEET_API_PORT"


@rule
def grace_outlasts_work(fleet: Fleet):
    """A worker ends its batch before it is killed: --grace is longer than a batch's deadline, Kubernetes' than --grace."""
    for workload in fleet.workloads:
        grace = int(workload.env.get("CLEARFLEET_GRACE") or 0)
        if workload.is_worker and grace <= BATCH_DEADLINE:
            yield f"{workload}: CLEARFLEET_GRACE={grace}, and a batch has {BATCH_DEADLINE} s"
        before = max(c.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) for c in workload.containers)
        given = workload.pod.get("terminationGracePeriodSeconds", 30)
        if given <= before + grace + CLOSING:
            yield f"{workload} is killed after {given} s, and may take {before} + {grace} + {CLOSING}"


@rule
def selectors_pick_what_they_should(fleet: Fleet):
    """Each Deployment its own pods; Services, monitors, budgets and policies something, by ports that are there."""
    for workload in fleet.workloads:
        if [w.name for w in fleet.picked(workload.spec["selector"])] != [workload.name]:
            yield f"{workload} does not pick its own pods alone"
        for spread in workload.pod.get("topologySpreadConstraints", []):
            if [w.name for w in fleet.picked(spread["labelSelector"])] != [workload.name]:
                yield f"{workload} spreads other pods than its own"
        budgets = [b for b in fleet.of("PodDisruptionBudget") if workload in fleet.picked(b["spec"]["selector"])]
        if len(budgets) != 1:
            yield f"{workload} has {len(budgets)} PodDisruptionBudgets"
    services = fleet.of("Service")
    for service in services:
        if "selector" in service["spec"]:
            picked = fleet.picked({"matchLabels": service["spec"]["selector"]})
            if not picked or any(p["targetPort"] not in w.ports for p in service["spec"]["ports"] for w in picked):
                yield f"{name(service)} leads nowhere"
    for monitor in fleet.of("ServiceMonitor", "PodMonitor"):
        spec = monitor["spec"]
        if "namespaceSelector" in spec:
            continue  # The broker is not ours.
        if monitor["kind"] == "PodMonitor":
            found = [w.ports for w in fleet.picked(spec["selector"])]
        else:
            wanted = spec["selector"]["matchLabels"].items()
            picked = [s for s in services if wanted <= s["metadata"].get("labels", {}).items()]
            found = [{p["name"] for p in s["spec"]["ports"]} for s in picked]
        endpoints = spec.get("endpoints") or spec["podMetricsEndpoints"]
        if not found or any(e["port"] not in ports for e in endpoints for ports in found):
            yield f"{name(monitor)} reads nothing"
    monitored = [w for m in fleet.of("PodMonitor") for w in fleet.picked(m["spec"]["selector"])]
    yield from (f"{w} is not monitored" for w in fleet.workloads if w.is_worker and w not in monitored)
    for policy in fleet.of("NetworkPolicy"):
        if not fleet.picked(policy["spec"]["podSelector"]):
            yield f"{name(policy)} is about no pods"


@rule
def autoscalers_own_replicas(fleet: Fleet):
    """Each Deployment has one autoscaler and no count of its own; two APIs at least; workers scale to zero."""
    scalers = fleet.of("HorizontalPodAutoscaler", "ScaledObject")
    for workload in fleet.workloads:
        if "replicas" in workload.spec:
            yield f"{workload} sets replicas, which each apply would set back"
        own = [s for s in scalers if s["spec"]["scaleTargetRef"]["name"] == workload.name]
        if [s["kind"] for s in own] != ["ScaledObject" if workload.is_worker else "HorizontalPodAutoscaler"]:
            yield f"{workload} has not the autoscaler that it should"
            continue
        spec = own[0]["spec"]
        if workload.is_worker and spec.get("minReplicaCount") != 0:
            yield f"{workload} does not scale to zero"
        if not workload.is_worker and spec.get("minReplicas", 1) < 2:
            yield f"{workload} may be a single pod"


@rule
def queries_ask_for_the_right_work(fleet: Fleet):
    """A pool scales by the backlog of its own class in its own namespace, and the API has the same pools, with rates."""
    triggers = {s["spec"]["scaleTargetRef"]["name"]: s["spec"]["triggers"] for s in fleet.of("ScaledObject")}
    for workload in fleet.workloads:
        if not workload.is_worker:
            continue
        where = f'namespace="{fleet.namespace}"'
        metric = "clearfleet_media_backlog_tasks"
        if workload.is_pool:
            metric, where = "clearfleet_backlog_seconds", f'{where},class="{workload.klass}"'
        found = triggers.get(workload.name, [{}])
        for metadata in (trigger.get("metadata", {}) for trigger in found):
            if metadata.get("query") != f"max(max_over_time({metric}{{{where}}}[1m]))":
                yield f"{workload} scales by {metadata.get('query')}"
            # Else a fleet without a scheduler, as at its first start, is an error and scales by the fallback.
            if metadata.get("ignoreNullValues") != "true" or metadata.get("activationThreshold") != "0":
                yield f"{workload} does not start from nothing"
    classes = fleet.setting("clearfleet-api-settings").get("CLEARFLEET_CLASSES", "").split(",")
    pools = sorted(w.klass for w in fleet.workloads if w.is_pool)
    if sorted(c.partition("=")[0] for c in classes) != pools:
        yield f"the API has the classes {classes}, and the pools are {pools}"
    if not all(re.fullmatch(r"[^=]+=[0-9.e]+", c) for c in classes):
        yield f"CLEARFLEET_CLASSES={','.join(classes)} lacks a rate: a first backlog would be reckoned by the API's processors"


# What OpenTelemetry's SDK and exporter read, as far as it is of use here.
OPENTELEMETRY = {
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
}


@rule
def settings_exist(fleet: Fleet):
    """Every variable and option is one that the programs know."""
    sources = "".join(p.read_text() for part in ("api", "common", "worker") for p in (ROOT / part / "src").rglob("*.rs"))
    known = set(re.findall(r'env = "(CLEARFLEET_\w+)"|_ENV: &str = "(CLEARFLEET_\w+)"|from_env\("(CLEARFLEET_\w+)"\)', sources))
    known = {variable for found in known for variable in found} | OPENTELEMETRY
    used = {v for w in fleet.workloads for v in w.env} | {k for m in fleet.of("ConfigMap") for k in m.get("data", {})}
    yield from (f"there is no variable {v}" for v in sorted(used - known))
    options = {a for w in fleet.workloads for c in w.containers for a in c.get("args", []) if a.startswith("--")}
    for option in sorted(options):
        field = option.strip("-").replace("-", "_")
        if not re.search(rf"^    (pub\S* )?{field}: ", sources, re.MULTILINE):
            yield f"there is no option {option}"


@rule
def references_resolve(fleet: Fleet):
    """ConfigMaps are rendered; Secrets are not, and all that are asked for are in secrets.example.yaml."""
    yield from (f"{name(secret)} is rendered" for secret in fleet.of("Secret"))
    for settings in fleet.of("ConfigMap"):
        secrets = [k for k in settings.get("data", {}) if re.search(r"KEY$|SECRET|PASSWORD|AMQP_URL|OTLP_HEADERS", k)]
        yield from (f"{name(settings)} holds {secret}" for secret in secrets)
    examples = yaml.safe_load_all((ROOT / "k8s/secrets.example.yaml").read_text())
    keys = {(s["metadata"]["name"], key) for s in examples for key in s["stringData"]}
    maps = {m["metadata"]["name"] for m in fleet.of("ConfigMap")}
    for workload in fleet.workloads:
        for container in workload.containers:
            for source in container.get("envFrom", []):
                if source["configMapRef"]["name"] not in maps:
                    yield f"{workload} reads a ConfigMap that is not there: {source['configMapRef']['name']}"
            for variable in container.get("env", []):
                ref = variable.get("valueFrom", {}).get("secretKeyRef")
                if ref and (ref["name"], ref["key"]) not in keys:
                    yield f"{workload} reads a key of a Secret that secrets.example.yaml lacks: {ref['name']}/{ref['key']}"
                if re.search(r"KEY$|SECRET|AMQP_URL|OTLP_HEADERS", variable["name"]) and not ref:
                    yield f"{workload}: {variable['name']} is written down"


@rule
def network_is_closed(fleet: Fleet):
    """All is denied but what a policy names; none names everybody; only the API reaches the internet, and nothing private."""
    policies = fleet.of("NetworkPolicy")
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if closed not in [p["spec"] for p in policies]:
        yield "no policy denies what is not allowed"
    for policy in policies:
        spec = policy["spec"]
        for peers, ports in ((r.get("to") or r.get("from"), r.get("ports")) for r in spec.get("egress", []) + spec.get("ingress", [])):
            if not peers or not ports or {} in peers or any(p.get("namespaceSelector") == {} for p in peers):
                yield f"{name(policy)} is open to everybody"
                continue
            for block in (p["ipBlock"] for p in peers if "ipBlock" in p):
                if int(block["cidr"].partition("/")[2]) > 24:
                    continue  # A single address.
                if any(w.is_worker for w in fleet.picked(spec["podSelector"])):
                    yield f"{name(policy)} lets workers out to {block['cidr']}"
                if block["cidr"] == "0.0.0.0/0" and not set(PRIVATE) <= set(block.get("except", [])):
                    yield f"{name(policy)} reaches private addresses"
    for manifest in fleet.of("Ingress"):
        for path in (p for r in manifest["spec"]["rules"] for p in r["http"]["paths"]):
            service = path["backend"]["service"]["name"]
            if service not in {m["metadata"]["name"] for m in fleet.of("Service")}:
                yield f"{name(manifest)} leads to no Service: {service}"
        hidden = [p for r in manifest["spec"]["rules"] for p in r["http"]["paths"] if p["path"] == "/metrics"]
        if not hidden or hidden[0]["backend"]["service"]["name"] == "clearfleet-api":
            yield f"{name(manifest)} shows /metrics to the world"


@rule
def ingress_lets_films_through(fleet: Fleet):
    """The Ingress limits no body, buffers nothing, and waits an hour."""
    for manifest in fleet.of("Ingress"):
        said = {k.rpartition("/")[2]: v for k, v in manifest["metadata"].get("annotations", {}).items()}
        if said.get("proxy-body-size") != "0":
            yield f"{name(manifest)} limits bodies"
        if {said.get("proxy-request-buffering"), said.get("proxy-buffering")} != {"off"}:
            yield f"{name(manifest)} buffers"
        if min(int(said.get(f"proxy-{way}-timeout", 60)) for way in ("read", "send")) < 3600:
            yield f"{name(manifest)} ends what is silent for a minute"


@rule
def gpus_and_engines_agree(fleet: Fleet):
    """A worker with the engine `cuda` has one device and tolerates its taint; others have none."""
    for workload in fleet.workloads:
        wants = workload.env.get("CLEARFLEET_ENGINE") == "cuda"
        if list(workload.devices.values()) != ([1] if wants else []):
            yield f"{workload} has the devices {workload.devices}"
        tolerated = {t["key"] for t in workload.pod.get("tolerations", [])}
        if wants and "nvidia.com/gpu" not in tolerated:
            yield f"{workload} does not tolerate the taint of nodes with GPUs"


@rule
def site_is_written_everywhere(fleet: Fleet):
    """Nothing is left to be filled in, and all is in one namespace."""
    for manifest in fleet.manifests:
        if re.search(r"\bsite\b", yaml.safe_dump({k: v for k, v in manifest.items() if k != "data"})):
            yield f"{name(manifest)}: `site` was not replaced"
        if manifest["kind"] not in UNNAMESPACED and manifest["metadata"].get("namespace") != fleet.namespace:
            yield f"{name(manifest)} is in another namespace than {fleet.namespace}"
    for monitor in fleet.of("ServiceMonitor", "PodMonitor"):
        if not monitor["metadata"].get("labels", {}).get("release"):
            yield f"{name(monitor)} has no label for its operator to pick it by"
