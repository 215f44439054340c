//! Starts a program and ends it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::CommandLine;

/// How long a program may take to end by itself once its stdin has: it may have something to write down.
const END: Duration = Duration::from_secs(2);

/// How long after SIGTERM; then it is killed.
const TERMINATE: Duration = Duration::from_secs(1);

/// The longest that [`end`] takes, with what is read after it.
pub(crate) const LONGEST_END: Duration = Duration::from_millis(3500);

/// Starts a program with pipes to and from it, as the leader of a process group of its own: a Ctrl-C at the terminal is for us, and what we have
/// under way still goes through it. The environment is ours. Must be called within the runtime that is to look after it.
///
/// # Errors
/// What the system says.
pub(super) fn start(command: &CommandLine) -> io::Result<Child> {
    let (reply, started) = channel();
    SPAWNER.send(Order { command: command.clone(), runtime: Handle::current(), done: Done::Now(reply) });
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts programs has ended")))
}

/// The same without blocking the runtime.
pub(super) async fn start_again(command: &CommandLine) -> io::Result<Child> {
    let (reply, started) = oneshot::channel();
    SPAWNER.send(Order { command: command.clone(), runtime: Handle::current(), done: Done::Later(reply) });
    started.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts programs has ended")))
}

/// Has a program end whose stdin is closed, and all that it has left behind in its group.
pub(super) async fn end(child: &mut Child, group: Option<Pid>) {
    if timeout(END, child.wait()).await.is_err() {
        signal(group, Signal::TERM);
        if timeout(TERMINATE, child.wait()).await.is_err() {
            signal(group, Signal::KILL);
            let _ = child.wait().await;
        }
    }
    signal(group, Signal::KILL);
}

/// The group that a program leads.
pub(super) fn group(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
}

/// Signals all of a group, if there is one left. Its number is not given to others while one of it is left; in the moment after the last one ended
/// it would have to be given to a new one by a counter that has gone once around.
fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}

/// The one thread that starts programs, for as long as the process lives: the kernel copies all page tables for a new process, for which no other
/// thread has time. It is started with the first program, when privileges have been given up.
static SPAWNER: LazyLock<Spawner> = LazyLock::new(Spawner::new);

struct Spawner(Mutex<Sender<Order>>);

struct Order {
    command: CommandLine,
    runtime: Handle,
    done: Done,
}

enum Done {
    Now(Sender<io::Result<Child>>),
    Later(oneshot::Sender<io::Result<Child>>),
}

impl Spawner {
    fn new() -> Spawner {
        let (sender, orders) = channel();
        let thread = std::thread::Builder::new().name("mirror-spawner".into());
        if let Err(error) = thread.spawn(move || serve(&orders)) {
            tracing::error!(%error, "there is no thread to start programs");
        }
        Spawner(Mutex::new(sender))
    }

    fn send(&self, order: Order) {
        // Without the thread the order is dropped, and with it the sender of its reply.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(order);
    }
}

fn serve(orders: &Receiver<Order>) {
    for Order { command, runtime, done } in orders {
        let child = {
            let _in_runtime = runtime.enter();
            spawn(&command)
        };
        // Whoever asked may be gone; the program is killed then.
        match done {
            Done::Now(reply) => drop(reply.send(child)),
            Done::Later(reply) => drop(reply.send(child)),
        }
    }
}

fn spawn(command: &CommandLine) -> io::Result<Child> {
    let mut program = std::process::Command::new(command.program());
    program.args(command.arguments());
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program.process_group(0);
    // Where we are killed, the end of its stdin tells it. A signal then (PR_SET_PDEATHSIG) would come while it ends its own processes because of
    // that, and have it leave them behind.
    let mut program = Command::from(program);
    program.kill_on_drop(true).spawn()
}
