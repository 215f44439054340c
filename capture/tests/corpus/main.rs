//! Every file of the corpus of real captures, read as the listener reads a `file`, and compared with its oracle. `make corpus` shows a line
//! for each. The corpus is in the folder `CORPUS`, or beside the project; where it is absent the test is skipped.

mod compare;
mod known;
mod observed;
mod oracle;
mod packets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mirror_capture::assembly::Assembly;
use mirror_capture::decode::Decoder;
use mirror_capture::flow::Limits;
use mirror_capture::source::{Captures, SavedOptions, SourceOptions};

use observed::{Observed, Observer};
use oracle::{Grade, Oracle};

/// For how long a file of a few megabytes may be read before that counts as hanging, on a machine that is busy with other things.
const HANGS: Duration = Duration::from_secs(60);

/// The folder of captures, of which the project holds no copy.
fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).join("shared/corpus"),
        PathBuf::from,
    );
    if folder.join("pcaps").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no corpus at {}; CORPUS names another folder", folder.display());
    None
}

/// What the listener makes of a file, told the servers' ports or none.
fn read(path: PathBuf, ports: &[u16]) -> Result<Observed, String> {
    let options = SavedOptions { path, ..SavedOptions::default() };
    let captures =
        Captures::open(&[SourceOptions::Saved(options)], Decoder::supports).map_err(|errors| format!("{errors:?}"))?;
    let observer = Observer::default();
    let running = captures
        .start(|_| Assembly::new(observer.clone(), Limits::default(), ports))
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    while !running.has_ended() {
        if began.elapsed() > HANGS {
            return Err("hangs".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let cut = running.cut();
    if !running.join() {
        return Err("panics".into());
    }
    match cut.first() {
        Some(cut) => Err(cut.to_string()),
        None => Ok(observer.observed()),
    }
}

#[test]
fn every_file_is_read_as_its_oracle_says() {
    let Some(folder) = corpus() else { return };
    let mut names = std::fs::read_dir(folder.join("pcaps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".pcap") || name.ends_with(".pcapng"))
        .collect::<Vec<_>>();
    names.sort();
    let mut failed = Vec::new();
    let mut totals = BTreeMap::<Grade, BTreeMap<&str, usize>>::new();
    for name in &names {
        let oracle = Oracle::of(&folder, name);
        let path = folder.join("pcaps").join(name);
        let (counts, mut differences) = match read(path.clone(), &[]) {
            Ok(observed) => {
                let counts = format!("{:>4}/{:<4}", observed.requests.len(), observed.responses.len());
                (counts, compare::differences(&oracle, &observed))
            }
            Err(why) => ("        -".into(), vec![why]),
        };
        // Told the ports it makes the same of it.
        let told =
            read(path, &oracle.ports()).map_or_else(|why| vec![why], |told| compare::differences(&oracle, &told));
        if told != differences {
            differences.push(format!("told the ports: {}", told.join("; ")));
        }
        let known = known::of(name);
        let found = differences.join("; ");
        let (verdict, shown) = match known {
            None if found.is_empty() => ("ok", "ok".into()),
            Some(known) if found == known.difference => ("known", format!("{}: {}", known.reason, known.difference)),
            _ => {
                let expected = known.map_or("none", |known| known.difference);
                failed.push(format!("{name}: {found:?}, expected {expected:?}"));
                ("differs", format!("DIFFERS: {found}"))
            }
        };
        *totals.entry(oracle.grade).or_default().entry(verdict).or_default() += 1;
        let scope = known::out_of_scope(name).map(|why| format!(" ({why})")).unwrap_or_default();
        eprintln!("{name} {:?} {counts} {shown}{scope}", oracle.grade);
    }
    for (grade, verdicts) in totals {
        eprintln!("{grade:?}: {verdicts:?}");
    }
    for stale in known::names().filter(|known| !names.iter().any(|name| name == known)) {
        failed.push(format!("{stale}: no such file"));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
