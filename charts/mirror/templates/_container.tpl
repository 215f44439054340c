{{/* The user that mirror runs as. */}}
{{- define "mirror.securityContext" -}}
{{- $tproxy := and (eq .Values.mode "sidecar") (eq .Values.sidecar.interception "redirect") (eq .Values.sidecar.redirect.mode "tproxy") -}}
{{- $own := dict
    "runAsUser" 2110 "runAsGroup" 2110 "runAsNonRoot" true "readOnlyRootFilesystem" true "allowPrivilegeEscalation" false
    "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- /*
  Kubernetes gives an added capability to root alone: for other users it knows no ambient ones. A file capability in the image would do, but
  such a program does not start where that capability is dropped, and the other modes drop all. So it is uid 0 with nothing of root's but
  what is listed: without CAP_DAC_OVERRIDE and the like it is stopped by permissions as others are.
*/ -}}
{{- if or (eq .Values.mode "listener") $tproxy -}}
  {{- $add := ternary (list "NET_ADMIN") (list "NET_RAW") $tproxy -}}
  {{- $own = mergeOverwrite $own (dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false "capabilities" (dict "drop" (list "ALL") "add" $add)) -}}
{{- end -}}
{{- mergeOverwrite $own (deepCopy .Values.securityContext) | toYaml -}}
{{- end -}}

{{- define "mirror.resources" -}}
{{- $listener := eq .Values.mode "listener" -}}
{{- $own := deepCopy .Values.resources -}}
{{- $limit := include "mirror.memoryLimit" . -}}
{{- if not $own.limits.memory -}}{{- $_ := set $own.limits "memory" $limit -}}{{- end -}}
{{- if not $own.requests.memory -}}{{- $_ := set $own.requests "memory" (ternary "128Mi" "64Mi" $listener) -}}{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* What a probe asks. In the nodes' network the loopback is the kubelet's too. */}}
{{- define "mirror.httpGet" -}}
httpGet:
  path: {{ .path }}
  port: mirror-admin
  {{- with .root.Values.admin.host }}
  host: {{ . }}
  {{- end }}
{{- end -}}

{{/* The container without what its place adds: {root}. */}}
{{- define "mirror.container" -}}
{{- $root := . -}}
name: mirror
image: {{ include "mirror.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - run
  - /etc/mirror/mirror.yaml
  - --watch
  {{- with .Values.args }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .Values.recording.enabled .Values.env }}
env:
  {{- if .Values.recording.enabled }}
  {{- /* What the folder of recordings is called: of a listener, what is the same after a rollout, so that `keep` bounds all of it. */}}
  - name: RECORDER
    valueFrom:
      fieldRef:
        apiVersion: v1
        fieldPath: {{ ternary "spec.nodeName" "metadata.name" (eq .Values.mode "listener") }}
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
ports:
  {{- if eq .Values.mode "gateway" }}
  - name: http
    containerPort: {{ .Values.gateway.port }}
    protocol: TCP
  {{- end }}
  - name: mirror-admin
    containerPort: {{ .Values.admin.port }}
    protocol: TCP
securityContext:
  {{- include "mirror.securityContext" . | nindent 2 }}
resources:
  {{- include "mirror.resources" . | nindent 2 }}
startupProbe:
  {{- $probe := include "mirror.httpGet" (dict "root" . "path" "/readyz") | fromYaml }}
  {{- mergeOverwrite $probe (dict "periodSeconds" 1 "failureThreshold" 60) .Values.startupProbe | toYaml | nindent 2 }}
readinessProbe:
  {{- $probe := include "mirror.httpGet" (dict "root" . "path" "/readyz") | fromYaml }}
  {{- mergeOverwrite $probe (dict "periodSeconds" 5 "failureThreshold" 2) .Values.readinessProbe | toYaml | nindent 2 }}
{{- if ne (toString .Values.livenessProbe.enabled) "false" }}
livenessProbe:
  {{- $probe := include "mirror.httpGet" (dict "root" . "path" "/healthz") | fromYaml }}
  {{- mergeOverwrite $probe (dict "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" 6) (omit .Values.livenessProbe "enabled") | toYaml | nindent 2 }}
{{- end }}
volumeMounts:
  {{- /* The folder and not the file: a file mounted by subPath never changes. */}}
  - name: mirror-config
    mountPath: /etc/mirror
    readOnly: true
  {{- if .Values.recording.enabled }}
  - name: mirror-recordings
    mountPath: {{ .Values.recording.path }}
    subPathExpr: $(RECORDER)
  {{- end }}
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "mirror.volumes" -}}
- name: mirror-config
  configMap:
    name: {{ include "mirror.fullname" . }}
{{- if .Values.recording.enabled }}
- name: mirror-recordings
  {{- if .Values.recording.volume }}
  {{- toYaml .Values.recording.volume | nindent 2 }}
  {{- else if .Values.recording.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ .Values.recording.persistence.existingClaim | default (printf "%s-recordings" (include "mirror.fullname" .)) }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.recording.sizeLimit }}
  {{- end }}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* `template` of the Deployment and the DaemonSet, without the containers and what is theirs alone. */}}
{{- define "mirror.podMetadata" -}}
labels:
  {{- mergeOverwrite (deepCopy .Values.podLabels) (include "mirror.labels" . | fromYaml) | toYaml | nindent 2 }}
annotations:
  {{- merge (dict "mirror/restart-checksum" (include "mirror.restartChecksum" .)) .Values.podAnnotations .Values.commonAnnotations | toYaml | nindent 2 }}
{{- end -}}

{{- define "mirror.podSpec" -}}
serviceAccountName: {{ include "mirror.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- $own := dict "fsGroup" 2110 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") }}
  {{- mergeOverwrite $own .Values.podSecurityContext | toYaml | nindent 2 }}
terminationGracePeriodSeconds: {{ include "mirror.grace" . }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  {{- include "mirror.volumes" . | nindent 2 }}
{{- end -}}
