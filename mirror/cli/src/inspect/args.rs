//! The arguments of `mirror inspect`, as typed and as resolved.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use mirror::config::{ByteSize, Fault, Faults};
use mirror::recording::{Format, Kind, ReadOrder};

use crate::action::Refused;
use crate::captures::is_capture;
use crate::chosen::{Choice, Chosen, told};

/// As typed.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// Recordings: paths, globs in quotes (`'traffic-*.avro'`), `-` for the standard input. Several are merged by time.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Show heads and bodies, decoded and pretty-printed, and what targets answered.
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
    /// Print a JSON object a line, all that is recorded; with --stats one object.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print totals: rate, statuses, latencies, the paths asked for most.
    #[arg(long, help_heading = "Output")]
    stats: bool,
    /// Go on as the recording is written, and over to files that a glob matches later, until Ctrl-C.
    #[arg(short, long, help_heading = "Choice")]
    follow: bool,
    /// How much of a body -v shows [default: 4KiB].
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Output")]
    body_limit: Option<String>,
    /// `auto`, `always`, `never` [default: auto: on a terminal, where NO_COLOR is not set].
    #[arg(long, value_name = "WHEN", help_heading = "Output")]
    color: Option<String>,
}

/// As resolved.
#[derive(Debug)]
pub(crate) struct Inspect {
    pub(super) chosen: Chosen,
    pub(super) output: Output,
    pub(super) follow: bool,
    /// In bytes.
    pub(super) body_limit: usize,
    pub(super) color: bool,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Table,
    Whole,
    Json,
    Stats,
    StatsJson,
}

/// Enough of a body to know it by, and a screen or two.
const BODY_LIMIT: ByteSize = ByteSize::kib(4);

const WHAT: &str = "mirror inspect";

impl InspectArgs {
    pub(crate) fn resolve(self) -> Result<Inspect, Refused> {
        let mut faults = Faults::default();
        let mut chosen = self.choice.resolve(self.files, &mut faults);
        let body_limit = told(&mut faults, "--body-limit", self.body_limit, |text| {
            text.parse::<ByteSize>().map_err(|expected| expected.0.into_owned())
        });
        let color = told(&mut faults, "--color", self.color, |text| match text {
            "auto" => Ok(is_colored()),
            "always" => Ok(true),
            "never" => Ok(false),
            _ => Err("auto, always or never".into()),
        });
        let output = match (self.verbose, self.json, self.stats) {
            (false, false, false) => Output::Table,
            (true, false, false) => Output::Whole,
            (false, true, false) => Output::Json,
            (false, false, true) => Output::Stats,
            (false, true, true) => Output::StatsJson,
            (true, ..) => {
                faults.0.push(Fault::missing(
                    "--verbose",
                    "neither `--json` nor `--stats` beside it: they print something else",
                ));
                Output::Whole
            }
        };
        if self.follow {
            // Nothing waits for what may still come.
            chosen.options.order = ReadOrder::AsRecorded;
            faults.0.extend(not_followed(&chosen.files));
        }
        if body_limit.is_some() && output != Output::Whole {
            faults.0.push(Fault::missing("--body-limit", "`--verbose` beside it, which shows bodies"));
        }
        faults.or_ok().map_err(|faults| Refused { what: WHAT.to_owned(), faults })?;
        Ok(Inspect {
            chosen,
            output,
            follow: self.follow,
            body_limit: body_limit.unwrap_or(BODY_LIMIT).as_usize(),
            color: color.unwrap_or_else(is_colored),
        })
    }
}

/// Why one of these cannot be followed.
fn not_followed(files: &[PathBuf]) -> Option<Fault> {
    let is_har = |file: &Path| Format::of(file).is_ok_and(|format| format.kind == Kind::Har);
    let refused = |file: &Path, expected| Some(Fault::new("--follow", file.display(), expected));
    files.iter().find_map(|file| match file {
        file if is_har(file) => refused(file, "a recording that is written from its front to its end; a .har is not"),
        file if is_capture(file) => refused(file, "a recording; a saved capture is not"),
        file if file == Path::new("-") && files.len() > 1 => refused(file, "the standard input alone, or files"),
        _ => None,
    })
}

/// Whether whoever reads stdout is a person who has nothing against colours (no-color.org).
fn is_colored() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
