//! The Helm chart: `tests/charts/check.py` has what is to be true of it, with real Helm, Kubernetes' schemas, promtool and the built program.

use std::path::{Path, PathBuf};
use std::process::Command;

use mirror_tests::binary;

#[test]
fn it_is_what_helm_kubernetes_and_prometheus_take() {
    let Some(python) = find() else { return };
    let output =
        Command::new(python).arg(check()).arg("--mirror").arg(binary()).output().expect("a Python that was found");
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
}

fn check() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/check.py")
}

/// A Python with Helm and Kubernetes' schemas: `$MIRROR_TEST_PYTHON`, else that of `target/venv`. Where there is none, or no promtool, the test is
/// skipped and says so, unless the variable is set, as then someone means it to run.
fn find() -> Option<PathBuf> {
    let wanted = std::env::var_os("MIRROR_TEST_PYTHON");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    let python = wanted.clone().map_or(ours, PathBuf::from);
    let probe = Command::new(&python).arg(check()).arg("--probe").output();
    if probe.as_ref().is_ok_and(|probe| probe.status.success()) {
        return Some(python);
    }
    assert!(
        wanted.is_none(),
        "{} cannot check the chart, tests/setup.sh installs what it takes: {probe:?}",
        python.display()
    );
    eprintln!("skipped: {} has no helm_python and kubernetes_validate, or there is no promtool", python.display());
    None
}
