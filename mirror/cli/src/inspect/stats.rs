//! Totals of exchanges, in bounded memory however many there are.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use mirror::content::shown::plain_bytes;
use mirror::recording::Record;

use super::Show;
use super::table::address;

mod latency;
mod rate;
mod report;
mod top;

use latency::Latency;
use rate::Rate;
use top::Top;

/// What all the exchanges come to.
#[derive(Default)]
struct Stats {
    exchanges: u64,
    first: Option<SystemTime>,
    last: Option<SystemTime>,
    request_bytes: u64,
    response_bytes: u64,
    rate: Rate,
    /// By hundreds; those without a response first.
    classes: [u64; 6],
    statuses: Top<()>,
    latency: Latency,
    paths: Top<Path>,
    methods: Top<()>,
    hosts: Top<()>,
    /// By target and outcome.
    targets: Top<()>,
    /// By target: answers whose status was not that of the response.
    other_status: Top<()>,
    truncated: Top<()>,
    aborted: Top<()>,
}

/// What is known of one path.
#[derive(Default)]
struct Path {
    /// Without a response, or with one of 500 and more.
    errors: u64,
    latency: Latency,
}

impl Stats {
    fn add(&mut self, record: &Record) {
        self.exchanges += 1;
        self.first = Some(self.first.map_or(record.started, |first| first.min(record.started)));
        self.last = self.last.max(Some(record.started));
        self.rate.add(record.started);
        let request = &record.request;
        self.request_bytes = self.request_bytes.saturating_add(request.message.body_length);
        let status = record.response.as_ref().map(|response| response.status);
        let class = status.map_or(0, |status| usize::from(status / 100).min(5));
        self.classes[class] += 1;
        if let Some(response) = &record.response {
            self.response_bytes = self.response_bytes.saturating_add(response.message.body_length);
            self.statuses.add(&response.status.to_string());
        }
        self.methods.add(&plain_bytes(&request.method));
        let host = request.message.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        if let Some((_, host)) = host {
            self.hosts.add(&plain_bytes(host));
        }
        let address = address(record);
        let path = self.paths.add(address.split_once('?').map_or(&address, |(path, _)| path));
        path.errors += u64::from(class == 0 || class == 5);
        if let Some(latency) = record.response_start {
            path.latency.add(latency);
            self.latency.add(latency);
        }
        for answer in &record.answers {
            let target = plain_bytes(answer.target.as_bytes());
            self.targets.add(&format!("{target}: {}", plain_bytes(answer.outcome.as_bytes())));
            if answer.response.as_ref().is_some_and(|response| Some(response.status) != status) {
                self.other_status.add(&target);
            }
        }
        let messages =
            std::iter::once(&request.message).chain(record.response.iter().map(|response| &response.message));
        for why in messages.filter_map(|message| message.truncated.as_ref()) {
            self.truncated.add(&plain_bytes(why.as_bytes()));
        }
        if let Some(why) = &record.aborted {
            self.aborted.add(&plain_bytes(why.as_bytes()));
        }
    }

    /// From the first exchange's start to the last's.
    fn span(&self) -> Duration {
        let span = self.first.zip(self.last).and_then(|(first, last)| last.duration_since(first).ok());
        span.unwrap_or_default()
    }
}

/// Shows totals once all is there.
pub(super) struct Shown<W> {
    output: W,
    json: bool,
    stats: Stats,
}

impl<W: Write> Shown<W> {
    pub(super) fn new(output: W, json: bool) -> Self {
        Shown { output, json, stats: Stats::default() }
    }
}

impl<W: Write> Show for Shown<W> {
    fn show(&mut self, record: &Record) -> io::Result<()> {
        self.stats.add(record);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let text = if self.json { format!("{:#}\n", self.stats.json()) } else { self.stats.text() };
        super::print(&mut self.output, &text)
    }
}
