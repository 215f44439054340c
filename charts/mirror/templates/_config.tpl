{{/* mirror.yaml: the user's settings and those that have to fit the pod. */}}
{{- define "mirror.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "admin" (dict "address" (printf "%s:%d" .Values.admin.host (int .Values.admin.port)) "control" .Values.admin.control) -}}
{{- if eq .Values.mode "gateway" -}}
  {{- $_ := set $config "listen" (printf ":%d" (int .Values.gateway.port)) -}}
  {{- /* Clients keep connections to a pod that ends, and may send one more request just as it would close them. */ -}}
  {{- $_ := set $config "proxy" (merge (default dict $config.proxy) (dict "drain_idle" "5s")) -}}
{{- else if eq .Values.mode "sidecar" -}}
  {{- $proxy := default dict $config.proxy -}}
  {{- /* One thread serves 30,000 requests a second; by default there are as many as the node has cores. */ -}}
  {{- $proxy = merge $proxy (dict "threads" 2) -}}
  {{- if eq .Values.sidecar.interception "redirect" -}}
    {{- $_ := set $config "listen" (printf ":%d" (int .Values.sidecar.redirect.port)) -}}
    {{- $_ := set $proxy "transparent" .Values.sidecar.redirect.mode -}}
  {{- else -}}
    {{- $_ := set $config "listen" (printf ":%d" (int .Values.sidecar.port.listen)) -}}
    {{- $_ := set $config "upstream" (printf "127.0.0.1:%d" (int .Values.sidecar.port.app)) -}}
  {{- end -}}
  {{- $_ := set $config "proxy" $proxy -}}
  {{- /* A sidecar ends after the application, whose grace it shares: there is nothing left to serve, but copies to finish. */ -}}
  {{- $_ := set $config "drain_timeout" (default "5s" $config.drain_timeout) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Changes with the settings that a reload cannot change, and with no others. */}}
{{- define "mirror.restartChecksum" -}}
{{- $config := include "mirror.config" . | fromYaml -}}
{{- $log := default dict $config.log -}}
{{- $rest := pick $config "listen" "upstream" "capture" "proxy" "engine" "limits" "exit_after" -}}
{{- $rest = merge $rest (dict "admin.address" $config.admin.address "log.format" (default "auto" $log.format)) -}}
{{- toJson $rest | sha256sum | trunc 16 -}}
{{- end -}}

{{/* A size of mirror.yaml in bytes: {key, value}. */}}
{{- define "mirror.bytes" -}}
{{- $text := ternary .value (printf "%d" (int64 .value)) (kindIs "string" .value) | lower | nospace -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $scales := dict "" 1 "b" 1 "kb" 1000 "mb" 1000000 "gb" 1000000000 "tb" 1000000000000 "kib" 1024 "mib" 1048576 "gib" 1073741824 "tib" 1099511627776 -}}
{{- $unit := trimPrefix $number $text -}}
{{- if or (not $number) (not (hasKey $scales $unit)) -}}
  {{- fail (printf "config.%s: %q is no size, as in 256MiB" .key (toString .value)) -}}
{{- end -}}
{{- mulf (float64 $number) (get $scales $unit) | ceil | int64 -}}
{{- end -}}

{{/* A time of mirror.yaml in whole seconds, rounded up: {key, value}. */}}
{{- define "mirror.seconds" -}}
{{- $scales := dict "d" 86400.0 "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 "us" 0.000001 "ns" 0.000000001 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9]+[a-z]+" .value -1 -}}
  {{- $number := regexFind "^[0-9]+" . -}}
  {{- $total = addf $total (mulf (float64 $number) (get $scales (trimPrefix $number .))) -}}
{{- end -}}
{{- ceil $total | int64 -}}
{{- end -}}

{{/* The memory that the process cannot pass; values.yaml says of what it is the sum. */}}
{{- define "mirror.memoryLimit" -}}
{{- $config := include "mirror.config" . | fromYaml -}}
{{- $limits := default dict $config.limits -}}
{{- $sum := include "mirror.bytes" (dict "key" "limits.memory" "value" (default "256MiB" $limits.memory)) | int64 -}}
{{- $sum = add $sum 64000000 -}}
{{- with $config.capture -}}
  {{- $reassembly := default dict $limits.reassembly -}}
  {{- $sum = add $sum (include "mirror.bytes" (dict "key" "limits.reassembly.bytes" "value" (default "32MiB" $reassembly.bytes))) -}}
  {{- range (ternary . (list .) (kindIs "slice" .)) -}}
    {{- $buffer := ternary (default dict .) dict (kindIs "map" .) -}}
    {{- $sum = add $sum (include "mirror.bytes" (dict "key" "capture.buffer" "value" (default "64MiB" $buffer.buffer))) -}}
  {{- end -}}
{{- end -}}
{{- printf "%dMi" (divf $sum 1048576 | ceil | int64) -}}
{{- end -}}

{{/* A drain's two parts, exchanges and then copies, take up to drain_timeout each. */}}
{{- define "mirror.grace" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
  {{- $config := include "mirror.config" . | fromYaml -}}
  {{- $drain := include "mirror.seconds" (dict "key" "drain_timeout" "value" (default "30s" $config.drain_timeout)) | int -}}
  {{- add (ternary (int .Values.gateway.preStopSeconds) 0 (eq .Values.mode "gateway")) (mul 2 $drain) 5 -}}
{{- else -}}
  {{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
