//! Flags of no area.

use super::line::Line;
use super::{Settings, value};

pub(super) fn map(line: &Line, settings: &mut Settings) {
    if let Some(level @ 1..) = line.last("verbose").and_then(value::number) {
        let filter = match level {
            1 => "info,mirror=debug",
            2 => "debug",
            _ => "trace",
        };
        settings.set("log.level", filter, "verbose");
    }
    // None is GoReplay's word for never.
    if let Some(time) = line.last("exit-after").and_then(value::time).filter(|time| !time.is_zero()) {
        settings.set_time("exit_after", time, "exit-after");
    }
    if let Some(address) = line.last("http-pprof").filter(|address| !address.is_empty()) {
        settings.tell(
            "http-pprof",
            "there is no /debug/pprof; the address has /metrics, /healthz, /readyz, /config and /sinks",
        );
        settings.set("admin.address", address, "http-pprof");
    }
    if let Some(command) = line.last("middleware").filter(|command| !command.is_empty()) {
        let mut stage = vec![("command", command.into())];
        if let Some(bytes) = line.last("copy-buffer-size").and_then(value::size) {
            stage.push(("max_body", mirror::config::ByteSize::new(bytes).to_string().into()));
        }
        let stage = stage.into_iter().map(|(key, value): (&str, serde_yaml::Value)| (key.into(), value)).collect();
        settings.stage("middleware", serde_yaml::Value::Mapping(stage), "middleware");
    }
}
