//! What a package is made of: the units, the settings that come with them, and every script.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mirror_tests::{Folder, is_there, run_to_end};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn packaging(path: &str) -> PathBuf {
    top().join("packaging").join(path)
}

/// Both streams of a command that went well.
#[track_caller]
fn quiet(output: &Output) -> String {
    let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// A root with the host's units and ours, and with empty programs where ours are run from: what is looked at is what a machine has after an
/// installation. `drop_ins` are those of mirror.service.
#[track_caller]
fn root(drop_ins: &[&str]) -> Folder {
    let root = Folder::new();
    let units = root.path("etc/systemd/system");
    let bin = root.path("usr/bin");
    std::fs::create_dir_all(units.join("mirror.service.d")).expect("a folder of our own");
    std::fs::create_dir_all(&bin).expect("a folder of our own");
    std::fs::create_dir_all(root.path("usr/lib/systemd")).expect("a folder of our own");
    let host = Command::new("cp").args(["-r", "/usr/lib/systemd/system"]).arg(root.path("usr/lib/systemd")).output();
    quiet(&host.expect("cp"));
    std::fs::create_dir(root.path("bin")).expect("a folder of our own");
    for program in [bin.join("mirror"), root.path("bin/sh")] {
        quiet(&Command::new("install").args(["-m755", "/dev/null"]).arg(program).output().expect("install"));
    }
    for unit in ["mirror.service", "mirror-redirect.service"] {
        std::fs::copy(packaging("systemd").join(unit), units.join(unit)).expect("a unit");
    }
    for drop_in in drop_ins {
        let to = units.join("mirror.service.d").join(drop_in);
        std::fs::copy(packaging("systemd").join(drop_in), to).expect("a drop-in");
    }
    root
}

fn analyze(arguments: &[&str], root: &Folder, unit: &str) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg("--no-pager").arg(format!("--root={}", root.as_ref().display())).arg(unit);
    command.output().expect("systemd-analyze")
}

const UNITS: [(&str, &[&str]); 4] = [
    ("mirror.service", &[]),
    ("mirror.service", &["low-ports.conf"]),
    ("mirror.service", &["low-ports.conf", "transparent.conf"]),
    ("mirror-redirect.service", &[]),
];

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    // An older one knows no other root, and would look at the host's units.
    if !is_there("systemd-analyze", &["--root=/", "--version"]) {
        return;
    }
    for (unit, drop_ins) in UNITS {
        let said = quiet(&analyze(&["verify", "--man=no"], &root(drop_ins), unit));
        assert_eq!(said, "", "{unit} with {drop_ins:?}");
    }
}

#[test]
fn the_units_are_exposed_little() {
    if !is_there("systemd-analyze", &["--root=/", "--version"]) {
        return;
    }
    for (unit, drop_ins) in UNITS {
        let said = quiet(&analyze(&["security", "--offline=yes"], &root(drop_ins), unit));
        // As in `→ Overall exposure level for mirror.service: 1.8 OK`.
        let level = said.split("Overall exposure level for ").nth(1).and_then(|rest| rest.split(' ').nth(1));
        let level: f64 = level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("no level: {said}"));
        assert!(level <= 2.5, "{unit} with {drop_ins:?}: {said}");
    }
}

/// It has to be able to start once, with nothing but what is in the package, and to hurt nobody.
#[test]
fn the_settings_that_are_installed_pass_the_check_and_copy_nothing() {
    let file = packaging("etc/mirror.yaml");
    let folder = Folder::new();
    let said = quiet(&run_to_end(folder.as_ref(), &["check", file.to_str().expect("UTF-8")]));
    assert!(said.ends_with("listens on 127.0.0.1:8000; before 127.0.0.1:8080; shadows to no target\n"), "{said}");
}

/// What is commented out is right too, when it is wanted.
#[test]
fn the_settings_that_are_commented_out_pass_the_check() {
    let text = std::fs::read_to_string(packaging("etc/mirror.yaml")).expect("settings");
    // A comment's settings begin in lower case and have a colon; its prose does not look like that.
    let setting = |line: &str| {
        let key = line.trim_start_matches([' ', '-']).split(": ").next().unwrap_or_default().trim_end_matches(':');
        !key.is_empty() && key.chars().all(|char| char.is_ascii_lowercase() || char == '_')
    };
    let lines = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| setting(rest)).unwrap_or(line));
    let wanted: String = lines.filter(|line| !line.starts_with("capture")).map(|line| format!("{line}\n")).collect();
    let folder = Folder::new();
    folder.write("mirror.yaml", &wanted);
    let said = folder.run(&["check", "mirror.yaml"]);
    assert_eq!(said.code, Some(0), "{said:?}\n{wanted}");
    for part in ["shadows to 10.0.0.7:9000 (10%)", "records to traffic-%Y%m%d-%H%M%S.avro"] {
        assert!(said.stdout.contains(part), "{said:?}\n{wanted}");
    }
}

#[test]
fn there_is_a_man_page_for_each_subcommand() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["man", "."]).ok(), "");
    for page in ["mirror.1", "mirror-replay.1", "mirror-inspect.1", "mirror-convert.1", "mirror-reload.1"] {
        let page = String::from_utf8(folder.read(page)).expect("UTF-8");
        assert!(page.contains(".TH ") && page.contains(".SH OPTIONS"), "{page}");
    }
    let nowhere = folder.run(&["man", "nowhere"]);
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("mirror: nowhere: "), "{nowhere:?}");
}

/// A linter of `target/venv`, where `tests/setup.sh` puts it, or of the system.
fn linter(name: &str) -> Option<PathBuf> {
    let ours = top().join("target/venv/bin").join(name);
    let program = if ours.is_file() { ours } else { name.into() };
    is_there(program.to_str().expect("UTF-8"), &["--version"]).then_some(program)
}

/// Files of the repository for which this holds, by name and first line.
fn files(wanted: impl Fn(&str, &str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![top()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let entry = entry.expect("an entry");
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            let name = entry.file_name().into_string().expect("UTF-8");
            // What is built or downloaded is not ours.
            let ours = !matches!(&*name, "target" | "dist" | ".git" | "node_modules" | "corpus" | "artifacts");
            if kind.is_dir() && ours {
                folders.push(path);
            } else if kind.is_file() {
                let bytes = std::fs::read(&path).expect("a file");
                let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
                if wanted(&name, &String::from_utf8_lossy(first)) {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn shellcheck_has_nothing_to_say_about_the_scripts() {
    let Some(shellcheck) = linter("shellcheck") else { return };
    let scripts = files(|name, first| {
        let shell = first.starts_with("#!") && (first.ends_with("sh") || first.contains("bash "));
        shell || Path::new(name).extension().is_some_and(|extension| extension == "sh")
    });
    let has = |name: &str| scripts.iter().any(|script| script.ends_with(name));
    assert!(has(".ci/run") && has("tests/setup.sh") && has("packaging/rootfs.sh"), "{scripts:?}");
    assert_eq!(quiet(&Command::new(shellcheck).args(&scripts).output().expect("shellcheck")), "");
}

#[test]
fn hadolint_has_nothing_to_say_about_the_dockerfiles() {
    let Some(hadolint) = linter("hadolint") else { return };
    let files = files(|name, _| name == "Dockerfile" || name.ends_with(".Dockerfile"));
    assert!(files.contains(&top().join("Dockerfile")), "{files:?}");
    assert_eq!(quiet(&Command::new(hadolint).current_dir(top()).args(&files).output().expect("hadolint")), "");
}

/// The script that makes an image's root, on a program that has libraries: what is in it runs there.
#[test]
fn a_root_file_system_has_all_that_its_program_needs() {
    let folder = Folder::new();
    let root = folder.path("root");
    let binary = mirror_tests::binary();
    let program = format!("{}=/usr/bin/mirror", binary.display());
    let made = Command::new(packaging("rootfs.sh")).arg(&root).arg(program).output();
    assert_eq!(quiet(&made.expect("bash")), "");
    let users = std::fs::read_to_string(root.join("etc/passwd")).expect("users");
    assert!(users.contains("\nmirror:x:2110:2110:"), "{users}");
    if !is_there("chroot", &["/", "true"]) {
        return;
    }
    let mut chroot = Command::new("chroot");
    let ran = chroot.arg("--userspec=2110:2110").arg(&root).args(["/usr/bin/mirror", "--version"]).output();
    assert!(quiet(&ran.expect("chroot")).starts_with("mirror "));
}
