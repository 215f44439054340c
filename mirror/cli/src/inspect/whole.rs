//! Exchanges as a whole: heads as they were sent, bodies decoded and pretty-printed, what each target answered.
//!
//! Lines of requests begin with `>`, those of responses with `<`, as curl has it. Bodies are indented, so that none can pass itself off as
//! a head.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use mirror::content::shown::{plain_bytes, show};
use mirror::recording::{Record, RecordedMessage, RecordedResponse};

use super::Show;
use super::paint::Paint;
use super::units::{moment, size, time};

pub(super) struct Whole<W> {
    output: W,
    paint: Paint,
    body_limit: usize,
}

impl<W: Write> Whole<W> {
    pub(super) fn new(output: W, paint: Paint, body_limit: usize) -> Self {
        Whole { output, paint, body_limit }
    }

    fn text(&self, record: &Record) -> String {
        let paint = self.paint;
        let ends = match (record.client, record.server) {
            (None, None) => String::new(),
            (client, server) => {
                let shown =
                    |end: Option<std::net::SocketAddr>| end.map_or_else(|| "?".to_owned(), |end| end.to_string());
                format!("  {} -> {}", shown(client), shown(server))
            }
        };
        let title =
            format!("{}  {:032x}  {}", moment(record.started), record.id, plain_bytes(record.source.as_bytes()));
        let mut text = format!("{}{ends}\n", paint.bold(title));
        let request = &record.request;
        let start = format!(
            "{} {} {}",
            plain_bytes(&request.method),
            plain_bytes(&request.target),
            plain_bytes(&request.version)
        );
        self.head('>', &paint.bold(start), &request.message, &mut text);
        self.body('>', &request.message, &mut text);
        match &record.response {
            Some(response) => self.response(response, record.response_start, &mut text),
            None => text.push_str("< no response\n"),
        }
        if let Some(why) = &record.aborted {
            let _ = writeln!(text, "{}", paint.warning(format_args!("aborted: {}", plain_bytes(why.as_bytes()))));
        }
        for answer in &record.answers {
            let (target, outcome) = (plain_bytes(answer.target.as_bytes()), plain_bytes(answer.outcome.as_bytes()));
            let _ = writeln!(text, "{}", paint.bold(format_args!("target {target}: {outcome}")));
            if let Some(response) = &answer.response {
                self.response(response, answer.first_byte, &mut text);
            }
        }
        text.push('\n');
        text
    }

    fn response(&self, response: &RecordedResponse, after: Option<Duration>, text: &mut String) {
        let status =
            format!("{} {} {}", plain_bytes(&response.version), response.status, plain_bytes(&response.reason));
        let after = after.map_or_else(String::new, |after| self.paint.dim(format_args!("  after {}", time(after))));
        let start = format!("{}{after}", self.paint.status(Some(response.status), status.trim_end()));
        self.head('<', &start, &response.message, text);
        self.body('<', &response.message, text);
    }

    fn head(&self, sign: char, start: &str, message: &RecordedMessage, text: &mut String) {
        let _ = writeln!(text, "{sign} {start}");
        self.lines(sign, &message.headers, text);
    }

    fn lines(&self, sign: char, lines: &[(Bytes, Bytes)], text: &mut String) {
        for (name, value) in lines {
            let _ = writeln!(text, "{sign} {}: {}", self.paint.name(plain_bytes(name)), plain_bytes(value));
        }
    }

    fn body(&self, sign: char, message: &RecordedMessage, text: &mut String) {
        let body = message.whole_body();
        let shown = show(&message.headers(), &body, self.body_limit);
        let mut notes = Vec::new();
        if let Some(shown) = &shown {
            notes.push(format!("{}, {}", shown.kind, size(message.body_length)));
            notes.extend(shown.coding.clone());
        }
        if let Some(why) = &message.truncated {
            let (held, whole) = (size(body.len() as u64), size(message.body_length));
            notes.push(format!("cut: {} ({held} of {whole} recorded)", plain_bytes(why.as_bytes())));
        }
        if !notes.is_empty() {
            let _ = writeln!(text, "{sign} {}", self.paint.dim(format_args!("[{}]", notes.join("; "))));
        }
        if let Some(shown) = shown {
            for line in shown.text.split('\n') {
                let _ = writeln!(text, "    {line}");
            }
            if shown.left_out > 0 {
                let left_out = size(shown.left_out as u64);
                let how = if shown.kind == "binary" { "" } else { " (--body-limit)" };
                let _ = writeln!(text, "    {}", self.paint.dim(format_args!("… {left_out} more{how}")));
            }
        }
        if !message.trailers.is_empty() {
            let _ = writeln!(text, "{sign} {}", self.paint.dim("[trailers]"));
            self.lines(sign, &message.trailers, text);
        }
    }
}

impl<W: Write> Show for Whole<W> {
    fn show(&mut self, record: &Record) -> io::Result<()> {
        let text = self.text(record);
        self.output.write_all(text.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
