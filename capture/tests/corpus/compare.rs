//! Where what was told differs from the oracle.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::observed::{Observed, Told};
use crate::oracle::{Grade, Message, Oracle};

/// How many differences of one file are told.
const SHOWN: usize = 4;

/// Each difference in a few words.
pub(crate) fn differences(oracle: &Oracle, observed: &Observed) -> Vec<String> {
    if oracle.grade == Grade::Lenient {
        return Vec::new();
    }
    let more = oracle.grade == Grade::AtLeast;
    let mut all = lists("request", &oracle.requests, &observed.requests, more);
    all.extend(lists("response", &oracle.responses, &observed.responses, more));
    all.extend(past_gaps(oracle, observed));
    if oracle.grade == Grade::Strict {
        all.extend(pairs(oracle, observed));
    }
    if all.len() > SHOWN {
        let rest = all.len() - SHOWN;
        all.truncate(SHOWN);
        all.push(format!("and {rest} others"));
    }
    all
}

/// Compares the messages of each direction of each pair of ends in their order; the order between connections is nobody's.
fn lists(kind: &str, expected: &[Message], told: &[Told], more: bool) -> Vec<String> {
    let mut directions = BTreeMap::<(SocketAddr, SocketAddr), (Vec<&Message>, Vec<&Told>)>::new();
    for message in expected {
        directions.entry((message.from, message.to)).or_default().0.push(message);
    }
    for one in told {
        directions.entry((one.message.from, one.message.to)).or_default().1.push(one);
    }
    let mut differences = Vec::new();
    for (expected, told) in directions.values() {
        let mut told = told.iter().peekable();
        for message in expected {
            let found = told.clone().position(|told| is_head_of(message, told));
            match found {
                // What comes before it is nothing the oracle has.
                Some(extra) => {
                    let extra =
                        told.by_ref().take(extra).map(|told| format!("{kind} {:?} too much", told.message.start));
                    differences.extend(extra.filter(|_| !more));
                    differences.extend(told.next().and_then(|told| difference(kind, message, told)));
                }
                None => differences.push(format!("{kind} {:?} missing", message.start)),
            }
        }
        differences.extend(told.filter(|_| !more).map(|told| format!("{kind} {:?} too much", told.message.start)));
    }
    differences
}

/// What lies behind a gap and is not told.
fn past_gaps(oracle: &Oracle, observed: &Observed) -> Vec<String> {
    let told = |message: &&Message| {
        let mut all = observed.requests.iter().chain(&observed.responses);
        all.any(|told| is_head_of(message, told) && message.from == told.message.from && message.to == told.message.to)
    };
    let missing = oracle.past_gaps.iter().filter(|message| !told(message));
    missing.map(|message| format!("{:?} missing past a gap", message.start)).collect()
}

/// Responses that are told as the answer to another request, or to none.
fn pairs(oracle: &Oracle, observed: &Observed) -> Vec<String> {
    let mut differences = Vec::new();
    for told in &observed.responses {
        let same = |message: &Message| is_head_of(message, told) && message.from == told.message.from;
        let answers = told.answers.map(|at| &observed.requests[at]);
        let right = |request: &Option<Message>| match (request, answers) {
            (Some(request), Some(answers)) => is_head_of(request, answers),
            (None, None) => true,
            _ => false,
        };
        if !oracle.pairs.iter().any(|(request, response)| same(response) && right(request)) {
            differences.push(format!("response {:?} is told to answer another request", told.message.start));
        }
    }
    differences
}

fn is_head_of(message: &Message, told: &Told) -> bool {
    (&message.start, message.first) == (&told.message.start, told.message.first)
}

fn difference(kind: &str, expected: &Message, told: &Told) -> Option<String> {
    let start = &expected.start;
    if expected.headers != told.message.headers {
        let (left, right) = (expected.headers.iter(), told.message.headers.iter());
        let first = left.zip(right).find(|(left, right)| left != right);
        return Some(format!("{kind} {start:?}: header lines, the first that differs {first:?}"));
    }
    if told.orphan {
        return None;
    }
    let body = told.body();
    if expected.body != body || told.lost > 0 {
        let (length, told_length, lost) = (expected.body.0, body.0, told.lost);
        return Some(format!(
            "{kind} {start:?}: body of {length} bytes, told are {told_length}, these or others; lost {lost}"
        ));
    }
    if !told.whole {
        let why = told.aborted.map_or("never", |why| why.label());
        return Some(format!("{kind} {start:?}: end not told: {why}"));
    }
    if expected.last != told.message.last {
        let (late, early) =
            (told.message.last.saturating_sub(expected.last), expected.last.saturating_sub(told.message.last));
        return Some(format!("{kind} {start:?}: ends {late:?} late, {early:?} early"));
    }
    None
}
