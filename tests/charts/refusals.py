"""Values that have to be refused, and what the message has to say."""

GATEWAY = {"mode": "gateway", "config": {"upstream": "app:8080", "shadow": "next:8080"}}
LISTENER = {"mode": "listener", "config": {"capture": ":8080", "shadow": "next:8080"}}
SIDECAR = {"mode": "sidecar", "config": {"shadow": "next:8080"},
           "sidecar": {"workload": {"name": "app"}, "redirect": {"inboundPorts": [8080]}}}
PORT = {"mode": "sidecar", "config": {"shadow": "next:8080"},
        "sidecar": {"workload": {"name": "app", "container": "app"}, "interception": "port", "port": {"listen": 8080, "app": 18080}}}


def over(base, **values):
    """The base with these over it; a name's `__` is a dot."""
    def put(below, path, value):
        head, *rest = path
        return below | {head: put(below.get(head, {}), rest, value) if rest else value}

    for name, value in values.items():
        base = put(base, name.split("__"), value)
    return base


REFUSED = [
    # By the schema: what is misspelt, or no such value.
    ({}, "at '/mode': value must be one of 'sidecar', 'gateway', 'listener'"),
    (over(GATEWAY, mode="gatway"), "at '/mode': value must be one of 'sidecar', 'gateway', 'listener'"),
    (over(GATEWAY, config__shdow=":1"), "at '/config': additional properties 'shdow' not allowed"),
    (over(GATEWAY, config__shadow=[{"target": "next:8080", "concurency": 3}]), "at '/config/shadow/0': additional properties 'concurency' not allowed"),
    (over(GATEWAY, config__fraction="lots"), "at '/config/fraction': 'lots' does not match pattern"),
    (over(GATEWAY, config__limits={"memory": "much"}), "at '/config/limits/memory': 'much' does not match pattern"),
    (over(GATEWAY, config__pipeline=[{"filtre": "method = GET"}]), "'filtre' not allowed"),
    (over(GATEWAY, gatewy=1), "additional properties 'gatewy' not allowed"),
    (over(GATEWAY, gateway__port="http"), "at '/gateway/port': got string, want integer"),
    (over(GATEWAY, gateway__service__type="Cluster"), "at '/gateway/service/type': value must be one of"),
    (over(GATEWAY, image__digest="sha256:1"), "at '/image/digest': 'sha256:1' does not match pattern"),
    (over(SIDECAR, sidecar__interception="proxy"), "at '/sidecar/interception': value must be one of 'redirect', 'port'"),
    (over(SIDECAR, sidecar__redirect__inboundPorts=[80800]), "at '/sidecar/redirect/inboundPorts/0': maximum"),
    (over(SIDECAR, sidecar__workload__kind="CronJob"), "at '/sidecar/workload/kind': value must be one of"),
    (over(GATEWAY, metrics__prometheusRule__lossRatio=5), "at '/metrics/prometheusRule/lossRatio': maximum"),
    # By the templates: what does not fit together.
    ({"mode": "gateway", "config": {"shadow": "next:8080"}}, "config.upstream: mode gateway needs the Service that it stands before, as in upstream: app:8080"),
    (over(GATEWAY, config__upstream=":8080"), "config.upstream: :8080 is the gateway's own pod"),
    ({"mode": "gateway", "config": {"upstream": "app:8080"}}, "config: copies go nowhere; give config.shadow or config.record"),
    (over(GATEWAY, config__listen=":80"), "config.listen: the chart sets it, by gateway.port"),
    (over(GATEWAY, config__admin=":1"), "config.admin: the chart sets it, by admin.port"),
    (over(GATEWAY, config__capture=":8080"), "config.capture: mode gateway has no capability to listen with; choose mode listener"),
    (over(GATEWAY, config__replay="traffic.avro"), "config.replay: a replay ends"),
    (over(GATEWAY, config__proxy={"transparent": "redirect"}), "config.proxy.transparent: the chart sets it, by sidecar.redirect.mode"),
    (over(GATEWAY, gateway__port=9900), "gateway.port: 9900 is admin.port"),
    (over(GATEWAY, gateway__port=80), "gateway.port: below 1024 it takes a capability"),
    (over(GATEWAY, config__record="traffic.avro"), "config.record: traffic.avro is on the read-only root; put it below /recordings/"),
    (over(GATEWAY, config__record="/recordings/traffic.avro"), "config.record: recording.enabled: true mounts the volume"),
    (over(GATEWAY, recording__enabled=True), "recording.enabled: config.record says what is recorded"),
    (over(GATEWAY, admin__host="127.0.0.1"), "admin.host: the kubelet's probes reach"),
    (over(GATEWAY, metrics__podMonitor__enabled=True, metrics__serviceMonitor__enabled=True), "metrics: podMonitor and serviceMonitor would count everything twice"),
    (over(GATEWAY, gateway__autoscaling={"enabled": True, "minReplicas": 11}), "gateway.autoscaling: minReplicas is more than maxReplicas"),
    ({"mode": "listener", "config": {"shadow": "next:8080"}}, "config.capture: mode listener needs what it listens to"),
    (over(LISTENER, config__upstream="app:8080"), "config.upstream: a listener stands before nothing"),
    (over(LISTENER, config__listen=":80"), "config.listen: a listener has no proxy; choose mode gateway"),
    (over(LISTENER, networkPolicy__enabled=True), "networkPolicy.enabled: there is none for mode listener"),
    (over(LISTENER, admin__host="127.0.0.1", metrics__podMonitor__enabled=True), "admin.host: nothing scrapes 127.0.0.1"),
    ({"mode": "sidecar", "config": {"shadow": "next:8080"}, "sidecar": {"redirect": {"inboundPorts": [8080]}}}, "sidecar.workload.name: give the workload"),
    (over(SIDECAR, sidecar__redirect__inboundPorts=[]), "sidecar.redirect.inboundPorts: give the application's ports"),
    (over(SIDECAR, sidecar__redirect__inboundPorts=[9900]), "sidecar.redirect.inboundPorts: 9900 is mirror's own"),
    (over(SIDECAR, sidecar__redirect__mode="tproxy", sidecar__redirect__egress=True), "sidecar.redirect.egress, sidecar.redirect.local: with tproxy mirror is root"),
    (over(SIDECAR, sidecar__redirect__meshUid=2110), "sidecar.redirect.meshUid: 2110 is mirror's own user too"),
    (over(SIDECAR, sidecar__redirect__meshUid=1337), "sidecar.redirect.port: 15001 is one of Istio's in the same pod"),
    (over(SIDECAR, sidecar__redirect__meshUid=1337, sidecar__redirect__inboundPorts="all"), "sidecar.redirect.meshUid: name the application's ports"),
    (over(SIDECAR, sidecar__redirect__meshUid=7, sidecar__redirect__exempt__uids=[7]), "sidecar.redirect.exempt.uids: 7 is meshUid"),
    (over(SIDECAR, sidecar__redirect__meshUid=7, sidecar__redirect__mode="tproxy"), "which tproxy does not see; choose mode redirect"),
    (over(SIDECAR, sidecar__redirect__inboundPorts="8080"), "at '/sidecar/redirect/inboundPorts': '8080' does not match pattern"),
    (over(SIDECAR, sidecar__redirect__exempt__inboundPorts=[22]), "sidecar.redirect.exempt.inboundPorts: they are those that inboundPorts: all leaves out"),
    (over(SIDECAR, sidecar__redirect__egressPorts=[80]), "sidecar.redirect.egressPorts: they narrow egress: true"),
    (over(SIDECAR, sidecar__redirect__inboundPorts=[], sidecar__redirect__egress=True, sidecar__redirect__local=True), "sidecar.redirect.local: give the ports"),
    (over(SIDECAR, config__upstream=":8080"), "config.upstream: the chart sets it"),
    (over(PORT, sidecar__port={"listen": None, "app": 18080}), "sidecar.port: interception: port needs listen"),
    (over(PORT, sidecar__port={"listen": 8080, "app": 8080}), "sidecar.port.listen: 8080 is also sidecar.port.app"),
    (over(PORT, sidecar__port={"listen": 80, "app": 8080}), "sidecar.port.listen: below 1024 it takes a capability"),
    (over(PORT, sidecar__workload={"name": "app"}), "sidecar.workload.container: interception: port changes the application's environment"),
]

# What the table begins with has to be good by itself, or it would be refused for something else.
TAKEN = [GATEWAY, LISTENER, SIDECAR, PORT]
