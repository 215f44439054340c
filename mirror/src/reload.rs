//! From one configuration to the next: which sinks stay, which begin, which end, and what is said of it.
//!
//! A sink stays where nothing changed but what stands before it (its stages, its fraction): its queue, its connections and its file are as they were.
//! Otherwise another one takes its place, under the same name and with the same counters, and the one before finishes what it has, as do those that are
//! gone. (Of a session that is kept in order, copies from before may then meet later ones at the target.) Stages stay where their settings did, with what
//! they know: a rate limit that did not change does not grant its burst again.

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Fraction, RecordConfig, ShadowConfig, StageConfig, differing};
use crate::engine::EngineError;
use crate::generation::Generation;
use crate::pipeline::Pipeline;
use crate::queue::{ExchangeStream, Queue, queue};
use crate::sink::{Plan, Planner, RECORD, Run, SinkSlot};

/// One thing that a reload changed, or did not though it might seem so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// A sink, as `shadow staging`, or a key.
    pub place: String,
    /// What is new there.
    pub what: String,
}

impl Change {
    /// This is new there.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Change {
        Change { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What exchanges meet now, and the configuration that it was made of.
pub(crate) struct Before<'a> {
    pub(crate) config: &'a Config,
    pub(crate) generation: &'a Generation,
}

/// What they are to meet next.
pub(crate) struct Next {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) sinks: Vec<SinkSlot>,
    pub(crate) queues: Vec<Queue>,
    /// The sinks among them that have yet to begin, by their numbers.
    pub(crate) beginning: Vec<(usize, ExchangeStream, Run)>,
    pub(crate) changes: Vec<Change>,
}

/// A sink as configured.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// With its place in the list.
    Shadow(usize, &'a ShadowConfig),
    /// The same.
    Record(usize, &'a RecordConfig),
}

impl Next {
    /// The stages and sinks that a configuration asks for; those that can stay do. Must be called within the engine's runtime.
    ///
    /// # Errors
    /// When a recording cannot be opened, or a stage not be built. Nothing has begun then.
    pub(crate) fn of(before: Option<&Before<'_>>, planner: &Planner<'_>) -> Result<Next, EngineError> {
        let config = planner.config;
        let wanted = Wanted::all(config);
        // A marker is in the sinks too.
        let marked_anew = before.is_some_and(|before| before.config.marker != config.marker);
        // What can fail, and of that last what leaves something behind: a recording has a file, targets have metrics.
        let pipeline = pipeline(before, planner)?;
        let found = wanted.iter().map(|wanted| {
            let old = before.and_then(|before| before.find(&wanted.name()));
            Ok((*wanted, wanted.stages(old.as_ref(), planner)?, old))
        });
        let found = found.collect::<Result<Vec<_>, EngineError>>()?;
        let fates = found.into_iter().rev().map(|(wanted, stages, old)| {
            Ok((wanted, stages.clone(), Fate::of(wanted, stages, old, marked_anew, planner)?))
        });
        let fates = fates.collect::<Result<Vec<_>, EngineError>>()?;
        let mut next = Next {
            pipeline,
            sinks: Vec::with_capacity(wanted.len()),
            queues: Vec::with_capacity(wanted.len()),
            beginning: Vec::new(),
            changes: Vec::new(),
        };
        if let Some(before) = before {
            next.tell_of_stages(before.config, config);
        }
        for (wanted, stages, fate) in fates.into_iter().rev() {
            next.add(wanted, stages, fate, config);
        }
        for gone in before.map_or_else(Vec::new, |before| Wanted::all(before.config)) {
            if !wanted.iter().any(|wanted| wanted.name() == gone.name()) {
                next.tell(gone, "removed; it finishes what it has");
            }
        }
        Ok(next)
    }

    fn add(&mut self, wanted: Wanted<'_>, stages: Arc<Pipeline>, fate: Fate<'_>, config: &Config) {
        let (mut slot, queue, old) = match fate {
            Fate::Stays(old) => (old.slot.clone(), old.queue.clone(), Some(old)),
            Fate::Begins(plan, replaced) => {
                let Plan { slot, run } = *plan;
                self.tell(wanted, wanted.begins(replaced.as_ref().map(|(_, keys)| keys.join(", "))));
                let (sender, stream) = queue(slot.queue);
                self.beginning.push((self.sinks.len(), stream, run));
                (slot, sender, replaced.map(|(old, _)| old))
            }
        };
        slot.stand_behind(stages);
        slot.fraction = wanted.fraction(config);
        if let Some(old) = old {
            self.succeed(&mut slot, wanted, &old);
        }
        self.sinks.push(slot);
        self.queues.push(queue);
    }

    /// A sink of this name was there: what is kept of what was set while it ran.
    fn succeed(&mut self, slot: &mut SinkSlot, wanted: Wanted<'_>, old: &Old<'_>) {
        if wanted.pipeline() != old.wanted.pipeline() {
            self.tell(wanted, "its pipeline is another");
        }
        let (now, configured) = (old.slot.fraction, slot.fraction);
        let set = now != old.fraction;
        if set && configured == old.fraction {
            slot.fraction = now;
            self.tell(wanted, format!("still {now}, as set while it ran; {configured} from its next start on"));
        } else if set {
            self.tell(wanted, format!("fraction {configured}, in place of {now}, which was set while it ran"));
        } else if now != configured {
            self.tell(wanted, format!("fraction {configured}, in place of {now}"));
        }
        slot.paused = old.slot.paused;
        if slot.paused {
            self.tell(wanted, "still paused");
        }
    }

    fn tell_of_stages(&mut self, before: &Config, config: &Config) {
        if before.marker != config.marker {
            self.changes.push(Change::new("marker", config.marker.to_string()));
        }
        if before.pipeline != config.pipeline {
            self.changes.push(Change::new("pipeline", "another"));
        }
    }

    fn tell(&mut self, sink: Wanted<'_>, what: impl Into<String>) {
        self.changes.push(Change::new(sink.place(), what));
    }
}

/// The stages before the fan-out: those that are there, where they would be made the same again.
fn pipeline(before: Option<&Before<'_>>, planner: &Planner<'_>) -> Result<Arc<Pipeline>, EngineError> {
    let config = planner.config;
    // A split knows targets by their numbers.
    let splits = config.pipeline.iter().any(|stage| matches!(stage, StageConfig::Split(_)));
    let names = |config: &Config| config.shadow.iter().map(ShadowConfig::label).collect::<Vec<_>>();
    let same = |before: &&Before<'_>| {
        let before = before.config;
        before.marker == config.marker
            && before.pipeline == config.pipeline
            && (!splits || names(before) == names(config))
    };
    match before.filter(same) {
        Some(before) => Ok(before.generation.pipeline.clone()),
        None => Pipeline::new(config, planner.programs, planner.telemetry).map(Arc::new),
    }
}

/// What becomes of a sink that is wanted.
enum Fate<'a> {
    /// The one that is there is as it should be.
    Stays(Old<'a>),
    /// It begins; in place of another, where these keys differ.
    Begins(Box<Plan>, Option<(Old<'a>, Vec<String>)>),
}

impl<'a> Fate<'a> {
    fn of(
        wanted: Wanted<'_>,
        stages: Arc<Pipeline>,
        old: Option<Old<'a>>,
        marked_anew: bool,
        planner: &Planner<'_>,
    ) -> Result<Fate<'a>, EngineError> {
        let Some(old) = old else {
            return Ok(Fate::Begins(Box::new(wanted.plan(stages, planner)?), None));
        };
        let keys = wanted.differs(old.wanted, marked_anew);
        match keys.is_empty() {
            true => Ok(Fate::Stays(old)),
            false => Ok(Fate::Begins(Box::new(wanted.plan(stages, planner)?), Some((old, keys)))),
        }
    }
}

/// A sink that is there.
struct Old<'a> {
    wanted: Wanted<'a>,
    /// The fraction that was configured.
    fraction: Fraction,
    slot: &'a SinkSlot,
    queue: &'a Queue,
}

impl<'a> Before<'a> {
    fn find(&self, name: &str) -> Option<Old<'a>> {
        let wanted = Wanted::all(self.config);
        let number = wanted.iter().position(|wanted| wanted.name() == name)?;
        let Generation { sinks, queues, .. } = self.generation;
        let fraction = wanted[number].fraction(self.config);
        Some(Old { wanted: wanted[number], fraction, slot: sinks.get(number)?, queue: queues.get(number)? })
    }
}

impl<'a> Wanted<'a> {
    /// All of a configuration, in the order of their numbers: the targets come first.
    pub(crate) fn all(config: &'a Config) -> Vec<Wanted<'a>> {
        let shadows = config.shadow.iter().enumerate().map(|(i, shadow)| Wanted::Shadow(i, shadow));
        shadows.chain(config.record.iter().enumerate().map(|(i, record)| Wanted::Record(i, record))).collect()
    }

    pub(crate) fn name(self) -> String {
        match self {
            Wanted::Shadow(_, shadow) => shadow.label(),
            Wanted::Record(_, record) => record.label().to_owned(),
        }
    }

    /// Where its exchanges go.
    pub(crate) fn to(self) -> String {
        match self {
            Wanted::Shadow(_, shadow) => shadow.target.to_string(),
            Wanted::Record(_, record) => record.path.display().to_string(),
        }
    }

    fn place(self) -> String {
        match self {
            Wanted::Shadow(_, shadow) => format!("shadow {}", shadow.label()),
            Wanted::Record(_, record) if record.label() == RECORD => RECORD.to_owned(),
            Wanted::Record(_, record) => format!("{RECORD} {}", record.label()),
        }
    }

    /// What is told of its beginning; `in_place` names the keys for whose sake it takes another's place.
    fn begins(self, in_place: Option<String>) -> String {
        match (self, in_place) {
            (Wanted::Shadow(..), None) => "added".to_owned(),
            (Wanted::Record(..), None) => format!("to {}", self.to()),
            (Wanted::Shadow(..), Some(keys)) => format!("begins anew ({keys}); the one before finishes what it has"),
            (Wanted::Record(..), Some(_)) => {
                format!("to {} from now on; the one before finishes what it has", self.to())
            }
        }
    }

    pub(crate) fn fraction(self, config: &Config) -> Fraction {
        let own = match self {
            Wanted::Shadow(_, shadow) => shadow.fraction,
            Wanted::Record(_, record) => record.fraction,
        };
        own.unwrap_or(config.fraction)
    }

    fn pipeline(self) -> &'a [StageConfig] {
        match self {
            Wanted::Shadow(_, shadow) => &shadow.pipeline,
            Wanted::Record(_, record) => &record.pipeline,
        }
    }

    /// The keys for whose sake another sink takes the place of the one before; none where that one can stay.
    fn differs(self, before: Wanted<'_>, marked_anew: bool) -> Vec<String> {
        match (self, before) {
            (Wanted::Shadow(_, after), Wanted::Shadow(_, before)) => {
                let mut keys = differing(before, after);
                keys.retain(|key| key != "fraction" && key != "pipeline");
                keys.extend(marked_anew.then(|| "marker".to_owned()));
                keys
            }
            // What else differs of a recording in the same file waits for the next start: see `Config::reloaded`.
            (Wanted::Record(_, after), Wanted::Record(_, before)) if after.path == before.path => Vec::new(),
            (Wanted::Record(..), Wanted::Record(..)) => vec!["path".to_owned()],
            _ => vec!["kind".to_owned()],
        }
    }

    /// The stages before it: those that are there, where they would be made the same again.
    fn stages(self, old: Option<&Old<'_>>, planner: &Planner<'_>) -> Result<Arc<Pipeline>, EngineError> {
        if let Some(old) = old
            && old.wanted.pipeline() == self.pipeline()
        {
            return Ok(old.slot.pipeline.clone());
        }
        let key = match self {
            Wanted::Shadow(i, _) => format!("shadow[{i}].pipeline"),
            Wanted::Record(..) if planner.config.record.len() == 1 => "record.pipeline".to_owned(),
            Wanted::Record(i, _) => format!("record[{i}].pipeline"),
        };
        let stages = Pipeline::of_sink(self.pipeline(), &self.name(), &key, planner.programs, planner.telemetry);
        stages.map(Arc::new)
    }

    fn plan(self, stages: Arc<Pipeline>, planner: &Planner<'_>) -> Result<Plan, EngineError> {
        match self {
            Wanted::Shadow(_, shadow) => Ok(planner.shadow(shadow, stages)),
            Wanted::Record(_, record) => Ok(planner.recorder(record, stages)?),
        }
    }
}
