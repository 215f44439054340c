use super::super::line::{Meta, push_hex};
use super::*;
use crate::telemetry::Telemetry;

const TIMEOUT: Duration = Duration::from_secs(1);

/// A program and its clock.
struct Program {
    in_flight: InFlight,
    now: Instant,
    metrics: MiddlewareMetrics,
}

impl Program {
    fn with(queue: usize, queue_bytes: usize, in_flight: usize) -> Program {
        let (metrics, now) = (Telemetry::new().middleware("test"), Instant::now());
        let bounds = Bounds { queue, queue_bytes, in_flight, timeout: TIMEOUT };
        Program { in_flight: InFlight::new(bounds, metrics.clone(), now), now, metrics }
    }

    fn new() -> Program {
        Program::with(100, 10_000, 100)
    }

    /// A message `GET /ID`, of the time `at`.
    fn take(&mut self, kind: Kind, id: u128, at: u64) -> oneshot::Receiver<Reply> {
        let meta = Meta { kind, id: MessageId::of(id), at, took: 0 };
        let message = Message { meta, head: format!("GET /{id} HTTP/1.1\r\n\r\n").into(), body: Bytes::new() };
        self.in_flight.take(message, self.now)
    }

    fn request(&mut self, id: u128) -> oneshot::Receiver<Reply> {
        self.take(Kind::Request, id, 5)
    }

    /// Gives it all that waits, and says how many bytes that were in all.
    fn give_all(&mut self) -> u64 {
        while self.in_flight.next_line().is_some() {}
        self.in_flight.given
    }

    fn print(&mut self, kind: u8, id: u128, at: u64, payload: &str) -> Result<(), BadLine> {
        let mut line = Vec::new();
        push_hex(&mut line, format!("{kind} {} {at} 0\n{payload}", MessageId::of(id)).as_bytes());
        self.in_flight.printed(&line, self.now)
    }

    fn echo(&mut self, id: u128) -> Result<(), BadLine> {
        self.print(1, id, 5, &format!("GET /{id} HTTP/1.1\r\n\r\n"))
    }

    /// So much later, with so many bytes read.
    fn later(&mut self, after: Duration, read: u64) -> u64 {
        self.now += after;
        self.in_flight.tick(read, self.now)
    }

    fn counted(&self, outcome: Screening) -> u64 {
        self.metrics.messages.counts().find(|(number, _)| *number == outcome as usize).map_or(0, |(_, count)| count)
    }
}

#[test]
fn what_is_printed_is_matched_by_kind_and_id_in_any_order() {
    let mut program = Program::new();
    let [mut one, mut two] = [program.request(1), program.request(2)];
    let mut response = program.take(Kind::Response, 1, 9);
    program.give_all();
    assert_eq!(program.echo(2), Ok(()));
    assert_eq!(program.print(1, 1, 5, "GET /other HTTP/1.1\r\n\r\n"), Ok(()));
    assert_eq!(two.try_recv(), Ok(Reply::Unchanged));
    assert_eq!(one.try_recv(), Ok(Reply::Changed("GET /other HTTP/1.1\r\n\r\n".into())));
    assert!(response.try_recv().is_err());
    assert_eq!(program.print(2, 1, 9, "x"), Ok(()));
    assert_eq!(response.try_recv(), Ok(Reply::Changed("x".into())));
    assert!(program.in_flight.pending.is_empty() && program.in_flight.numbers.is_empty());
    assert_eq!((program.counted(Screening::Unchanged), program.metrics.messages.total()), (1, 1));
}

#[test]
fn lines_that_nobody_waits_for_are_told() {
    let mut program = Program::new();
    let mut one = program.request(1);
    assert_eq!(program.echo(1), Err(BadLine::Unmatched), "it has not been given that");
    program.give_all();
    assert_eq!(program.echo(2), Err(BadLine::Unmatched));
    assert_eq!(program.print(2, 1, 5, "x"), Err(BadLine::Unmatched));
    assert_eq!(program.in_flight.printed(b"hello", program.now), Err(BadLine::Malformed));
    assert!(one.try_recv().is_err());
    assert_eq!(program.echo(1), Ok(()));
    assert_eq!(program.echo(1), Err(BadLine::Unmatched), "twice");
    assert_eq!(one.try_recv(), Ok(Reply::Unchanged));
    assert_eq!(program.metrics.bad_lines.total(), 5);
}

#[test]
fn answers_of_several_targets_are_told_apart_by_their_times() {
    let mut program = Program::new();
    let mut answers = [7, 7, 9].map(|at| program.take(Kind::Answer, 1, at));
    program.give_all();
    // The second of the same time was given the next one.
    for (at, payload) in [(9, "third"), (8, "second"), (7, "first")] {
        assert_eq!(program.print(3, 1, at, payload), Ok(()));
    }
    let told = answers.each_mut().map(|answer| answer.try_recv().unwrap());
    assert_eq!(told, ["first", "second", "third"].map(|payload| Reply::Changed(payload.into())));
    // A program that writes times of its own is taken to keep the order.
    let mut answers = [7, 8].map(|at| program.take(Kind::Answer, 1, at));
    program.give_all();
    for payload in ["a", "b"] {
        assert_eq!(program.print(3, 1, 0, payload), Ok(()));
    }
    let told = answers.each_mut().map(|answer| answer.try_recv().unwrap());
    assert_eq!(told, ["a", "b"].map(|payload| Reply::Changed(payload.into())));
}

#[test]
fn what_was_read_and_not_printed_is_filtered() {
    let mut program = Program::new();
    let (mut filtered, mut printed) = (program.request(1), program.request(2));
    let read = program.give_all();
    program.echo(2).unwrap();
    assert_eq!((program.later(TIMEOUT / 4, read), program.later(TIMEOUT / 2, read)), (0, 0));
    assert!(filtered.try_recv().is_err(), "its time runs from when it was read");
    assert_eq!(program.later(TIMEOUT / 2, read), 0);
    assert_eq!((filtered.try_recv(), printed.try_recv()), (Ok(Reply::Filtered), Ok(Reply::Unchanged)));
    assert_eq!(program.echo(1), Err(BadLine::Unmatched), "too late");
    // One alone, with nothing before or behind it.
    let mut alone = program.request(3);
    let read = program.give_all();
    program.later(TIMEOUT / 4, read);
    program.later(TIMEOUT, read);
    assert_eq!(alone.try_recv(), Ok(Reply::Filtered));
    assert_eq!(program.counted(Screening::Filtered), 2);
}

#[test]
fn where_nothing_moves_all_has_failed() {
    let mut program = Program::new();
    let mut one = program.request(1);
    let read = program.give_all();
    let [mut two, mut three] = [program.request(2), program.request(3)];
    program.give_all();
    let mut four = program.request(4);
    // It hangs over the first, with a bit of the second read.
    let failed: u64 = (0..7).map(|_| program.later(TIMEOUT / 4, read + 10)).sum();
    assert_eq!((failed, program.counted(Screening::Stalled)), (4, 4));
    for it in [&mut one, &mut two, &mut three, &mut four] {
        assert_eq!(it.try_recv(), Ok(Reply::Failed));
    }
}

#[test]
fn a_program_that_is_slow_but_gets_on_is_waited_for() {
    let mut program = Program::new();
    let mut all: Vec<_> = (0..20).map(|id| program.request(id)).collect();
    let each = program.give_all() / 20;
    let mut late = program.request(20);
    // One each half of the timeout, the third of which it passes over.
    for id in 0..20 {
        assert_eq!(program.later(TIMEOUT / 2, (id + 1) * each), 0);
        if id != 2 {
            program.echo(id.into()).unwrap();
        }
    }
    let told: Vec<_> = all.iter_mut().map(|it| it.try_recv().unwrap()).collect();
    assert!(told.iter().enumerate().all(|(id, it)| *it == if id == 2 { Reply::Filtered } else { Reply::Unchanged }));
    assert!(late.try_recv().is_err(), "it waits");
}

#[test]
fn when_a_program_ends_what_it_was_given_has_failed_and_the_rest_is_for_the_next() {
    let mut program = Program::new();
    let mut one = program.request(1);
    program.give_all();
    let mut two = program.request(2);
    assert_eq!(program.in_flight.ended(program.now + TIMEOUT / 2), 1);
    assert_eq!(one.try_recv(), Ok(Reply::Failed));
    let mut three = program.request(3);
    assert!(two.try_recv().is_err());
    program.in_flight.started(program.now);
    program.give_all();
    program.echo(2).unwrap();
    program.echo(3).unwrap();
    assert_eq!((two.try_recv(), three.try_recv()), (Ok(Reply::Unchanged), Ok(Reply::Unchanged)));
    assert_eq!(program.echo(1), Err(BadLine::Unmatched));
    assert_eq!(program.counted(Screening::Exited), 1);
}

#[test]
fn while_no_program_comes_in_time_messages_fail_at_once() {
    let mut program = Program::new();
    program.in_flight.ended(program.now + 2 * TIMEOUT);
    let mut one = program.request(1);
    assert_eq!(one.try_recv(), Ok(Reply::Failed));
    program.now += TIMEOUT;
    let mut two = program.request(2);
    assert!(two.try_recv().is_err(), "the next one may come in time");
    program.later(TIMEOUT, 0);
    assert_eq!(two.try_recv(), Ok(Reply::Failed));
    assert_eq!(program.counted(Screening::Down), 2);
}

#[test]
fn bounds_fail_what_is_too_much() {
    let mut program = Program::with(3, 10_000, 2);
    let mut first = [1, 2, 3].map(|id| program.request(id));
    assert_eq!((program.request(4).try_recv(), program.in_flight.level(0)), (Ok(Reply::Failed), 1.0));
    program.give_all();
    assert!(program.in_flight.level(1) < 1.0, "it has two, and one waits");
    let mut more = [4, 5].map(|id| program.request(id));
    assert_eq!(program.request(6).try_recv(), Ok(Reply::Failed));
    program.echo(1).unwrap();
    program.give_all();
    program.echo(3).unwrap();
    assert!(first.iter_mut().enumerate().all(|(i, it)| it.try_recv().is_ok() == (i != 1)));
    assert!(more.iter_mut().all(|it| it.try_recv().is_err()));
    assert_eq!(program.counted(Screening::Full), 2);

    let mut program = Program::with(100, 50, 100);
    let mut few = [1, 2].map(|id| program.request(id));
    assert_eq!(program.request(3).try_recv(), Ok(Reply::Failed));
    program.give_all();
    assert!(program.request(3).try_recv().is_err());
    assert!(few.iter_mut().all(|it| it.try_recv().is_err()));
    assert_eq!((program.metrics.in_flight.get(), program.metrics.waiting_bytes.get()), (3, 19));
    drop(program.in_flight);
    assert_eq!((program.metrics.in_flight.get(), program.metrics.waiting_bytes.get()), (0, 0));
    assert_eq!(few.map(|mut it| it.try_recv()), [Ok(Reply::Failed), Ok(Reply::Failed)]);
}

#[test]
fn a_program_that_filters_most_gets_on_without_the_timeout() {
    let mut program = Program::with(100, 10_000, 2);
    let mut all: Vec<_> = (0..6).map(|id| program.request(id)).collect();
    program.give_all();
    program.echo(1).unwrap();
    // What comes before the one that it printed makes room, one for each that it is given.
    program.give_all();
    assert_eq!(all[0].try_recv(), Ok(Reply::Filtered));
    assert_eq!(program.echo(2), Ok(()));
    program.give_all();
    program.echo(3).unwrap();
    program.give_all();
    assert_eq!((program.counted(Screening::Filtered), program.counted(Screening::Unchanged)), (1, 3));
    program.echo(5).unwrap();
    assert_eq!(program.counted(Screening::Unchanged), 4);
    assert!(all[4].try_recv().is_err(), "nothing more is to be given");
}
