//! Exchanges as a table, a line each: what is of fixed width first, so that columns stand where they stand however long a path is.

use std::io::{self, Write};

use mirror::content::shown::plain_bytes;
use mirror::recording::{Record, RecordedAnswer};

use super::Show;
use super::paint::Paint;
use super::units::{moment, size, time};

/// Digits of an id that are shown: they tell those of one process apart.
const ID: usize = 8;

/// What of a line is before the address that was asked for.
const FIXED: usize = 24 + 2 + ID + 2 + 7 + 2 + 3 + 2 + 7 + 2 + 5 + 2 + 5 + 2;

/// An address is not cut to less, however narrow the terminal.
const LEAST: usize = 16;

pub(super) struct Table<W> {
    output: W,
    paint: Paint,
    /// Of the terminal; none where lines are as long as they are.
    columns: Option<usize>,
}

impl<W: Write> Table<W> {
    /// A table; on a terminal with a row of titles, which a program that reads lines would have to skip.
    pub(super) fn new(mut output: W, paint: Paint, columns: Option<usize>) -> io::Result<Self> {
        if columns.is_some() {
            let titles = format!(
                "{:24}  {:ID$}  {:7}  {:3}  {:>7}  {:>5}  {:>5}  {}",
                "time (UTC)", "id", "method", "", "latency", "sent", "got", "address"
            );
            writeln!(output, "{}", paint.bold(titles))?;
        }
        Ok(Table { output, paint, columns })
    }

    fn line(&self, record: &Record) -> String {
        let paint = self.paint;
        let response = record.response.as_ref();
        let status = response.map(|response| response.status);
        let shown = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let id = format!("{:032x}", record.id);
        let got = response.map_or_else(|| "-".to_owned(), |response| size(response.message.body_length));
        let notes = notes(record).join(", ");
        let mut address = address(record);
        if let Some(columns) = self.columns {
            let taken = FIXED + if notes.is_empty() { 0 } else { 2 + width(&notes) };
            cut(&mut address, columns.saturating_sub(taken).max(LEAST));
        }
        let mut line = format!(
            "{}  {}  {:7}  {}  {:>7}  {:>5}  {got:>5}  {address}",
            paint.dim(moment(record.started)),
            paint.dim(&id[id.len() - ID..]),
            plain_bytes(&record.request.method),
            paint.status(status, format_args!("{shown:>3}")),
            record.response_start.map_or_else(|| "-".to_owned(), time),
            size(record.request.message.body_length),
        );
        if !notes.is_empty() {
            line.push_str("  ");
            line.push_str(&paint.warning(notes));
        }
        line
    }
}

impl<W: Write> Show for Table<W> {
    fn show(&mut self, record: &Record) -> io::Result<()> {
        let line = self.line(record);
        writeln!(self.output, "{line}")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The host and the target, as one would type it.
pub(super) fn address(record: &Record) -> String {
    let target = &record.request.target;
    let lines = &record.request.message.headers;
    let host = lines.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"host")).map(|(_, value)| value);
    match host {
        Some(host) if target.first().is_none_or(|&first| first == b'/') => plain_bytes(&[&host[..], target].concat()),
        _ => plain_bytes(target),
    }
}

/// What is not as it should be, and which targets answered otherwise.
fn notes(record: &Record) -> Vec<String> {
    let mut notes: Vec<String> =
        record.aborted.iter().map(|why| format!("aborted: {}", plain_bytes(why.as_bytes()))).collect();
    let cut = |message: &mirror::recording::RecordedMessage, what: &str| {
        message.truncated.as_ref().map(|why| format!("{what} cut: {}", plain_bytes(why.as_bytes())))
    };
    notes.extend(cut(&record.request.message, "request"));
    notes.extend(record.response.as_ref().and_then(|response| cut(&response.message, "response")));
    let status = record.response.as_ref().map(|response| response.status);
    notes.extend(record.answers.iter().filter_map(|answer| otherwise(answer, status)));
    notes
}

/// What a target made of its copy, where that is not what the client got.
fn otherwise(answer: &RecordedAnswer, status: Option<u16>) -> Option<String> {
    let name = plain_bytes(answer.target.as_bytes());
    let answered = answer.response.as_ref().map(|response| response.status);
    match answered {
        Some(other) if Some(other) != status => Some(format!("{name} {other}")),
        None if answer.outcome != "delivered" => Some(format!("{name} {}", plain_bytes(answer.outcome.as_bytes()))),
        _ => None,
    }
}

/// In columns of a terminal. What is not ASCII may take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

fn cut(text: &mut String, columns: usize) {
    if width(text) <= columns {
        return;
    }
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += if c.is_ascii() { 1 } else { 2 };
        taken >= columns
    });
    text.truncate(end.map_or(text.len(), |(at, _)| at));
    text.push('…');
}
