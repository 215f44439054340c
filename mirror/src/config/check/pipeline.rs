//! Whether stages make sense.

use super::{Findings, middleware};
use crate::config::{Config, Edits, PathEdit, RewriteConfig, ShadowConfig, SplitConfig, StageConfig};
use crate::stage::FRAMING;
use crate::template::Template;

/// The sum of a split's weights: its turns are laid out beforehand, and nobody shares out finer.
const MOST_TURNS: u64 = 10_000;

impl Config {
    /// Each stage does something.
    pub(super) fn check_pipelines(&self, findings: &mut Findings<'_>) {
        let of_shadows =
            self.shadow.iter().enumerate().map(|(i, shadow)| (format!("shadow[{i}].pipeline"), &shadow.pipeline));
        let of_record = self.record.iter().map(|record| ("record.pipeline".to_owned(), &record.pipeline));
        let all = std::iter::once(("pipeline".to_owned(), &self.pipeline));
        for (key, stages) in all.chain(of_shadows).chain(of_record) {
            for (i, stage) in stages.iter().enumerate() {
                let at = |part: &str| format!("{key}[{i}].{part}");
                match stage {
                    StageConfig::Filter(filter) if filter.allow.is_none() && filter.deny.is_none() => {
                        findings.missing(&at("filter"), "`allow` or `deny`, or a condition");
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
                    StageConfig::Middleware(config) => middleware::check(&at("middleware"), config, findings),
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

fn check_rewrite(key: &str, rewrite: &RewriteConfig, findings: &mut Findings<'_>) {
    let RewriteConfig { when: _, method, host, path, query, header, cookie } = rewrite;
    if method.is_none() && host.is_none() && path.is_none() && [query, header, cookie].into_iter().all(Edits::is_empty)
    {
        findings.missing(key, "something to rewrite: `method`, `host`, `path`, `query`, `header` or `cookie`");
    }
    if let Some(path) = path {
        check_path(&format!("{key}.path"), path, findings);
    }
    for (part, edits) in [("header", header), ("cookie", cookie)] {
        // Names that are looked for may be odd ones, as odd requests have them.
        let (set, append) =
            (edits.set.keys().map(|name| ("set", name)), edits.append.keys().map(|name| ("append", name)));
        let renamed = edits.rename.values().map(|name| ("rename", name));
        for (edit, name) in set.chain(append).chain(renamed) {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                findings.add(&format!("{key}.{part}.{edit}"), name, "a name of letters, digits and !#$%&'*+-.^_`|~");
            }
        }
    }
    let (set, append) =
        (header.set.keys().map(|name| ("set", name)), header.append.keys().map(|name| ("append", name)));
    let renamed = header.rename.iter().flat_map(|(old, new)| [("rename", old), ("rename", new)]);
    for (edit, name) in set.chain(append).chain(renamed) {
        let key = format!("{key}.header.{edit}");
        match FRAMING.iter().find(|fixed| name.eq_ignore_ascii_case(fixed)) {
            Some(&"host") => findings.add(&key, name, "another header; the host is set by `host` beside `header`"),
            Some(_) => findings.add(&key, name, "another header: this one frames the message, or is of one hop"),
            None => {}
        }
    }
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
