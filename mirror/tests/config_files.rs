//! Every file below `tests/config` is read: the valid ones come back from their own YAML, and each invalid one has all its faults,
//! word for word, in the `.expected` file beside it. `UPDATE_EXPECTED=1 cargo test -p mirror` writes those anew.

use std::fs;
use std::path::{Path, PathBuf};

use mirror::config::Config;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn valid_files_load_and_round_trip() {
    for path in files("valid") {
        let config = Config::load(&path).unwrap_or_else(|faults| panic!("{}:\n{faults}", path.display()));
        let yaml = config.to_yaml();
        assert_eq!(Config::from_yaml(&yaml).unwrap(), config, "{}:\n{yaml}", path.display());
    }
}

#[test]
fn invalid_files_tell_all_their_faults() {
    for path in files("invalid") {
        let faults = Config::load(&path).expect_err(&path.display().to_string()).to_string() + "\n";
        let beside = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&beside, &faults).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert!(faults == expected, "{}:\n{faults}\nnot as expected:\n{expected}", path.display());
    }
}
