//! The arguments as typed. Values are kept as words: what is wrong with them is told together with all else, by `action`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::convert::ConvertArgs;
use crate::inspect::InspectArgs;
use crate::redirect::RedirectArgs;

mod replay;

pub(crate) use replay::ReplayFlags;

const EXAMPLES: &str = "\
Examples:
  mirror --listen :80 --upstream :8080 --shadow :8082
  mirror --listen :80 --upstream :8080 --shadow :8082 --shadow http://10.0.0.7:9000 --fraction 25% --record traffic.avro
  mirror --capture :8080 --shadow :8082
  mirror --capture trace.pcapng:80 --record traffic.avro
  mirror run mirror.yaml
  mirror reload
  mirror redirect install --inbound 8080 --to 15001
  mirror --listen :15001 --transparent redirect --shadow :8082
  mirror replay traffic.avro --shadow :8082 --speed 200%
  mirror inspect traffic.avro --where 'status >= 500' -v
  mirror convert traffic.avro traffic.har
  mirror demo

Every setting has a key in the file, and is reached from here by --set. `mirror --print-config` shows them all.";

/// Mirrors HTTP traffic: a proxy or a passive listener that copies what passes to other targets and to recordings, at no cost to those
/// who are served.
#[derive(Debug, Parser)]
#[command(name = "mirror", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run with the settings in a YAML file; flags go over them.
    Run {
        /// The YAML file.
        file: PathBuf,
        /// Look at the file twice a second, and reload the settings when it says something else. (SIGHUP and `mirror reload` do it without.)
        #[arg(long, help_heading = "Running")]
        watch: bool,
        #[command(flatten)]
        flags: Box<Flags>,
    },
    /// Send what was recorded again, when it is due, and end with what came of it.
    #[command(after_help = replay::EXAMPLES)]
    Replay {
        /// Recordings; globs in quotes too, merged by time; `-` is stdin.
        #[arg(required = true)]
        files: Vec<OsString>,
        #[command(flatten)]
        replay: Box<ReplayFlags>,
        #[command(flatten)]
        flags: Box<Flags>,
    },
    /// Run with GoReplay's command line: `mirror gor --input-raw :8080 --output-http http://staging:8082`.
    ///
    /// Takes every flag of GoReplay 2.0, and beside them --print-config, which prints the settings that they come to as YAML, and --set KEY=VALUE,
    /// which sets any key of these. examples/from-goreplay has the list of the flags.
    #[command(
        disable_help_flag = true,
        override_usage = "mirror gor [GOREPLAY'S FLAGS] [--set KEY=VALUE] [--print-config]"
    )]
    Gor {
        /// GoReplay's flags.
        #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Have a `mirror` that runs with a file on this host read it again, and say what has changed, or all that is wrong with it.
    Reload {
        /// Its admin endpoint.
        #[arg(long, value_name = "ADDRESS", default_value = mirror::config::DEFAULT_ADMIN)]
        admin: String,
    },
    /// Say whether the settings in a YAML file are good, or all that is wrong with them.
    Check {
        /// The YAML file.
        file: PathBuf,
    },
    /// Show what is in recordings: a table, whole exchanges, totals.
    Inspect(Box<InspectArgs>),
    /// Make one recording of several, of saved captures, in another format, or of some exchanges only.
    Convert(Box<ConvertArgs>),
    /// Have the kernel send connections to the proxy without their clients' doing (--transparent), and undo it.
    #[command(subcommand)]
    Redirect(Box<RedirectArgs>),
    /// Print what `--capture` can listen on, with addresses and link types.
    Interfaces,
    /// Print the JSON Schema of the YAML file.
    Schema,
    /// Print a shell's completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the man page, or write those of all subcommands.
    Man {
        /// A folder that gets a page for `mirror` and each of its subcommands.
        folder: Option<PathBuf>,
    },
    /// Mirror real traffic between embedded backends, and show what happened.
    Demo {
        /// How many requests.
        #[arg(long, value_name = "N", default_value_t = 1000, allow_negative_numbers = true)]
        requests: u64,
    },
}

/// The flags of a run. Each sets a key of the config, or several.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Address to listen on: `:80` (every interface), `127.0.0.1:80`; may be repeated.
    #[arg(long, value_name = "ADDRESS", help_heading = "Source")]
    pub(crate) listen: Vec<String>,
    /// The application: `:8080` (this host), `app:8080`.
    #[arg(long, value_name = "ADDRESS", help_heading = "Source")]
    pub(crate) upstream: Option<String>,
    /// Take connections that were redirected here (`mirror redirect`), and proxy each to where it was going: `redirect`, or `tproxy`, which
    /// keeps the client's address. What is not HTTP is tunnelled; --upstream is not needed.
    #[arg(long, value_name = "HOW", help_heading = "Source")]
    pub(crate) transparent: Option<String>,
    /// Listen instead of standing in the path: `:8080` (every interface), `eth0:80,8080`, `trace.pcapng:80`, `vxlan::4789`; may be repeated.
    #[arg(long, value_name = "WHERE", help_heading = "Source")]
    pub(crate) capture: Vec<String>,
    /// Only packets that pass this filter too, in libpcap's language: `not host 10.0.0.9`.
    #[arg(long, value_name = "FILTER", help_heading = "Source")]
    pub(crate) bpf: Option<String>,
    /// Take what the interface hears of others' traffic too.
    #[arg(long, help_heading = "Source")]
    pub(crate) promiscuous: bool,
    /// Size of the ring between kernel and program [default: 64MiB].
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Source")]
    pub(crate) capture_buffer: Option<String>,
    /// Add X-Forwarded-For and X-Forwarded-Proto towards the upstream.
    #[arg(long, help_heading = "Source")]
    pub(crate) forwarded: bool,
    /// Threads that serve connections [default: the cores].
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Source")]
    pub(crate) proxy_threads: Option<String>,

    /// Target for copies: `:8082` (this host), `http://10.0.0.7:9000/prefix`; may be repeated.
    #[arg(long, value_name = "TARGET", help_heading = "Shadow")]
    pub(crate) shadow: Vec<String>,
    /// How much is mirrored: `25%`, `1/1000` [default: 100%].
    #[arg(long, value_name = "FRACTION", allow_hyphen_values = true, help_heading = "Shadow")]
    pub(crate) fraction: Option<String>,
    /// Mirror only exchanges that this holds for: `method = GET and path = /api/**`, `status >= 500`; may be repeated.
    #[arg(long, value_name = "CONDITION", help_heading = "Pipeline")]
    pub(crate) filter: Vec<String>,
    /// Mirror no exchanges that this holds for: `path = /health*`; may be repeated.
    #[arg(long, value_name = "CONDITION", help_heading = "Pipeline")]
    pub(crate) deny: Vec<String>,
    /// Send all that is mirrored through a program first, by GoReplay's middleware protocol; split at spaces; may be repeated.
    #[arg(long, value_name = "COMMAND", help_heading = "Pipeline")]
    pub(crate) middleware: Vec<String>,
    /// Give back to a target what it handed out, in place of what the application did: `cookie:session`, `json:/token -> header:Authorization`; may be repeated.
    #[arg(long, value_name = "VALUE", help_heading = "Pipeline")]
    pub(crate) carry: Vec<String>,
    /// The copies' Host: `original`, `target`, or a literal [default: original].
    #[arg(long, value_name = "HOST", help_heading = "Shadow")]
    pub(crate) host: Option<String>,
    /// Header added to copies, or `off` [default: "x-mirror-shadow: 1"].
    #[arg(long, value_name = "HEADER", help_heading = "Shadow")]
    pub(crate) marker: Option<String>,
    /// How long a target may take to answer [default: 30s].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Shadow")]
    pub(crate) shadow_timeout: Option<String>,
    /// Copies under way at once, for each target [default: 128].
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Shadow")]
    pub(crate) shadow_concurrency: Option<String>,
    /// Copies that wait, for each target; more are dropped [default: 1024].
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Shadow")]
    pub(crate) shadow_queue: Option<String>,

    /// Recording to write: `traffic.avro`, `traffic-%Y%m%d-%H%M%S.avro`; `.gor`, `.har` and `.jsonl`, with `.gz` behind them or not, are written too.
    /// `-` is stdout, in JSON Lines; may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Record")]
    pub(crate) record: Vec<OsString>,
    /// Longer bodies are cut in the recording [default: 10MiB].
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Record")]
    pub(crate) max_body: Option<String>,
    /// Begin a new file when this one is larger.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Record")]
    pub(crate) rotate_size: Option<String>,
    /// Begin a new file when this one is older.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Record")]
    pub(crate) rotate_interval: Option<String>,
    /// Remove the oldest files when all together are larger.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Record")]
    pub(crate) keep: Option<String>,

    /// Bound on all that is held in memory [default: 256MiB].
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = "Engine")]
    pub(crate) memory: Option<String>,
    /// Threads that make copies and recordings [default: 1].
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Engine")]
    pub(crate) engine_threads: Option<String>,

    /// Address of /metrics, /healthz, /readyz, /config, /sinks; or `off` [default: 127.0.0.1:9900].
    #[arg(long, value_name = "ADDRESS", help_heading = "Running")]
    pub(crate) admin: Option<String>,
    /// Let whoever reaches that address pause and resume sinks, set their fractions, and reload the settings.
    #[arg(long, help_heading = "Running")]
    pub(crate) admin_control: bool,
    /// On SIGTERM, how long what runs may take to finish [default: 30s].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Running")]
    pub(crate) drain_timeout: Option<String>,
    /// End by itself after this long.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Running")]
    pub(crate) exit_after: Option<String>,
    /// `auto`, `human`, `json` [default: auto].
    #[arg(long, value_name = "FORMAT", help_heading = "Running")]
    pub(crate) log_format: Option<String>,
    /// `info`, `warn,mirror=debug` [default: info].
    #[arg(long, value_name = "FILTER", help_heading = "Running")]
    pub(crate) log_level: Option<String>,

    /// Set any key of the file: `limits.memory=64MiB`, `shadow.0.retries=1`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Settings")]
    pub(crate) set: Vec<String>,
    /// Print all settings as YAML and exit; `mirror check` says whether they work here.
    #[arg(long, help_heading = "Settings")]
    pub(crate) print_config: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn clap_finds_nothing_wrong() {
        Args::command().debug_assert();
    }
}
