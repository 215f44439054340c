{{/* What both monitors say of an endpoint. The job is the release's name, whatever the mode: the rules and the dashboard go by it. */}}
{{- define "mirror.endpoint" -}}
path: /metrics
interval: {{ .root.Values.metrics.interval }}
relabelings:
  - targetLabel: job
    replacement: {{ include "mirror.fullname" .root }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
