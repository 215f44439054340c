//! Saved captures among the recordings that are to be read: each is run through the listener and the recorder, into a file that is read in
//! its place.

use std::path::{Path, PathBuf};

use mirror::config::{AdminConfig, ByteSize, CaptureConfig, Config, Fault, Faults, MarkerConfig, Ports, RecordConfig};
use tempfile::TempDir;

use crate::chosen::told;
use crate::interrupt::Interrupt;
use crate::run::{Failed, Running, control_runtime};

/// The longest body that is kept of a capture, half of what the engine holds: with all its pieces it has to fit into that.
const MAX_BODY: ByteSize = ByteSize::mib(128);

/// How the captures among some files are read.
#[derive(Debug, Default)]
pub(crate) struct CaptureOptions {
    /// Of files that are named without.
    ports: Option<Ports>,
}

/// Files to be read in place of others.
pub(crate) struct Captures {
    pub(crate) files: Vec<PathBuf>,
    /// What of captures could not be read or recorded.
    pub(crate) cut: Vec<String>,
    _folder: Option<TempDir>,
}

impl CaptureOptions {
    /// What was typed. What is wrong with it is added to the faults.
    pub(crate) fn resolve(files: &[PathBuf], ports: Option<String>, faults: &mut Faults) -> CaptureOptions {
        let given = ports.is_some();
        let ports =
            told(faults, "--port", ports, |text| text.parse::<Ports>().map_err(|expected| expected.0.into_owned()));
        let captures: Vec<_> = files.iter().filter_map(|file| capture(file)).collect();
        if given && captures.is_empty() {
            faults.0.push(Fault::missing("--port", "a saved capture among the files (`trace.pcap`), which it is for"));
        }
        if let Some(capture) = captures.first()
            && !cfg!(feature = "capture")
        {
            let expected = "a `mirror` that was built with its feature `capture`; this one was not";
            faults.0.push(Fault::new("IN", capture, expected));
        }
        CaptureOptions { ports }
    }
}

/// The capture that a file's name says it is, with the ports behind it.
fn capture(file: &Path) -> Option<CaptureConfig> {
    let capture: CaptureConfig = file.to_str()?.parse().ok()?;
    capture.is_saved().then_some(capture)
}

/// Whether a file's name says that it is a saved capture.
pub(crate) fn is_capture(file: &Path) -> bool {
    capture(file).is_some()
}

impl Captures {
    /// Reads the captures to their ends.
    pub(crate) fn read(files: &[PathBuf], options: &CaptureOptions, interrupt: &Interrupt) -> Result<Captures, Failed> {
        let mut read = Captures { files: Vec::new(), cut: Vec::new(), _folder: None };
        for (number, file) in files.iter().enumerate() {
            let Some(mut capture) = capture(file) else {
                read.files.push(file.clone());
                continue;
            };
            if capture.ports.is_empty()
                && let Some(ports) = &options.ports
            {
                capture.ports = ports.clone();
            }
            let folder = match &read._folder {
                Some(folder) => folder,
                None => read._folder.insert(tempfile::tempdir().map_err(|error| Failed::System(error.into()))?),
            };
            let recording = folder.path().join(format!("{number}.avro"));
            read.cut.extend(record(capture, &recording, interrupt)?);
            if recording.exists() {
                read.files.push(recording);
            }
        }
        Ok(read)
    }
}

/// Records a capture, and tells what of it could not be.
fn record(capture: CaptureConfig, recording: &Path, interrupt: &Interrupt) -> Result<Vec<String>, Failed> {
    let file = capture.to_string();
    let mut record = RecordConfig::new(recording);
    record.max_body = MAX_BODY;
    let config = Config {
        capture: vec![capture],
        record: vec![record],
        admin: AdminConfig::off(),
        // Copies too are what was captured.
        marker: MarkerConfig::Off,
        ..Config::default()
    };
    let runtime = control_runtime().map_err(|error| Failed::System(error.into()))?;
    let (summary, cut) = Running::start(&config, runtime, None, None, Ok(None))?.read_out(|| interrupt.came());
    let lost: u64 = summary.sinks.iter().map(|sink| sink.dropped + sink.failed).sum();
    let lost = (lost > 0).then(|| format!("{file}: {lost} exchanges could not be recorded"));
    Ok(cut.into_iter().chain(lost).collect())
}
