//! The messages that are with one program: matched with what it prints, and given up in time. Sans-io: lines and times in, answers out.
//!
//! A message waits, is given to the program, is read by it, and is printed. That it will not be printed cannot be known. One that was read and is not
//! printed within the timeout counts as filtered if the program shows signs of life: it prints, or reads on, or has read all there is. If there are none for as
//! long, the program has stalled over all that it has, and over what waits. A program that hangs with all of it read, and gets nothing more, cannot
//! be told from one that filters. One that is slow but gets on is waited for, within the bounds.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::line::{Kind, Line, Message, MessageId, Printed};
use crate::outcome::{BadLine, Screening};
use crate::telemetry::MiddlewareMetrics;

/// What a program made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was printed as it was.
    Unchanged,
    /// This was printed in its place; whoever gets it says whether it is a message ([`Middleware::count`](super::Middleware::count)).
    Changed(Bytes),
    /// It was not printed.
    Filtered,
    /// The program did not get to it.
    Failed,
}

/// What one worker may have at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Messages that wait,
    pub(super) queue: usize,
    /// and bytes of them.
    pub(super) queue_bytes: usize,
    /// Messages that the program was given and has not printed.
    pub(super) in_flight: usize,
    /// How long what the program has read may take, and how long it may show no sign of life.
    pub(super) timeout: Duration,
}

/// The messages of one worker, which outlive its program: those that the last one was not given are for the next.
pub(super) struct InFlight {
    bounds: Bounds,
    metrics: MiddlewareMetrics,
    /// By number, in the order in which they came.
    pending: BTreeMap<u64, Pending>,
    /// The numbers of those with the same kind and id: of answers there may be one a target.
    numbers: HashMap<(Kind, MessageId), Vec<u64>>,
    /// The number of the first that waits: all after it do, and all before it were given to the program,
    waiting: u64,
    /// and of the first that it has not read.
    unread: u64,
    waiting_bytes: usize,
    next: u64,
    /// While there is no program: until when.
    down_until: Option<Instant>,
    closed: bool,
    /// Bytes of lines that the program was given, and how many of them it has read.
    given: u64,
    read: u64,
    /// When it last showed a sign of life.
    alive: Instant,
    /// The number after the last of those that it has printed.
    printed: u64,
}

struct Pending {
    message: Message,
    reply: oneshot::Sender<Reply>,
    /// When it came, and once it was read, when that was.
    since: Instant,
    /// Where its line ends in what the program was given; none while it waits.
    end: Option<u64>,
}

impl InFlight {
    pub(super) fn new(bounds: Bounds, metrics: MiddlewareMetrics, now: Instant) -> InFlight {
        InFlight {
            bounds,
            metrics,
            pending: BTreeMap::new(),
            numbers: HashMap::new(),
            waiting: 0,
            unread: 0,
            waiting_bytes: 0,
            next: 0,
            down_until: None,
            closed: false,
            given: 0,
            read: 0,
            alive: now,
            printed: 0,
        }
    }

    /// Takes a message for the program. Where that cannot be, the reply is there at once.
    pub(super) fn take(&mut self, mut message: Message, now: Instant) -> oneshot::Receiver<Reply> {
        let (reply, receiver) = oneshot::channel();
        let is_down = self.down_until.is_some_and(|until| until > now + self.bounds.timeout);
        let refused = if is_down || self.closed {
            Some(Screening::Down)
        } else if self.waiting() >= self.bounds.queue || self.waiting_bytes + message.length() > self.bounds.queue_bytes
        {
            Some(Screening::Full)
        } else {
            None
        };
        if let Some(why) = refused {
            self.metrics.messages.inc(why as usize);
            let _ = reply.send(Reply::Failed);
            return receiver;
        }
        let key = (message.meta.kind, message.meta.id);
        let alike = self.numbers.entry(key).or_default();
        // What is printed is matched by the time too, so that no target's answer is taken for another's.
        while alike.iter().any(|number| self.pending[number].message.meta.at == message.meta.at) {
            message.meta.at += 1;
        }
        alike.push(self.next);
        self.waiting_bytes += message.length();
        self.metrics.waiting_bytes.add(message.length() as i64);
        self.metrics.in_flight.inc();
        self.pending.insert(self.next, Pending { message, reply, since: now, end: None });
        self.next += 1;
        receiver
    }

    /// How many wait. All that were settled before they were given came first.
    fn waiting(&self) -> usize {
        usize::try_from(self.next - self.waiting).unwrap_or(usize::MAX)
    }

    /// How full it is with what waits and so many more: 0 is empty, 1 is where messages fail.
    pub(super) fn level(&self, arriving: usize) -> f32 {
        let part = |n: usize, most: usize| n as f32 / most.max(1) as f32;
        part(self.waiting() + arriving, self.bounds.queue).max(part(self.waiting_bytes, self.bounds.queue_bytes))
    }

    /// The next line that the program is to be given, where it may have one more. If it has too many, the oldest makes room where a later one was printed
    /// already: a program that filters most of what it gets has as many of these as come within the timeout.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        if self.pending.len() - self.waiting() >= self.bounds.in_flight {
            let (&oldest, _) = self.pending.first_key_value().filter(|(oldest, _)| **oldest < self.printed)?;
            self.settle(oldest, Some(Screening::Filtered), Reply::Filtered);
        }
        let pending = self.pending.get_mut(&self.waiting)?;
        let line = Line::of(pending.message.clone());
        self.given += line.length();
        pending.end = Some(self.given);
        self.waiting += 1;
        let length = pending.message.length();
        self.no_longer_waits(length);
        Some(line)
    }

    /// The program has printed a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn printed(&mut self, line: &[u8], now: Instant) -> Result<(), BadLine> {
        self.alive = now;
        let matched = match Printed::parse(line) {
            None => Err(BadLine::Malformed),
            Some(printed) => self.find(&printed).map(|number| (number, printed)).ok_or(BadLine::Unmatched),
        };
        let (number, printed) = matched.inspect_err(|why| self.metrics.bad_lines.inc(*why as usize))?;
        self.printed = self.printed.max(number + 1);
        match self.pending[&number].message.is(&printed.payload) {
            true => self.settle(number, Some(Screening::Unchanged), Reply::Unchanged),
            false => self.settle(number, None, Reply::Changed(printed.payload)),
        }
        Ok(())
    }

    /// The message that was printed: the one of that time, and otherwise the first that the program was given.
    fn find(&self, printed: &Printed) -> Option<u64> {
        let alike = self.numbers.get(&(printed.kind, printed.id))?;
        let given = || alike.iter().copied().filter(|number| self.pending[number].end.is_some());
        given().find(|number| Some(self.pending[number].message.meta.at) == printed.at).or_else(|| given().next())
    }

    /// Looks at the clock; `read` is how many bytes the program has read so far, as far as is known. Gives how many messages it did not get to in time.
    pub(super) fn tick(&mut self, read: u64, now: Instant) -> u64 {
        if self.down_until.is_none() && (read > self.read || read >= self.given) {
            self.alive = now;
        }
        self.read = self.read.max(read);
        self.note_read(now);
        let (timeout, silent) = (self.bounds.timeout, now.saturating_duration_since(self.alive));
        let mut failed = 0;
        // In their order, which is also that of their times.
        while let Some((&number, oldest)) = self.pending.first_key_value() {
            let took = now.saturating_duration_since(oldest.since);
            if took < timeout {
                break;
            }
            // Signs of life are looked for a few times in a timeout; what is older than half of it may be the last.
            if number < self.unread && silent <= timeout / 2 {
                self.settle(number, Some(Screening::Filtered), Reply::Filtered);
            } else if silent >= timeout {
                failed += 1;
                let why = if self.down_until.is_some() { Screening::Down } else { Screening::Stalled };
                self.settle(number, Some(why), Reply::Failed);
            } else {
                break;
            }
        }
        failed
    }

    /// From now on the timeout runs for what was read since the last look.
    fn note_read(&mut self, now: Instant) {
        for (number, pending) in self.pending.range_mut(self.unread..self.waiting) {
            if pending.end.is_some_and(|end| end > self.read) {
                break;
            }
            pending.since = now;
            self.unread = number + 1;
        }
    }

    /// A program runs, the first or a new one.
    pub(super) fn started(&mut self, now: Instant) {
        (self.down_until, self.given, self.read, self.alive, self.unread) = (None, 0, 0, now, self.waiting);
    }

    /// The program has ended, and there will be none until then. What it was given and has not printed has failed; gives how many those are.
    pub(super) fn ended(&mut self, until: Instant) -> u64 {
        self.down_until = Some(until);
        let given: Vec<u64> = self.pending.range(..self.waiting).map(|(number, _)| *number).collect();
        given.iter().for_each(|number| self.settle(*number, Some(Screening::Exited), Reply::Failed));
        given.len() as u64
    }

    /// There will be no program any more: all fails, now and later.
    pub(super) fn close(&mut self) {
        self.closed = true;
        let all: Vec<u64> = self.pending.keys().copied().collect();
        all.into_iter().for_each(|number| self.settle(number, Some(Screening::Down), Reply::Failed));
    }

    /// Without an outcome, whoever gets the reply counts it: it may be no message any more.
    fn settle(&mut self, number: u64, outcome: Option<Screening>, reply: Reply) {
        let Some(Pending { message, reply: to, end, .. }) = self.pending.remove(&number) else { return };
        if end.is_none() {
            self.no_longer_waits(message.length());
            self.waiting = self.waiting.max(number + 1);
        }
        let key = (message.meta.kind, message.meta.id);
        if let Some(alike) = self.numbers.get_mut(&key) {
            alike.retain(|other| *other != number);
            if alike.is_empty() {
                self.numbers.remove(&key);
            }
        }
        self.metrics.in_flight.dec();
        if let Some(outcome) = outcome {
            self.metrics.messages.inc(outcome as usize);
        }
        // Who gave up waiting does not want to know.
        let _ = to.send(reply);
    }

    fn no_longer_waits(&mut self, bytes: usize) {
        self.waiting_bytes -= bytes;
        self.metrics.waiting_bytes.sub(bytes as i64);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
