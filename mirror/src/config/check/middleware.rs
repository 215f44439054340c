//! Whether a program can be run as a middleware.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Findings;
use crate::config::{Expected, MiddlewareConfig};

pub(super) fn check(key: &str, config: &MiddlewareConfig, findings: &mut Findings<'_>) {
    let at = |part: &str| format!("{key}.{part}");
    if let Err(expected) = find(config.command.program()) {
        findings.add(&at("command"), &config.command, expected.0);
    }
    findings.not_zero(&at("timeout"), config.timeout);
    findings.not_empty(&at("max_body"), config.max_body);
    if config.queue_bytes < config.max_body {
        let expected = format!("at least `max_body`, {}: a message of that length would never fit", config.max_body);
        findings.add(&at("queue_bytes"), config.queue_bytes, expected);
    }
    findings.not_zero(&at("restart.min"), config.restart.min);
    if config.restart.max < config.restart.min {
        let expected = format!("a time of at least `min`, {}", config.restart.min);
        findings.add(&at("restart.max"), config.restart.max, expected);
    }
}

/// Looks for a program as the system does when it is started: by its path where that has a slash, else in PATH's folders.
fn find(program: &str) -> Result<(), Expected> {
    if program.contains('/') {
        return match fs::metadata(program) {
            Ok(file) if is_program(&file) => Ok(()),
            Ok(_) => Err("a program: this file is none that can be executed".into()),
            Err(error) => Err(format!("a program that is there ({error})").into()),
        };
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = |folder: &Path| fs::metadata(folder.join(program)).is_ok_and(|file| is_program(&file));
    match env::split_paths(&folders).any(|folder| found(&folder)) {
        true => Ok(()),
        false => Err(format!("a program: there is no {program} in PATH; one in this folder is ./{program}").into()),
    }
}

fn is_program(file: &fs::Metadata) -> bool {
    file.is_file() && file.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_path_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("mask.sh");
        let script = script.to_str().unwrap();
        let told = |program: &str| find(program).err().map(|expected| expected.0);
        assert!(told(script).is_some_and(|told| told.contains("is there (No such file")));
        fs::write(script, "#!/bin/sh\ncat\n").unwrap();
        assert!(told(script).is_some_and(|told| told.contains("be executed")));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!((told(script), told("sh")), (None, None));
        assert!(told(folder.path().to_str().unwrap()).is_some(), "a folder is none");
        assert!(told("mirror-no-such-program").is_some_and(|told| told.contains("./mirror-no-such-program")));
    }
}
