//! `mirror check`: what good settings come to, in one line.

use std::path::Path;

use mirror::config::Config;

pub(crate) fn report(file: &Path, config: &Config) -> String {
    let list = |words: Vec<String>| words.join(", ");
    let mut parts = Vec::new();
    if !config.listen.is_empty() {
        parts.push(format!("listens on {}", list(config.listen.iter().map(ToString::to_string).collect())));
    }
    if let Some(upstream) = &config.upstream {
        parts.push(format!("before {upstream}"));
    }
    if !config.capture.is_empty() {
        parts.push(format!("captures {}", list(config.capture.iter().map(ToString::to_string).collect())));
    }
    parts.push(match config.shadow.as_slice() {
        [] => "shadows to no target".to_owned(),
        shadows => {
            let targets = shadows.iter().map(|shadow| {
                let fraction = shadow.fraction.unwrap_or(config.fraction);
                format!("{} ({fraction})", shadow.label())
            });
            format!("shadows to {}", list(targets.collect()))
        }
    });
    if !config.record.is_empty() {
        let records = config
            .record
            .iter()
            .map(|record| format!("{} ({})", record.path.display(), record.fraction.unwrap_or(config.fraction)));
        parts.push(format!("records to {}", list(records.collect())));
    }
    format!("{}: ok\n{}\n", file.display(), parts.join("; "))
}
