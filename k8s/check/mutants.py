"""Fleets that are broken in one place, and the promise that each breaks."""

import copy

# The promise, the manifest by kind and the beginning of its name, the path to the place, and what is written there; DROP to
# take it away.
DROP = object()
POD = ("spec", "template", "spec")
BOX = (*POD, "containers", 0)
API, MEDIA, POOL = (("Deployment", f"clearfleet-{part}") for part in ("api", "media", "upscale"))
SCALE = ("ScaledObject", "clearfleet-upscale")
TRIGGER = ("spec", "triggers", 0, "metadata")
MUTANTS = [
    ("schemas", API, ("spec", "replica"), 2),
    ("schemas", API, (*BOX, "readinesProbe"), {}),
    ("schemas", API, (*BOX, "ports", 0, "containerPort"), "8080"),
    ("schemas", API, ("apiVersion",), "apps/v1beta1"),
    ("schemas", ("NetworkPolicy", "to-webhooks"), ("spec", "egress", 0, "to", 0, "ipBlock", "exept"), []),
    ("schemas", SCALE, ("spec", "maxReplicas"), 3),
    ("schemas", SCALE, ("spec", "fallback", "behavior"), "currentReplicasIfLuckier"),
    ("schemas", SCALE, ("spec", "scaleTargetRef"), DROP),
    ("schemas", SCALE, ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleDown", "window"), 3),
    ("schemas", ("ServiceMonitor", "clearfleet-api"), ("spec", "endpoints", 0, "intervall"), "15s"),
    ("schemas", ("ServiceMonitor", "clearfleet-api"), ("spec", "endpoints", 0, "interval"), "often"),
    ("schemas", ("PodMonitor", "clearfleet-worker"), ("spec", "endpoints"), []),
    ("images_are_pinned", API, (*BOX, "image"), "registry.example.com:5000/clearfleet/api:latest"),
    ("images_are_pinned", POOL, (*BOX, "image"), "registry.example.com:5000/clearfleet/worker"),
    ("containers_are_confined", API, (*BOX, "securityContext", "readOnlyRootFilesystem"), DROP),
    ("containers_are_confined", API, (*BOX, "securityContext", "allowPrivilegeEscalation"), DROP),
    ("containers_are_confined", MEDIA, (*BOX, "securityContext", "capabilities", "add"), ["SYS_ADMIN"]),
    ("containers_are_confined", MEDIA, (*POD, "securityContext", "runAsNonRoot"), DROP),
    ("containers_are_confined", MEDIA, (*POD, "securityContext", "runAsUser"), 0),
    ("containers_are_confined", POOL, (*POD, "securityContext", "seccompProfile"), DROP),
    ("containers_are_confined", POOL, (*POD, "hostNetwork"), True),
    ("containers_are_confined", POOL, (*POD, "volumes", 0), {"name": "scratch", "hostPath": {"path": "/tmp"}}),
    ("resources_are_bounded", API, (*BOX, "resources", "limits", "memory"), DROP),
    ("resources_are_bounded", POOL, (*BOX, "resources", "requests", "ephemeral-storage"), DROP),
    ("resources_are_bounded", POOL, (*BOX, "resources", "requests", "cpu"), "8500m"),
    ("resources_are_bounded", MEDIA, (*POD, "volumes", 0, "emptyDir", "sizeLimit"), "34Gi"),
    ("resources_are_bounded", MEDIA, (*POD, "volumes", 0, "emptyDir"), {}),
    ("probes_are_there", API, (*BOX, "livenessProbe"), DROP),
    ("probes_are_there", POOL, (*BOX, "startupProbe", "httpGet", "port"), "http"),
    ("pods_hold_no_token", API, (*POD, "automountServiceAccountToken"), DROP),
    ("pods_hold_no_token", MEDIA, (*POD, "enableServiceLinks"), DROP),
    ("pods_hold_no_token", POOL, (*POD, "serviceAccountName"), DROP),
    ("pods_hold_no_token", ("ServiceAccount", "clearfleet-api"), ("automountServiceAccountToken",), True),
    ("grace_outlasts_work", API, (*POD, "terminationGracePeriodSeconds"), DROP),
    ("grace_outlasts_work", POOL, (*POD, "terminationGracePeriodSeconds"), 670),
    ("grace_outlasts_work", POOL, (*BOX, "env", "CLEARFLEET_GRACE", "value"), "60"),
    ("selectors_pick_what_they_should", POOL, ("spec", "selector", "matchLabels", "clearfleet.io/class"), "other"),
    ("selectors_pick_what_they_should", MEDIA, ("spec", "selector", "matchLabels", "app.kubernetes.io/component"), DROP),
    ("selectors_pick_what_they_should", ("Service", "clearfleet-api"), ("spec", "ports", 0, "targetPort"), "web"),
    ("selectors_pick_what_they_should", ("Service", "clearfleet-api"), ("metadata", "labels"), DROP),
    ("selectors_pick_what_they_should", ("PodMonitor", "clearfleet-worker"), ("spec", "podMetricsEndpoints", 0, "port"), "http"),
    ("selectors_pick_what_they_should", ("PodDisruptionBudget", "clearfleet-media"), ("spec", "selector", "matchLabels", "a"), "b"),
    ("selectors_pick_what_they_should", ("NetworkPolicy", "to-webhooks"), ("spec", "podSelector", "matchLabels", "a"), "b"),
    ("autoscalers_own_replicas", POOL, ("spec", "replicas"), 0),
    ("autoscalers_own_replicas", SCALE, ("spec", "scaleTargetRef", "name"), "clearfleet-upscale"),
    ("autoscalers_own_replicas", SCALE, ("spec", "minReplicaCount"), 1),
    ("autoscalers_own_replicas", ("HorizontalPodAutoscaler", "clearfleet-api"), ("spec", "minReplicas"), 1),
    ("queries_ask_for_the_right_work", SCALE, (*TRIGGER, "query"), 'max(clearfleet_backlog_seconds{class="other"})'),
    ("queries_ask_for_the_right_work", SCALE, (*TRIGGER, "ignoreNullValues"), "false"),
    ("queries_ask_for_the_right_work", ("ScaledObject", "clearfleet-media"), (*TRIGGER, "activationThreshold"), "10"),
    ("queries_ask_for_the_right_work", ("ConfigMap", "clearfleet-api-settings"), ("data", "CLEARFLEET_CLASSES"), "cpu"),
    ("queries_ask_for_the_right_work", ("ConfigMap", "clearfleet-api-settings"), ("data", "CLEARFLEET_CLASSES"), "cpu=1,gpu=1"),
    ("settings_exist", API, (*BOX, "env", 0, "name"), "CLEARFLEET_LISTEN_ON"),
    ("settings_exist", ("ConfigMap", "clearfleet-settings"), ("data", "CLEARFLEET_S3_ENDPONT"), "http://minio"),
    ("settings_exist", ("ConfigMap", "clearfleet-settings"), ("data", "OTEL_EXPORTER_OTLP_ENDPONT"), "http://collector"),
    ("settings_exist", POOL, (*BOX, "args"), ["run", "--no-medium"]),
    ("references_resolve", API, (*BOX, "envFrom", 0, "configMapRef", "name"), "clearfleet-settings"),
    ("references_resolve", API, (*BOX, "env", "CLEARFLEET_ADMIN_KEY", "valueFrom", "secretKeyRef", "key"), "root-key"),
    ("references_resolve", POOL, (*BOX, "env", "CLEARFLEET_AMQP_URL"), {"name": "CLEARFLEET_AMQP_URL", "value": "amqp://a:b@c"}),
    ("references_resolve", ("ConfigMap", "clearfleet-settings"), ("data", "CLEARFLEET_S3_SECRET_KEY"), "minioadmin"),
    ("references_resolve", ("ConfigMap", "clearfleet-settings"), ("data", "OTEL_EXPORTER_OTLP_HEADERS"), "authorization=key"),
    ("references_resolve", ("ConfigMap", "clearfleet-settings"), ("kind",), "Secret"),
    ("network_is_closed", ("NetworkPolicy", "nothing-else"), ("spec", "policyTypes"), ["Ingress"]),
    ("network_is_closed", ("NetworkPolicy", "to-store"), ("spec", "egress", 0, "to"), DROP),
    ("network_is_closed", ("NetworkPolicy", "to-store"), ("spec", "egress", 0, "to", 0, "namespaceSelector"), {}),
    ("network_is_closed", ("NetworkPolicy", "to-webhooks"), ("spec", "podSelector"), {}),
    ("network_is_closed", ("NetworkPolicy", "to-webhooks"), ("spec", "egress", 0, "to", 0, "ipBlock", "except", 1), "11.0.0.0/8"),
    ("network_is_closed", ("Ingress", "clearfleet-api"), ("spec", "rules", 0, "http", "paths", 1, "path"), "/healthz"),
    ("ingress_lets_films_through", ("Ingress", "clearfleet-api"),
     ("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-body-size"), "1m"),
    ("ingress_lets_films_through", ("Ingress", "clearfleet-api"),
     ("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-read-timeout"), DROP),
    ("ingress_lets_films_through", ("Ingress", "clearfleet-api"),
     ("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-buffering"), DROP),
    ("gpus_and_engines_agree", POOL, (*BOX, "resources", "limits", "nvidia.com/gpu"), DROP),
    ("gpus_and_engines_agree", MEDIA, (*BOX, "resources", "limits", "nvidia.com/gpu"), 1),
    ("gpus_and_engines_agree", POOL, (*POD, "tolerations"), DROP),
    ("site_is_written_everywhere", ("Ingress", "clearfleet-api"), ("spec", "ingressClassName"), "site"),
    ("site_is_written_everywhere", SCALE, ("metadata", "namespace"), "default"),
    ("site_is_written_everywhere", ("ServiceMonitor", "clearfleet-rabbitmq"), ("metadata", "labels", "release"), DROP),
]


def missed(manifests: list, broken_promises) -> list:
    """The mutants of a fleet for which their promise is not among those that are found broken."""
    return [mutant for mutant in MUTANTS if mutant[0] not in broken_promises(mutate(manifests, *mutant[1:]))]


def mutate(manifests: list, which: tuple, path: tuple, value) -> list:
    """A copy in which one place is changed."""
    kind, name = which
    (n,) = [n for n, m in enumerate(manifests) if m["kind"] == kind and begins(m["metadata"]["name"], name)]
    changed = copy.deepcopy(manifests[n])
    place = changed
    for part in path[:-1]:
        if isinstance(place, list) and isinstance(part, str):
            part = index(place, part)
        place = place[part]
    last = index(place, path[-1]) if isinstance(place, list) and isinstance(path[-1], str) else path[-1]
    if value is DROP:
        del place[last]
    else:
        place[last] = value
    return [*manifests[:n], changed, *manifests[n + 1:]]


def index(items: list, name: str) -> int:
    """Where in a list the thing with a name is."""
    return next(n for n, item in enumerate(items) if item["name"] == name)


def begins(found: str, name: str) -> bool:
    """Whether a name is this one, or this one and a pool's name or a hash."""
    rest = found.removeprefix(name)
    return found.startswith(name) and (not rest or (rest[0] == "-" and "-" not in rest[1:] and rest != "-settings"))
