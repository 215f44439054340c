use super::*;
use crate::config::StageConfig;
use crate::http1::{Headers, RequestHead, ResponseHead};

mod bodies;
mod heads;
mod secrets;

/// The rules of a stage as it stands in a pipeline.
fn rules(yaml: &str) -> Arc<Rules> {
    let config: StageConfig =
        serde_yaml::from_str(&format!("{{redact: {yaml}}}")).unwrap_or_else(|e| panic!("{yaml}: {e}"));
    let StageConfig::Redact(config) = config else { panic!("{config:?}") };
    Redact::new(&config, &Telemetry::new()).unwrap().0
}

fn headers(lines: &str) -> Headers {
    Headers::parse(&Bytes::from(format!("{}\r\n", lines.replace('\n', "\r\n")))).unwrap()
}

fn wire(headers: &Headers) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|line| format!("{}: {}\n", text(&line.name), text(&line.value))).collect()
}
