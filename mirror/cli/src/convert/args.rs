//! The arguments of `mirror convert`, as typed and as resolved.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use mirror::config::{Fault, Faults};
use mirror::recording::{Format, Kind};

use super::{Place, WHAT};
use crate::action::Refused;
use crate::chosen::{Choice, Chosen, format, told};

/// As typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    /// Recordings (paths, globs in quotes, `-` for the standard input) and saved captures (`trace.pcap:80`), merged by time; and last the recording to
    /// make, whose name says its format (`traffic.har`), or `-` for the standard output.
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    files: Vec<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// The format to write (`avro`, `har`, `gor.gz`, …) [default: what the name says; avro to the standard output].
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    format: Option<String>,
    /// Replace the output where it is there already.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

/// As resolved.
#[derive(Debug)]
pub(crate) struct Convert {
    pub(super) chosen: Chosen,
    pub(super) format: Format,
    pub(super) place: Place,
}

impl ConvertArgs {
    pub(crate) fn resolve(mut self) -> Result<Convert, Refused> {
        let mut faults = Faults::default();
        // clap has seen to it that there are two.
        let out = self.files.pop().unwrap_or_default();
        let chosen = self.choice.resolve(self.files, &mut faults);
        let asked = self.format.is_some();
        let named = told(&mut faults, "--format", self.format, format);
        let format = match named {
            Some(format) => Some(format),
            None if asked => None,
            None if out == Path::new("-") => Some(Format::AVRO),
            None => Format::of(&out).map_err(|error| faults.0.push(unnamed(&out, &error.to_string()))).ok(),
        };
        let place = Place { path: out, force: self.force };
        if place.is_stdout() && format.is_some_and(is_binary) && !asked && std::io::stdout().is_terminal() {
            let expected = "a pipe or a file for what is no text; or `--format jsonl`";
            faults.0.push(Fault::new("OUT", "-", expected));
        }
        faults.0.extend(place.fault());
        match (format, faults.0.is_empty()) {
            (Some(format), true) => Ok(Convert { chosen, format, place }),
            _ => Err(Refused { what: WHAT.to_owned(), faults }),
        }
    }
}

/// Of a name that says no format.
fn unnamed(out: &Path, error: &str) -> Fault {
    let expected = error.split_once("expected ").map_or(error, |(_, expected)| expected);
    Fault::new("OUT", out.display(), format!("{expected}; or `--format`"))
}

fn is_binary(format: Format) -> bool {
    format.gzip || format.kind == Kind::Avro
}
