//! Whole sources, read into a sink that counts.

mod live;
mod saved;

use super::*;

/// What a [`Counting`] sink saw.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Seen {
    packets: Vec<Seen1>,
    ticks: Vec<Duration>,
    end: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen1 {
    time: Duration,
    link: i32,
    data: Vec<u8>,
    length: u32,
}

#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Seen>>);

impl Counting {
    fn seen(&self) -> Seen {
        self.0.lock().expect("the sink").clone()
    }
}

impl Sink for Counting {
    fn packet(&mut self, packet: Packet<'_>) {
        let Packet { time, link, data, length } = packet;
        let mut seen = self.0.lock().expect("the sink");
        assert_eq!(seen.end, None, "nothing comes after the end");
        seen.packets.push(Seen1 { time, link: link.0, data: data.into(), length });
    }

    fn tick(&mut self, now: Duration) {
        self.0.lock().expect("the sink").ticks.push(now);
    }

    fn end(&mut self, now: Duration) {
        assert_eq!(self.0.lock().expect("the sink").end.replace(now), None, "it ends once");
    }
}

fn start(sources: &[SourceOptions]) -> Result<(Running, Counting), Vec<OpenError>> {
    let sink = Counting::default();
    let captures = Captures::open(sources, |_| true).map_err(told)?;
    let running = captures.start(|_| sink.clone()).expect("threads");
    Ok((running, sink))
}

fn error_of(sources: &[SourceOptions], reads: fn(LinkType) -> bool) -> String {
    let errors = told(Captures::open(sources, reads).err().expect("an error"));
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Without their places.
fn told(errors: Vec<(usize, OpenError)>) -> Vec<OpenError> {
    errors.into_iter().map(|(_, error)| error).collect()
}
