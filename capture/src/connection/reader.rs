//! One direction of a connection, cut into messages. It is fed borrowed bytes and says how many it takes and what they are; what it
//! leaves it wants to see again with more behind it. So nothing is copied here, and only heads and chunk-size lines ever wait.

use std::time::Duration;

use mirror::http1::{BodyDecoder, Framing, Span};

use super::head::{self, Found, MAX_HEAD, Start};

/// The longest head that is taken for one in the middle of unknown bytes: longer ones are rare, and what is kept for them is looked through
/// again with each piece.
const MAX_FOUND_HEAD: usize = 32 * 1024;

/// How many bytes of a client wait for the answer to its CONNECT: a TLS hello or two. More, and they are the tunnel's.
const MAX_HELD: usize = 16 * 1024;

/// One direction.
#[derive(Debug)]
pub(super) struct Reader {
    from_client: bool,
    state: State,
    /// When the head that is being read began, and how long the connection had been quiet before.
    began: Option<Moment>,
    /// Whether a message was ever read.
    spoke: bool,
    /// All was read from the start on, message by message: where it cannot be read on, it is not for what was missed.
    sure: bool,
    /// The last body's chunks were such that others may see it end elsewhere.
    ended_ambiguously: bool,
    /// What is read after the message that is being read is a tunnel's.
    opaque_next: bool,
}

#[derive(Debug)]
enum State {
    /// Between messages or in a head, of which so many bytes hold no empty line.
    Head { seen: usize },
    /// In a body.
    Body(BodyDecoder),
    /// Nobody knows where: the next head is looked for at the starts of lines and, behind a gap, of segments.
    Lost { line_start: bool, gap: bool },
    /// A CONNECT waits for its answer; bytes may have been lost since.
    Held { torn: bool },
    /// Not HTTP/1, to the end.
    Opaque,
    /// After the end.
    Ended,
}

/// How a direction is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Bytes are missing.
    Gap,
    /// A head was whole, and says nothing of where its message ends.
    Framing,
    /// A chunked body is broken.
    Coding,
    /// The bytes are no message, or none any more.
    Nonsense,
}

/// A time, with how long nothing had passed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: Duration,
    pub(super) quiet: Duration,
}

/// What bytes are. The lengths count from the end of the bytes taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// More is needed.
    More,
    /// A whole head. What follows is read as [`Reader::body`] is told.
    Head(Head),
    /// Bytes of the body.
    Data(usize),
    /// The body's end, with so many bytes of trailers.
    End(usize),
    /// The chunked coding is broken: the message ends here, the direction is lost.
    Broken,
    /// No message: the direction is lost.
    Nonsense,
    /// TLS or HTTP/2.
    Opaque,
    /// So many bytes of no message.
    Passed(usize),
}

/// A whole head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) start: Start,
    /// Its length, without empty lines in front.
    pub(super) length: usize,
    /// That of its start line.
    pub(super) line: usize,
    pub(super) began: Moment,
}

/// What missing bytes do to the message that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    /// So many are of its body, which goes on behind them.
    pub(super) counted: u64,
    /// There are more than those: messages may be among them, and where the reader stands is lost.
    pub(super) lost: bool,
}

impl Reader {
    pub(super) fn new(from_client: bool, midstream: bool) -> Self {
        let state = if midstream { State::Lost { line_start: true, gap: true } } else { State::Head { seen: 0 } };
        Reader {
            from_client,
            state,
            began: None,
            spoke: false,
            sure: !midstream,
            ended_ambiguously: false,
            opaque_next: false,
        }
    }

    /// The next step, and how many bytes it takes. `segment`: where in the input the newest segment starts.
    pub(super) fn step(&mut self, input: &[u8], segment: Option<usize>, now: Moment) -> (usize, Step) {
        match &mut self.state {
            State::Head { .. } => self.head(input, now),
            State::Body(decoder) => match decoder.scan(input) {
                Ok((taken, None)) => (taken, Step::More),
                Ok((taken, Some(Span::Data(n)))) => (taken, Step::Data(n)),
                Ok((taken, Some(Span::End(n)))) => {
                    self.ended_ambiguously = decoder.has_bare_lf();
                    self.state = if self.opaque_next { State::Opaque } else { State::Head { seen: 0 } };
                    (taken, Step::End(n))
                }
                Err(_) => (0, Step::Broken),
            },
            State::Lost { .. } => self.search(input, segment, now),
            State::Held { .. } if input.len() <= MAX_HELD => {
                if !input.is_empty() {
                    self.began.get_or_insert(now);
                }
                (0, Step::More)
            }
            State::Held { .. } => {
                self.state = State::Opaque;
                (0, Step::Opaque)
            }
            State::Opaque | State::Ended if input.is_empty() => (0, Step::More),
            State::Opaque | State::Ended => (input.len(), Step::Passed(input.len())),
        }
    }

    fn head(&mut self, input: &[u8], now: Moment) -> (usize, Step) {
        let State::Head { seen } = &mut self.state else { return (0, Step::More) };
        let skipped = if *seen == 0 { head::empty_lines(input) } else { 0 };
        let input = &input[skipped..];
        if input.is_empty() || input == b"\r" {
            return (skipped, Step::More);
        }
        let began = *self.began.get_or_insert(now);
        // Once the start line is known to be one it is only looked at again when the head is whole.
        if *seen == 0 {
            match first_line(self.from_client, input) {
                Found::More => return (skipped, Step::More),
                Found::Line(_, line) => *seen = line,
                Found::Opaque => return (skipped, Step::Opaque),
                Found::Nothing => return (skipped, Step::Nonsense),
            }
        }
        match head::end_of_head(input, *seen) {
            Err(_) if input.len() > MAX_HEAD => (skipped, Step::Nonsense),
            Err(looked) => {
                *seen = looked;
                (skipped, Step::More)
            }
            Ok(length) if length > MAX_HEAD => (skipped, Step::Nonsense),
            Ok(length) => {
                self.began = None;
                self.spoke = true;
                self.state = State::Head { seen: 0 };
                match first_line(self.from_client, input) {
                    Found::Line(start, line) => (skipped + length, Step::Head(Head { start, length, line, began })),
                    _ => (skipped, Step::Nonsense),
                }
            }
        }
    }

    /// Looks for a head where a line starts, and behind a gap where a segment does: the message before need not end with a line, and
    /// messages mostly begin with a segment. (Elsewhere somebody may have set the segments as a trap.) A whole head is asked for, each of its lines in order, before it is believed: bodies have lines that look like a
    /// start line.
    fn search(&mut self, input: &[u8], segment: Option<usize>, now: Moment) -> (usize, Step) {
        let State::Lost { line_start, gap } = &mut self.state else { return (0, Step::More) };
        let mut at = 0;
        let segment = segment.filter(|_| *gap);
        *line_start |= segment == Some(0);
        loop {
            if !*line_start {
                self.began = None;
                let line = memchr::memchr(b'\n', &input[at..]).map(|end| at + end + 1);
                match [line, segment.filter(|&start| start > at)].into_iter().flatten().min() {
                    Some(next) => at = next,
                    None => return passed(input.len()),
                }
                *line_start = true;
            }
            let rest = &input[at..];
            if rest.is_empty() {
                return passed(at);
            }
            match first_line(self.from_client, rest) {
                Found::Line(start, line) if !self.from_client || head::is_usual_method(rest) => {
                    match head::length_of_found(rest, line) {
                        Some(Some(length)) => {
                            if at > 0 {
                                // The bytes before it first; it is found again at once.
                                return passed(at);
                            }
                            let began = self.began.take().unwrap_or(now);
                            self.spoke = true;
                            self.state = State::Head { seen: 0 };
                            return (length, Step::Head(Head { start, length, line, began }));
                        }
                        Some(None) if rest.len() <= MAX_FOUND_HEAD => return self.wait(at, now),
                        _ => *line_start = false,
                    }
                }
                Found::More
                    if rest.len() <= MAX_FOUND_HEAD
                        && (!self.from_client || rest[0] == 0x16 || head::is_usual_method(rest)) =>
                {
                    return self.wait(at, now);
                }
                // The client's first flight or none: in the middle of anything else these are any bytes.
                Found::Opaque if at == 0 && !self.spoke => return (0, Step::Opaque),
                _ => *line_start = false,
            }
        }
    }

    fn wait(&mut self, at: usize, now: Moment) -> (usize, Step) {
        if at > 0 {
            self.began = Some(now);
            return passed(at);
        }
        self.began.get_or_insert(now);
        (0, Step::More)
    }

    /// The head that was read last has a body framed so.
    pub(super) fn body(&mut self, framing: Framing) {
        self.state = State::Body(BodyDecoder::new(framing));
    }

    /// The message boundaries are lost.
    pub(super) fn lose(&mut self, how: Loss) {
        self.began = None;
        self.state = match self.state {
            State::Opaque => State::Opaque,
            State::Ended => State::Ended,
            State::Body(_) if self.opaque_next => State::Opaque,
            State::Held { .. } => State::Held { torn: true },
            _ if self.from_client && self.sure && matches!(how, Loss::Framing | Loss::Coding) => State::Opaque,
            _ => State::Lost { line_start: matches!(how, Loss::Gap | Loss::Framing), gap: how == Loss::Gap },
        };
        self.sure = false;
    }

    /// Waits for the answer to CONNECT.
    pub(super) fn hold(&mut self) {
        self.state = State::Held { torn: false };
    }

    /// Reads on: it was no tunnel. Gives whether it waited.
    pub(super) fn release(&mut self) -> bool {
        let State::Held { torn } = self.state else { return false };
        self.state = if torn { State::Lost { line_start: true, gap: true } } else { State::Head { seen: 0 } };
        true
    }

    /// What comes is not HTTP/1, from the end of the message on.
    pub(super) fn opaque(&mut self) {
        match self.state {
            State::Body(_) => self.opaque_next = true,
            State::Ended => {}
            _ => self.state = State::Opaque,
        }
    }

    /// Bytes are missing; zero: nobody knows how many.
    pub(super) fn gap(&mut self, missing: u64) -> Missed {
        match &mut self.state {
            State::Body(decoder) => {
                let counted = decoder.skip(missing);
                Missed { counted, lost: counted < missing || missing == 0 && !decoder.ends_with_connection() }
            }
            State::Opaque | State::Ended => Missed { counted: 0, lost: false },
            _ => Missed { counted: 0, lost: true },
        }
    }

    /// The direction's end. Gives whether a body ends well by it.
    pub(super) fn end(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Body(mut decoder) => decoder.finish().is_ok(),
            _ => false,
        }
    }

    /// Whether others may see the message that has ended last end elsewhere.
    pub(super) fn ended_ambiguously(&self) -> bool {
        self.ended_ambiguously
    }

    /// Whether a CONNECT waits for its answer.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Whether it knows where it stands.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost { .. })
    }

    /// Whether a message was ever read.
    pub(super) fn spoke(&self) -> bool {
        self.spoke
    }

    /// Whether it is between two messages, or lost.
    pub(super) fn is_idle(&self) -> bool {
        self.began.is_none() && !matches!(self.state, State::Body(_))
    }

    /// When the head that is not whole yet began.
    pub(super) fn head_began(&self) -> Option<Duration> {
        self.began.filter(|_| matches!(self.state, State::Head { .. })).map(|moment| moment.at)
    }

    /// Whether bytes that are fed to it now are a tunnel's or nobody's.
    pub(super) fn is_opaque(&self) -> bool {
        matches!(self.state, State::Opaque | State::Ended)
    }
}

fn passed(n: usize) -> (usize, Step) {
    if n == 0 { (0, Step::More) } else { (n, Step::Passed(n)) }
}

fn first_line(from_client: bool, input: &[u8]) -> Found {
    if from_client { head::request_line(input) } else { head::status_line(input) }
}
