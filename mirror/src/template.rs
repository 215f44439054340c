//! Texts with places that are filled from an exchange: `{method} {host}{path}`.

use std::io::Write;

use bytes::Bytes;

use crate::condition::{Facts, Field};
use crate::config::Expected;
use crate::exchange::Exchange;

/// Nearly all that is filled in is no longer than this, in bytes.
const USUAL: usize = 64;

/// A text with places in braces: `method`, `host`, `path`, `query`, `target`, `client`, `source`, `id`, `time` (RFC 3339), `header.NAME`, `cookie.NAME`,
/// `query.NAME`. What is not there is empty; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(Bytes),
    Field(Field),
    Target,
    Client,
    Id,
    Time,
}

impl Template {
    /// The text for one exchange.
    pub fn fill(&self, exchange: &Exchange) -> Bytes {
        match self.parts.as_slice() {
            [Part::Text(text)] => text.clone(),
            parts => {
                let (facts, mut filled) = (exchange.facts(), Vec::with_capacity(USUAL));
                parts.iter().for_each(|part| part.fill(exchange, &facts, &mut filled));
                filled.into()
            }
        }
    }
}

impl Part {
    fn fill(&self, exchange: &Exchange, facts: &Facts<'_>, into: &mut Vec<u8>) {
        match self {
            Part::Text(text) => into.extend_from_slice(text),
            Part::Field(field) => into.extend_from_slice(&field.first(facts).unwrap_or_default()),
            Part::Target => into.extend_from_slice(facts.target),
            Part::Client => {
                if let Some(client) = facts.client {
                    // Into memory, which takes all.
                    let _ = write!(into, "{}", client.ip().to_canonical());
                }
            }
            Part::Id => into.extend_from_slice(exchange.id().to_string().as_bytes()),
            Part::Time => {
                let time = chrono::DateTime::<chrono::Utc>::from(exchange.started());
                into.extend_from_slice(time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true).as_bytes());
            }
        }
    }

    fn of(name: &str) -> Option<Part> {
        Some(match name {
            "target" => Part::Target,
            "client" => Part::Client,
            "id" => Part::Id,
            "time" => Part::Time,
            field => match field.parse().ok()? {
                field @ (Field::Method
                | Field::Host
                | Field::Path
                | Field::Query(_)
                | Field::Header(_)
                | Field::Cookie(_)
                | Field::Source) => Part::Field(field),
                _ => return None,
            },
        })
    }
}

impl std::str::FromStr for Template {
    type Err = Expected;

    fn from_str(source: &str) -> Result<Template, Expected> {
        let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), source);
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|_| brace == "{");
            let Some(end) = end else {
                return Err(format!("`{brace}{brace}` for a brace that is no place to fill").into());
            };
            let name = &rest[..end];
            let Some(part) = Part::of(name) else {
                let known = "method, host, path, query, target, client, source, id, time, header.NAME, cookie.NAME or query.NAME";
                return Err(format!("of {{{name}}} one of {known} in the braces").into());
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text).into()));
            }
            parts.push(part);
            rest = &rest[end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() || parts.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Template { source: source.to_owned(), parts })
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}
