//! The flags of `mirror replay`.

pub(super) const EXAMPLES: &str = "\
Examples:
  mirror replay traffic.avro --shadow :8082                            # as recorded
  mirror replay 'traffic-*.avro' --speed 10x --loop 3 --shadow :8082
  mirror replay traffic.avro --rate 5000/s --duration 5m --shadow http://staging
  mirror replay traffic.avro --speed max --concurrency 32 --shadow :8082 --report report.json
  mirror replay traffic.avro --from 2026-11-24T09:30:00Z --to 2026-11-24T09:40:00Z --shadow :8082 --record again.avro

Exit code: 0 when nothing happened that --fail-on names, 1 when something did, 2 for bad input. Terms of --fail-on, with commas between them:
  failed            a request was not answered
  dropped           a request was given up before it was sent
  left-out          a recorded request cannot be sent: its body was cut, or its head is malformed or ambiguous
  nothing           not one request was left to send: an empty recording, or a filter or --from that leaves none
  unread            a recording could not be read as a whole
  late              the p99 of lateness is above the setting replay.late (100ms)
  different-status  an answer has another status than the recorded one
  status>=500       an answer has such a status; with >= <= > < = != and a code or a class, as in 5xx
  none              nothing fails it
Behind a term stands what is allowed of it: failed>0.1%, status>=500>10.

--speed, --rate and the others are keys of `replay` in a file for `mirror run`, too.";

/// Each sets a key of `replay`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ReplayFlags {
    /// How fast: `200%`, `10x`, `0.5`, or `max` [default: 100%].
    #[arg(long, value_name = "SPEED", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) speed: Option<String>,
    /// So many requests in a time, in place of the recorded times: `5000/s`.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) rate: Option<String>,
    /// How the requests of a rate are spread: `even`, or `poisson`, as those of many users are [default: even].
    #[arg(long, value_name = "HOW", help_heading = "Replay")]
    pub(crate) arrivals: Option<String>,
    /// How often; without a number until Ctrl-C, `--duration` or `--limit` [default: 1].
    #[arg(long = "loop", value_name = "N", num_args = 0..=1, default_missing_value = "forever", allow_negative_numbers = true, help_heading = "Replay")]
    pub(crate) passes: Option<String>,
    /// End after this long.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) duration: Option<String>,
    /// End after so many requests.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) limit: Option<String>,
    /// Cut recorded gaps between requests to this.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) max_gap: Option<String>,
    /// Leave out what began before: `2026-11-24T09:30:00Z`, or `+30s` after the first request.
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) from: Option<String>,
    /// Leave out what began at this moment or later.
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) to: Option<String>,
    /// Requests under way at once, for each target [default: 1024; at `--speed max` 64].
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Replay")]
    pub(crate) concurrency: Option<String>,
    /// What stays in order, each request behind the answer to the one before it: `connection`, `cookie.session`.
    #[arg(long, value_name = "KEY", help_heading = "Replay")]
    pub(crate) order: Option<String>,
    /// What makes it a failure (exit code 1); see below [default: failed,dropped,left-out,nothing].
    #[arg(long, value_name = "LIST", help_heading = "Replay")]
    pub(crate) fail_on: Option<String>,
    /// Write a report in JSON at the end.
    #[arg(long, value_name = "FILE", help_heading = "Replay")]
    pub(crate) report: Option<std::ffi::OsString>,
}
