//! Whether stages make sense.

use super::{Findings, middleware};
use crate::config::{
    BodyEdits, Config, Edits, Encoding, FractionConfig, FractionRule, HashConfig, JsonEdits, PathEdit, RedactConfig,
    Replacement, RewriteConfig, ShadowConfig, SplitConfig, StageConfig,
};
use crate::stage::{FRAMING, read_key};
use crate::template::Template;

/// The sum of a split's weights: its turns are laid out beforehand, and nobody shares out finer.
const MOST_TURNS: u64 = 10_000;

impl Config {
    /// Each stage does something.
    pub(super) fn check_pipelines(&self, findings: &mut Findings<'_>) {
        let of_shadows =
            self.shadow.iter().enumerate().map(|(i, shadow)| (format!("shadow[{i}].pipeline"), &shadow.pipeline));
        let of_record =
            self.record.iter().enumerate().map(|(i, record)| (format!("record[{i}].pipeline"), &record.pipeline));
        let all = std::iter::once(("pipeline".to_owned(), &self.pipeline));
        for (key, stages) in all.chain(of_shadows).chain(of_record) {
            for (i, stage) in stages.iter().enumerate() {
                let at = |part: &str| format!("{key}[{i}].{part}");
                match stage {
                    StageConfig::Filter(filter) if filter.allow.is_none() && filter.deny.is_none() => {
                        findings.missing(&at("filter"), "`allow` or `deny`, or a condition");
                    }
                    StageConfig::Fraction(FractionConfig { by: None, rule: FractionRule::Goreplay, .. }) => {
                        findings.missing(
                            &at("fraction.by"),
                            "what tells users apart, as GoReplay's rule goes by its value",
                        );
                    }
                    StageConfig::Rate(rate) if rate.requests.is_none() && rate.bytes.is_none() => {
                        findings.missing(&at("rate"), "`requests` or `bytes`, or a rate");
                    }
                    StageConfig::Split(_) if key != "pipeline" => {
                        findings.missing(
                            &at("split"),
                            "no split here: it shares out over targets, in the `pipeline` of all",
                        );
                    }
                    StageConfig::Carry(_) if !key.starts_with("shadow") => {
                        let expected = "no carry here: each target hands out its own, so it stands in the `pipeline` of one of `shadow`";
                        findings.missing(&at("carry"), expected);
                    }
                    StageConfig::Carry(carry) if carry.values.is_empty() => {
                        findings.missing(&at("carry.values"), "a value to carry, as in cookie:session");
                    }
                    StageConfig::Middleware(config) => middleware::check(&at("middleware"), config, findings),
                    StageConfig::Redact(redact) => check_redact(&at("redact"), redact, findings),
                    StageConfig::Rewrite(rewrite) => check_rewrite(&at("rewrite"), rewrite, findings),
                    StageConfig::Split(split) => self.check_split(&at("split.targets"), split, findings),
                    _ => {}
                }
            }
        }
    }

    /// A split is over two targets or more that there are.
    fn check_split(&self, key: &str, split: &SplitConfig, findings: &mut Findings<'_>) {
        let names: Vec<String> = self.shadow.iter().map(ShadowConfig::label).collect();
        for name in split.targets.keys().filter(|name| !names.contains(name)) {
            findings.add(key, name, format!("the name of a target, of which there are: {}", names.join(", ")));
        }
        if split.targets.len() < 2 {
            findings.missing(key, "at least two targets");
        }
        let turns: u64 = split.targets.values().map(|weight| u64::from(weight.get())).sum();
        if turns > MOST_TURNS {
            findings.add(key, turns, format!("weights that sum up to at most {MOST_TURNS}"));
        }
    }
}

fn check_redact(key: &str, redact: &RedactConfig, findings: &mut Findings<'_>) {
    if redact.is_empty() {
        findings.missing(
            key,
            "something to redact: `preset`, `header`, `cookie`, `query`, `form`, `json` or `pattern`, or `credentials`",
        );
    }
    for name in redact.header.iter().flat_map(|names| names.iter()).map(ToString::to_string) {
        if FRAMING.iter().any(|fixed| name.eq_ignore_ascii_case(fixed)) {
            let expected = "another header: this one frames the message, or is of one hop, or says where it goes";
            findings.add(&format!("{key}.header"), name, expected);
        }
    }
    if let Replacement::Hash(HashConfig { key_file: Some(path) }) = &redact.replacement
        && let Err(expected) = read_key(path)
    {
        findings.add(&format!("{key}.with.hash.key_file"), path.display(), expected.0);
    }
    findings.not_empty(&format!("{key}.max_body"), redact.max_body.0);
}

fn check_rewrite(key: &str, rewrite: &RewriteConfig, findings: &mut Findings<'_>) {
    if (RewriteConfig { when: rewrite.when.clone(), ..RewriteConfig::default() }) == *rewrite {
        findings.missing(
            key,
            "something to rewrite: `method`, `host`, `target`, `path`, `query`, `header`, `cookie`, `body` or `response`",
        );
    }
    let RewriteConfig { target, path, query, header, cookie, body, response, .. } = rewrite;
    if !target.is_empty() && (path.is_some() || !query.is_empty()) {
        findings
            .missing(&format!("{key}.target"), "`target`, or `path` and `query`, which are its parts, and not both");
    }
    let of_response = format!("{key}.response");
    for (key, body) in [(key, body), (of_response.as_str(), &response.body)] {
        if let Some(body) = body {
            check_body(&format!("{key}.body"), body, findings);
        }
    }
    if let Some(path) = path {
        check_path(&format!("{key}.path"), path, findings);
    }
    check_names(&format!("{key}.header"), header, findings);
    check_names(&format!("{key}.cookie"), cookie, findings);
    check_names(&format!("{of_response}.header"), &response.header, findings);
    check_framing(&format!("{key}.header"), header, findings);
    check_framing(&format!("{of_response}.header"), &response.header, findings);
}

/// The edits by their names, with the names that they put in, and those that they look for.
fn names(edits: &Edits) -> impl Iterator<Item = (&'static str, &String, bool)> {
    let (set, append) =
        (edits.set.keys().map(|name| ("set", name, true)), edits.append.keys().map(|name| ("append", name, true)));
    let renamed = edits.rename.iter().flat_map(|(old, new)| [("rename", old, false), ("rename", new, true)]);
    set.chain(append).chain(renamed)
}

/// Names that are looked for may be odd ones, as odd messages have them.
fn check_names(key: &str, edits: &Edits, findings: &mut Findings<'_>) {
    for (edit, name, _) in names(edits).filter(|(_, _, new)| *new) {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            findings.add(&format!("{key}.{edit}"), name, "a name of letters, digits and !#$%&'*+-.^_`|~");
        }
    }
}

fn check_framing(key: &str, header: &Edits, findings: &mut Findings<'_>) {
    for (edit, name, _) in names(header) {
        let key = format!("{key}.{edit}");
        match FRAMING.iter().find(|fixed| name.eq_ignore_ascii_case(fixed)) {
            Some(&"host") => findings.add(&key, name, "another header; the host is set by `host` beside `header`"),
            Some(_) => findings.add(&key, name, "another header: this one frames the message, or is of one hop"),
            None => {}
        }
    }
}

/// A body is changed somehow.
fn check_body(key: &str, body: &BodyEdits, findings: &mut Findings<'_>) {
    let BodyEdits { content_type: _, json, form, replace, max_body, unreadable: _, encoding } = body;
    let edits_json = json.as_ref().is_some_and(|json| *json != JsonEdits::default());
    if !edits_json && form.is_empty() && replace.is_empty() && *encoding == Encoding::Keep {
        findings.missing(key, "something to change: `json`, `form`, `replace` or `encoding: identity`");
    }
    findings.not_empty(&format!("{key}.max_body"), max_body.0);
}

fn check_path(key: &str, path: &PathEdit, findings: &mut Findings<'_>) {
    match (&path.prefix, &path.found) {
        (Some(_), Some(_)) => findings.missing(key, "`prefix` or `match`, and not both"),
        (Some(prefix), None) if !prefix.starts_with('/') => {
            findings.add(&format!("{key}.prefix"), prefix, "a path, which begins with a slash");
        }
        (None, None) => {
            if let Err(expected) = path.with.parse::<Template>() {
                findings.add(&format!("{key}.with"), &path.with, expected.0);
            }
        }
        _ => {}
    }
}
