//! What a capture holds, by its oracle.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// How far an oracle can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// These messages and no others.
    Strict,
    /// These messages, and perhaps others.
    AtLeast,
    /// Nothing can be said but that reading comes to an end.
    Lenient,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// The first line, without the reason phrase of a response.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Its length and SHA-256, transfer coding removed.
    pub(crate) body: Body,
    /// When its first byte passed.
    pub(crate) first: Duration,
    /// When its last byte passed.
    pub(crate) last: Duration,
}

/// A body's length and, where it is not empty, its SHA-256 in hexadecimal.
pub(crate) type Body = (u64, Option<String>);

/// An oracle.
pub(crate) struct Oracle {
    pub(crate) grade: Grade,
    pub(crate) requests: Vec<Message>,
    /// Without interim ones, which are not told.
    pub(crate) responses: Vec<Message>,
    /// Of files with gaps, what is read where the reading goes on at the next head: only heads' first lines, ends and times are known.
    pub(crate) past_gaps: Vec<Message>,
    /// Each final response with the request that it answers; to be trusted in strict files only.
    pub(crate) pairs: Vec<(Option<Message>, Message)>,
}

impl Oracle {
    /// The oracle of this capture.
    pub(crate) fn of(folder: &Path, name: &str) -> Oracle {
        let stem = name.trim_end_matches(".pcapng").trim_end_matches(".pcap");
        let oracle = std::fs::read(folder.join("oracle").join(format!("{stem}.json"))).unwrap();
        let oracle: Value = serde_json::from_slice(&oracle).unwrap();
        let all = |reading: &str, kind: &str| oracle[reading][kind].as_array().cloned().unwrap_or_default();
        let list = |reading, kind| all(reading, kind).iter().filter(is_final).map(message).collect::<Vec<_>>();
        let (requests, responses) = (all("http1", "requests"), all("http1", "responses"));
        let of = |list: &[Value], at: &Value| at.as_u64().map(|at| message(&list[at as usize]));
        let pairs = all("http1", "pairs");
        let pairs =
            pairs.iter().filter_map(|pair| Some((of(&requests, &pair["request"]), of(&responses, &pair["response"])?)));
        let grade = match oracle["grade"].as_str().unwrap() {
            "strict" => Grade::Strict,
            "at-least" => Grade::AtLeast,
            "lenient" => Grade::Lenient,
            other => panic!("{name}: unknown grade {other}"),
        };
        Oracle {
            grade,
            requests: list("http1", "requests"),
            responses: list("http1", "responses"),
            past_gaps: [list("http1_past_gaps", "requests"), list("http1_past_gaps", "responses")].concat(),
            pairs: pairs.collect(),
        }
    }

    /// The servers' ports.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let servers =
            self.requests.iter().map(|request| request.to).chain(self.responses.iter().map(|response| response.from));
        let mut ports = servers.map(|server| server.port()).collect::<Vec<_>>();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

fn is_final(message: &&Value) -> bool {
    message["status"].as_u64().is_none_or(|status| status == 101 || status >= 200)
}

fn message(message: &Value) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let end = |address: &str, port: &str| {
        let address: IpAddr = message[address].as_str().unwrap().parse().unwrap();
        SocketAddr::new(address, message[port].as_u64().unwrap() as u16)
    };
    let start = match message["status"].as_u64() {
        Some(status) => format!("{} {status}", text(&message["version"])),
        None => {
            format!("{} {} {}", text(&message["method"]), text(&message["uri"]), text(&message["version"]))
        }
    };
    let headers = message["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    Message {
        from: end("src", "sport"),
        to: end("dst", "dport"),
        start,
        headers: headers.iter().map(|line| (text(&line[0]), text(&line[1]))).collect(),
        body: (message["body_len"].as_u64().unwrap(), message["body_sha256"].as_str().map(str::to_owned)),
        first: time(message["time_first"].as_str().unwrap()),
        last: time(message["time_last"].as_str().unwrap()),
    }
}

/// Seconds since the Unix epoch with nine decimals.
fn time(text: &str) -> Duration {
    let (seconds, nanos) = text.split_once('.').unwrap();
    Duration::new(seconds.parse().unwrap(), nanos.parse().unwrap())
}
