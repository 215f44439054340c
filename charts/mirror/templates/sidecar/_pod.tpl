{{/* The user whose own calls are never redirected. */}}
{{- define "mirror.sidecar.uid" -}}
{{- (include "mirror.securityContext" . | fromYaml).runAsUser | int -}}
{{- end -}}

{{/* The two init containers: one that ends, and one that goes on. */}}
{{- define "mirror.sidecar.initContainers" -}}
{{- $redirect := .Values.sidecar.redirect -}}
{{- if eq .Values.sidecar.interception "redirect" }}
- name: mirror-redirect
  image: {{ include "mirror.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - redirect
    - install
    - --mode={{ $redirect.mode }}
    - --to={{ $redirect.port }}
    - --admin-port={{ .Values.admin.port }}
    {{- with $redirect.inboundPorts }}
    - --inbound={{ ternary (join "," .) . (kindIs "slice" .) }}
    {{- end }}
    {{- with $redirect.exempt.inboundPorts }}
    - --exempt-inbound-port={{ join "," . }}
    {{- end }}
    {{- if or $redirect.egress $redirect.local }}
    - --exempt-uid={{ prepend $redirect.exempt.uids (include "mirror.sidecar.uid" . | int) | uniq | join "," }}
    {{- end }}
    {{- if $redirect.egress }}
    - --egress
    {{- with $redirect.egressPorts }}
    - --egress-port={{ join "," . }}
    {{- end }}
    {{- with $redirect.exempt.ports }}
    - --exempt-port={{ join "," . }}
    {{- end }}
    {{- end }}
    {{- with $redirect.exempt.cidrs }}
    - --exempt-cidr={{ join "," . }}
    {{- end }}
    {{- if $redirect.local }}
    - --local
    {{- end }}
    {{- if not (kindIs "invalid" $redirect.meshUid) }}
    - --mesh-uid={{ int $redirect.meshUid }}
    {{- end }}
    - --backend={{ $redirect.backend }}
  # Here alone: it writes the rules of this pod's own network namespace, and ends.
  securityContext:
    runAsUser: 0
    runAsGroup: 0
    runAsNonRoot: false
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities:
      drop: [ALL]
      # iptables' own way in is a raw socket; nft's is not.
      add: [NET_ADMIN{{ if eq $redirect.backend "iptables" }}, NET_RAW{{ end }}]
    seccompProfile:
      type: RuntimeDefault
  resources:
    requests:
      cpu: 10m
      memory: 16Mi
    limits:
      memory: 64Mi
  {{- if eq $redirect.backend "iptables" }}
  volumeMounts:
    # For iptables' lock.
    - name: mirror-run
      mountPath: /run
  {{- end }}
{{- end }}
- {{ include "mirror.container" . | nindent 2 | trim }}
  # A sidecar: it starts before the application and ends after it.
  restartPolicy: Always
{{- end -}}

{{- define "mirror.sidecar.volumes" -}}
{{- include "mirror.volumes" . }}
{{- if and (eq .Values.sidecar.interception "redirect") (eq .Values.sidecar.redirect.backend "iptables") }}
- name: mirror-run
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- end -}}

{{/* The strategic merge patch of a workload's pod template. */}}
{{- define "mirror.sidecar.patch" -}}
{{- $workload := .Values.sidecar.workload -}}
apiVersion: apps/v1
kind: {{ $workload.kind }}
metadata:
  name: {{ $workload.name }}
spec:
  template:
    metadata:
      labels:
        mirror/sidecar: {{ include "mirror.fullname" . }}
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        mirror/restart-checksum: {{ include "mirror.restartChecksum" . | quote }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- if not (kindIs "invalid" .Values.terminationGracePeriodSeconds) }}
      terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
      {{- end }}
      initContainers:
        {{- include "mirror.sidecar.initContainers" . | trim | nindent 8 }}
      {{- if eq .Values.sidecar.interception "port" }}
      containers:
        - name: {{ $workload.container }}
          env:
            - name: {{ .Values.sidecar.port.env }}
              value: {{ .Values.sidecar.port.app | toString | quote }}
      {{- end }}
      volumes:
        {{- include "mirror.sidecar.volumes" . | nindent 8 }}
{{- end -}}

{{/* What takes it out again. */}}
{{- define "mirror.sidecar.unpatch" -}}
{{- $workload := .Values.sidecar.workload -}}
apiVersion: apps/v1
kind: {{ $workload.kind }}
metadata:
  name: {{ $workload.name }}
spec:
  template:
    metadata:
      labels:
        mirror/sidecar: null
        {{- range $name, $_ := .Values.podLabels }}
        {{ $name }}: null
        {{- end }}
      annotations:
        mirror/restart-checksum: null
        {{- range $name, $_ := .Values.podAnnotations }}
        {{ $name }}: null
        {{- end }}
    spec:
      initContainers:
        {{- if eq .Values.sidecar.interception "redirect" }}
        - name: mirror-redirect
          $patch: delete
        {{- end }}
        - name: mirror
          $patch: delete
      {{- if eq .Values.sidecar.interception "port" }}
      containers:
        - name: {{ $workload.container }}
          env:
            - name: {{ .Values.sidecar.port.env }}
              $patch: delete
      {{- end }}
      volumes:
        {{- range include "mirror.sidecar.volumes" . | fromYamlArray }}
        - name: {{ .name }}
          $patch: delete
        {{- end }}
{{- end -}}
