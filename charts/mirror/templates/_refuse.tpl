{{/* What the schema cannot say. Every message names the value and what to give instead; all are told at once. */}}
{{- define "mirror.refuse" -}}
{{- $wrong := list -}}
{{- $mode := .Values.mode -}}
{{- $config := .Values.config -}}
{{- if not (has $mode (list "sidecar" "gateway" "listener")) -}}
  {{- $wrong = append $wrong "mode: give one of sidecar, gateway, listener" -}}
{{- end -}}

{{- if hasKey $config "listen" -}}
  {{- $by := dict "gateway" "the chart sets it, by gateway.port" "sidecar" "the chart sets it, by sidecar.redirect.port or sidecar.port.listen" "listener" "a listener has no proxy; choose mode gateway" -}}
  {{- $wrong = append $wrong (printf "config.listen: %s" (get $by $mode)) -}}
{{- end -}}
{{- if hasKey $config "admin" -}}
  {{- $wrong = append $wrong "config.admin: the chart sets it, by admin.port, admin.host and admin.control" -}}
{{- end -}}
{{- if hasKey $config "replay" -}}
  {{- $wrong = append $wrong "config.replay: a replay ends, and what this chart installs does not; run it as a Job" -}}
{{- end -}}
{{- if hasKey (default dict $config.proxy) "transparent" -}}
  {{- $wrong = append $wrong "config.proxy.transparent: the chart sets it, by sidecar.redirect.mode" -}}
{{- end -}}
{{- if not (or $config.shadow $config.record $config.discard) -}}
  {{- $wrong = append $wrong "config: copies go nowhere; give config.shadow or config.record, or config.discard: true to count requests only" -}}
{{- end -}}

{{- if eq $mode "gateway" -}}
  {{- if not $config.upstream -}}
    {{- $wrong = append $wrong "config.upstream: mode gateway needs the Service that it stands before, as in upstream: app:8080" -}}
  {{- else if regexMatch "^(http://)?(:|localhost:|127[.]|\\[::1\\])" ($config.upstream | lower) -}}
    {{- $wrong = append $wrong (printf "config.upstream: %s is the gateway's own pod; give the Service that it stands before, as in upstream: app:8080" $config.upstream) -}}
  {{- end -}}
  {{- if $config.capture -}}
    {{- $wrong = append $wrong "config.capture: mode gateway has no capability to listen with; choose mode listener" -}}
  {{- end -}}
  {{- if eq (int .Values.gateway.port) (int .Values.admin.port) -}}
    {{- $wrong = append $wrong (printf "gateway.port: %d is admin.port" (int .Values.gateway.port)) -}}
  {{- end -}}
  {{- if and (lt (int .Values.gateway.port) 1024) (not .Values.securityContext) -}}
    {{- $wrong = append $wrong "gateway.port: below 1024 it takes a capability; gateway.service.port is what clients see" -}}
  {{- end -}}
{{- end -}}

{{- if eq $mode "listener" -}}
  {{- if not $config.capture -}}
    {{- $wrong = append $wrong "config.capture: mode listener needs what it listens to, as in capture: \":8080\"" -}}
  {{- end -}}
  {{- if $config.upstream -}}
    {{- $wrong = append $wrong "config.upstream: a listener stands before nothing; choose mode gateway or sidecar" -}}
  {{- end -}}
{{- end -}}

{{- if eq $mode "sidecar" -}}
  {{- $sidecar := .Values.sidecar -}}
  {{- if not (or $sidecar.workload.name $sidecar.example.enabled) -}}
    {{- $wrong = append $wrong "sidecar.workload.name: give the workload that the patch is for, or sidecar.example.enabled: true for a pod to look at" -}}
  {{- end -}}
  {{- if $config.upstream -}}
    {{- $wrong = append $wrong "config.upstream: the chart sets it; the application is in the same pod" -}}
  {{- end -}}
  {{- if $config.capture -}}
    {{- $wrong = append $wrong "config.capture: mode sidecar has no capability to listen with; choose mode listener" -}}
  {{- end -}}
  {{- if eq $sidecar.interception "redirect" -}}
    {{- $redirect := $sidecar.redirect -}}
    {{- if not (or $redirect.inboundPorts $redirect.egress) -}}
      {{- $wrong = append $wrong "sidecar.redirect.inboundPorts: give the application's ports, as in [8080], or egress: true" -}}
    {{- end -}}
    {{- $all := kindIs "string" $redirect.inboundPorts -}}
    {{- if not $all -}}
      {{- range $redirect.inboundPorts -}}
        {{- if has (int .) (list (int $.Values.admin.port) (int $redirect.port)) -}}
          {{- $wrong = append $wrong (printf "sidecar.redirect.inboundPorts: %d is mirror's own; change admin.port or sidecar.redirect.port" (int .)) -}}
        {{- end -}}
      {{- end -}}
      {{- if $redirect.exempt.inboundPorts -}}
        {{- $wrong = append $wrong "sidecar.redirect.exempt.inboundPorts: they are those that inboundPorts: all leaves out; where the ports are named, leave them out there" -}}
      {{- end -}}
    {{- end -}}
    {{- if eq (int $redirect.port) (int .Values.admin.port) -}}
      {{- $wrong = append $wrong (printf "sidecar.redirect.port: %d is admin.port" (int $redirect.port)) -}}
    {{- end -}}
    {{- if and $redirect.egressPorts (not $redirect.egress) -}}
      {{- $wrong = append $wrong "sidecar.redirect.egressPorts: they narrow egress: true" -}}
    {{- end -}}
    {{- $tproxy := eq $redirect.mode "tproxy" -}}
    {{- if and $tproxy (or $redirect.egress $redirect.local) -}}
      {{- $wrong = append $wrong "sidecar.redirect.egress, sidecar.redirect.local: with tproxy mirror is root, whose calls must not come back to it, so that an application that is root would be left out; choose mode redirect" -}}
    {{- end -}}
    {{- if and $redirect.local (not $redirect.inboundPorts) -}}
      {{- $wrong = append $wrong "sidecar.redirect.local: give the ports that it is for, by inboundPorts" -}}
    {{- end -}}
    {{- if not (kindIs "invalid" $redirect.meshUid) -}}
      {{- $mesh := int $redirect.meshUid -}}
      {{- $uid := int (include "mirror.securityContext" . | fromYaml).runAsUser -}}
      {{- if eq $mesh $uid -}}
        {{- $wrong = append $wrong (printf "sidecar.redirect.meshUid: %d is mirror's own user too; give mirror another by securityContext.runAsUser and runAsGroup" $uid) -}}
      {{- else if $tproxy -}}
        {{- $wrong = append $wrong "sidecar.redirect.meshUid: what a mesh's proxy sends comes over the loopback, which tproxy does not see; choose mode redirect" -}}
      {{- else if or $all (not $redirect.inboundPorts) -}}
        {{- $wrong = append $wrong "sidecar.redirect.meshUid: name the application's ports by inboundPorts, as in [8080]: a mesh's proxy calls itself too" -}}
      {{- end -}}
      {{- range $redirect.exempt.uids -}}
        {{- if eq (int .) $mesh -}}
          {{- $wrong = append $wrong (printf "sidecar.redirect.exempt.uids: %d is meshUid, whose calls are not taken anyway" $mesh) -}}
        {{- end -}}
      {{- end -}}
      {{- if and (eq $mesh 1337) (has (int $redirect.port) (list 15000 15001 15004 15006 15008 15020 15021 15053 15090)) -}}
        {{- $wrong = append $wrong (printf "sidecar.redirect.port: %d is one of Istio's in the same pod; give another, as 15801" (int $redirect.port)) -}}
      {{- end -}}
    {{- end -}}
  {{- else -}}
    {{- $port := $sidecar.port -}}
    {{- if not (and $port.listen $port.app) -}}
      {{- $wrong = append $wrong "sidecar.port: interception: port needs listen (the application's port as others know it) and app (the one it is moved to)" -}}
    {{- else -}}
      {{- if has (int $port.listen) (list (int $port.app) (int .Values.admin.port)) -}}
        {{- $wrong = append $wrong (printf "sidecar.port.listen: %d is also sidecar.port.app or admin.port" (int $port.listen)) -}}
      {{- end -}}
      {{- if and (lt (int $port.listen) 1024) (not .Values.securityContext) -}}
        {{- $wrong = append $wrong "sidecar.port.listen: below 1024 it takes a capability; let the Service's targetPort be a higher one" -}}
      {{- end -}}
    {{- end -}}
    {{- if and $sidecar.workload.name (not $sidecar.workload.container) -}}
      {{- $wrong = append $wrong "sidecar.workload.container: interception: port changes the application's environment, and has to know its container" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- $record := ternary (default dict $config.record) (dict "path" $config.record) (or (not $config.record) (kindIs "map" $config.record)) -}}
{{- if and $record.path (ne $record.path "-") -}}
  {{- $folder := printf "%s/" (trimSuffix "/" .Values.recording.path) -}}
  {{- $below := hasPrefix $folder $record.path -}}
  {{- range .Values.volumeMounts -}}{{- $below = or $below (hasPrefix .mountPath $record.path) -}}{{- end -}}
  {{- if not $below -}}
    {{- $wrong = append $wrong (printf "config.record: %s is on the read-only root; put it below %s" $record.path $folder) -}}
  {{- else if and (hasPrefix $folder $record.path) (not .Values.recording.enabled) -}}
    {{- $wrong = append $wrong "config.record: recording.enabled: true mounts the volume that it is to be on" -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.recording.enabled (not $record.path) -}}
  {{- $wrong = append $wrong (printf "recording.enabled: config.record says what is recorded, as in record: %s/traffic.avro" (trimSuffix "/" .Values.recording.path)) -}}
{{- end -}}

{{- if and .Values.admin.host (not (and (eq $mode "listener") .Values.listener.hostNetwork)) -}}
  {{- $wrong = append $wrong "admin.host: the kubelet's probes reach a pod's loopback in the nodes' network only (mode listener with hostNetwork)" -}}
{{- end -}}
{{- if and .Values.admin.host (or .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled) -}}
  {{- $wrong = append $wrong "admin.host: nothing scrapes 127.0.0.1; leave it empty, or have no monitor" -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled -}}
  {{- $wrong = append $wrong "metrics: podMonitor and serviceMonitor would count everything twice; enable one" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (ne $mode "gateway") -}}
  {{- $wrong = append $wrong (printf "networkPolicy.enabled: there is none for mode %s" $mode) -}}
{{- end -}}
{{- if and .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.autoscaling.minReplicas) (int .Values.gateway.autoscaling.maxReplicas)) -}}
  {{- $wrong = append $wrong "gateway.autoscaling: minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if $wrong -}}
  {{- fail (printf "\n\nvalues of chart mirror:\n  - %s\n" (join "\n  - " $wrong)) -}}
{{- end -}}
{{- end -}}
