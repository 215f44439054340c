//! One program and all that is with it: runs it, feeds it, listens to it, and starts it again when it has ended.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::in_flight::{Bounds, InFlight, Reply};
use super::line::{Lines, Message, Split, push_hex};
use super::seldom::Seldom;
use super::{process, stderr};
use crate::config::{CommandLine, MiddlewareConfig};
use crate::outcome::BadLine;
use crate::telemetry::MiddlewareMetrics;

/// A program that has run for so long is started again after the shortest pause.
const QUIET: Duration = Duration::from_secs(60);

/// How long what a program printed is read after it has ended: its pipes may have been given to others that live on.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a message may have beside a body of `max_body`: its head, and what the program adds.
const BESIDE_BODY: u64 = 1024 * 1024;

/// Lines are written when there is so much: what a pipe holds.
const WRITE: usize = 64 * 1024;

/// The clock is looked at so often within a timeout.
const TICKS: u32 = 4;

/// How often what goes wrong again and again is said.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How much of a line that is no message is shown.
const SHOWN: usize = 80;

/// One worker of a middleware.
pub(super) struct Worker {
    name: Arc<str>,
    config: MiddlewareConfig,
    metrics: MiddlewareMetrics,
    in_flight: Mutex<InFlight>,
    /// Something waits for the program.
    more: Notify,
    /// Bytes that were written to the program that runs, and its stdin, which tells how many of them it has not read.
    written: AtomicU64,
    stdin: Mutex<Option<OwnedFd>>,
}

/// Why a program is over.
#[derive(Debug)]
enum Over {
    /// It has ended.
    Exited,
    /// It has closed its stdout.
    Silent,
    /// It has closed its stdin.
    Deaf,
    /// We are to end.
    Asked,
}

impl Worker {
    pub(super) fn new(name: Arc<str>, config: &MiddlewareConfig, metrics: MiddlewareMetrics) -> Worker {
        let bounds = Bounds {
            queue: config.queue.get(),
            queue_bytes: usize::try_from(config.queue_bytes.bytes()).unwrap_or(usize::MAX),
            in_flight: config.in_flight.get(),
            timeout: config.timeout.0,
        };
        Worker {
            name,
            config: config.clone(),
            in_flight: Mutex::new(InFlight::new(bounds, metrics.clone(), Instant::now())),
            metrics,
            more: Notify::new(),
            written: AtomicU64::new(0),
            stdin: Mutex::new(None),
        }
    }

    pub(super) fn command(&self) -> &CommandLine {
        &self.config.command
    }

    /// Takes a message for the program; never waits.
    pub(super) fn take(&self, message: Message) -> oneshot::Receiver<Reply> {
        let reply = self.in_flight().take(message, Instant::now());
        self.more.notify_one();
        reply
    }

    /// How full its queue is, from 0 to 1, where so many more come.
    pub(super) fn level(&self, arriving: usize) -> f32 {
        self.in_flight().level(arriving)
    }

    /// Runs the program, and again where it ends, until it is told to end. What is with it then has failed.
    pub(super) async fn supervise(self: Arc<Self>, first: Child, mut ending: watch::Receiver<bool>) {
        tokio::select! {
            () = self.keep_running(first, &mut ending) => {}
            () = self.watch_clock() => {}
        }
        // Nothing will ever come.
        self.in_flight().close();
    }

    async fn keep_running(self: &Arc<Self>, first: Child, ending: &mut watch::Receiver<bool>) {
        let (mut child, restart) = (first, &self.config.restart);
        let mut pause = restart.min.0;
        loop {
            let began = Instant::now();
            self.in_flight().started(began);
            self.metrics.running.inc();
            let (over, status) = self.run(child, ending).await;
            self.metrics.running.dec();
            if matches!(over, Over::Asked) {
                return;
            }
            if began.elapsed() >= QUIET {
                pause = restart.min.0;
            }
            let failed = self.in_flight().ended(Instant::now() + pause);
            let status = status.map(|status| status.to_string());
            tracing::warn!(
                middleware = &*self.name, status, ?over, messages_failed = failed, again_in = ?pause,
                "the middleware has ended and is started again"
            );
            child = loop {
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = is_told(ending) => return,
                }
                pause = (2 * pause).min(restart.max.0);
                match process::start_again(self.command()).await {
                    Ok(child) => break child,
                    Err(error) => {
                        tracing::warn!(middleware = &*self.name, %error, again_in = ?pause, "the middleware does not start");
                        self.in_flight().ended(Instant::now() + pause);
                    }
                }
            };
            self.metrics.restarts.inc();
        }
    }

    /// Runs one program to its end.
    async fn run(self: &Arc<Self>, mut child: Child, ending: &mut watch::Receiver<bool>) -> (Over, Option<ExitStatus>) {
        let group = process::group(&child);
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("it was started with pipes")
        };
        self.written.store(0, SeqCst);
        *self.stdin() = stdin.as_fd().try_clone_to_owned().ok();
        let mut logging = tokio::spawn(stderr::log(stderr, self.name.clone(), self.metrics.suppressed.clone()));
        // Its end is waited for in several places, and told by the sender's.
        let (is_reading, mut silent) = watch::channel(());
        let worker = self.clone();
        let reading = tokio::spawn(async move {
            worker.read(stdout).await;
            drop(is_reading);
        });
        let over = tokio::select! {
            biased;
            _ = is_told(ending) => Over::Asked,
            _ = child.wait() => Over::Exited,
            _ = silent.changed() => Over::Silent,
            // With this goes its stdin.
            () = self.write(stdin) => Over::Deaf,
        };
        *self.stdin() = None;
        process::end(&mut child, group).await;
        let _ = timeout(LAST_WORDS, async {
            let _ = silent.changed().await;
            let _ = (&mut logging).await;
        })
        .await;
        reading.abort();
        logging.abort();
        (over, child.wait().await.ok())
    }

    /// Gives the program what waits for it, until it does not take it any more.
    async fn write(&self, mut stdin: ChildStdin) {
        let mut buffer = Vec::with_capacity(WRITE + 1);
        loop {
            loop {
                let line = self.in_flight().next_line();
                let Some(line) = line else { break };
                for piece in line.pieces() {
                    push_hex(&mut buffer, piece);
                    if buffer.len() >= WRITE / 2 && self.flush(&mut stdin, &mut buffer).await.is_err() {
                        return;
                    }
                }
                buffer.push(b'\n');
            }
            if self.flush(&mut stdin, &mut buffer).await.is_err() {
                return;
            }
            self.more.notified().await;
        }
    }

    async fn flush(&self, stdin: &mut ChildStdin, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let n = stdin.write(rest).await?;
            self.written.fetch_add(n as u64, SeqCst);
            rest = &rest[n..];
        }
        buffer.clear();
        Ok(())
    }

    /// Takes what the program prints, until it has closed its stdout.
    async fn read(&self, mut stdout: ChildStdout) {
        let longest = 2 * self.config.max_body.bytes().saturating_add(BESIDE_BODY);
        let mut lines = Lines::new(usize::try_from(longest).unwrap_or(usize::MAX));
        let mut unmatched = Seldom::new(SAY_EVERY);
        while stdout.read_buf(lines.buffer()).await.is_ok_and(|n| n > 0) {
            while let Some(Split { line, cut }) = lines.next() {
                self.printed(&line, cut, &mut unmatched);
            }
            // It may have made room.
            self.more.notify_one();
        }
        if let Some(line) = lines.last() {
            self.printed(&line, false, &mut unmatched);
        }
    }

    fn printed(&self, line: &[u8], cut: bool, wrong: &mut Seldom) {
        let now = Instant::now();
        let read = match cut {
            true => {
                self.metrics.bad_lines.inc(BadLine::TooLong as usize);
                Err(BadLine::TooLong)
            }
            false => self.in_flight().printed(line, now),
        };
        if let Err(why) = read
            && let Some(lines) = wrong.happened(1, now)
        {
            let line = line[..line.len().min(SHOWN)].escape_ascii();
            tracing::warn!(middleware = &*self.name, %why, lines, %line, "the middleware printed what is no answer");
        }
    }

    /// Gives up, in time, what the program does not print.
    async fn watch_clock(&self) {
        let mut ticks = interval((self.config.timeout.0 / TICKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stalled = Seldom::new(SAY_EVERY);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            // First what was written: of what comes between the two it seems not to have read as much as it has.
            let written = self.written.load(SeqCst);
            // Without a stdin it reads no more.
            let unread = self.stdin().as_ref().and_then(|stdin| rustix::io::ioctl_fionread(stdin).ok());
            let read = unread.map_or(0, |unread| written.saturating_sub(unread));
            let failed = self.in_flight().tick(read, now);
            self.more.notify_one();
            if let Some(messages) = stalled.happened(failed, now) {
                let timeout = self.config.timeout.0;
                tracing::warn!(
                    middleware = &*self.name,
                    messages,
                    ?timeout,
                    "the middleware did not get to messages in time"
                );
            }
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stdin(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when we are to end. Nobody left who could say so means the same.
async fn is_told(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|now| *now).await;
}
