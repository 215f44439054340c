//! The modifiers, as stages in the order in which GoReplay has them, whatever the order of their flags.

use serde_yaml::{Mapping, Value};

use super::line::Line;
use super::{Settings, map, regexp};

pub(super) fn stages(line: &Line, settings: &mut Settings) {
    methods(line, settings);
    set_headers(line, settings);
    set_params(line, settings);
    urls(line, settings);
    headers(line, settings);
    basic_auth(line, settings);
    limiters(line, settings);
    rewrite_urls(line, settings);
    rewrite_headers(line, settings);
    if line.is_on("prettify-http") {
        let body = || map([("encoding", "identity".into())]);
        let stage = map([("body", body()), ("response", map([("body", body())]))]);
        settings.stage("rewrite", stage, "prettify-http");
    }
}

/// One where it is one.
fn list(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { Value::Sequence(values) }
}

/// A pattern that is a regular expression.
fn pattern(expression: &str) -> Value {
    format!("~{}", regexp::of_go(expression)).into()
}

/// A text in a template is itself.
fn literal(text: &str) -> Value {
    text.replace('{', "{{").replace('}', "}}").into()
}

fn methods(line: &Line, settings: &mut Settings) {
    let methods: Vec<Value> = line.all("http-allow-method").map(Value::from).collect();
    if !methods.is_empty() {
        settings.stage("filter", map([("allow", map([("method", list(methods))]))]), "http-allow-method");
    }
}

fn set_headers(line: &Line, settings: &mut Settings) {
    const FLAG: &str = "http-set-header";
    let (mut set, mut host) = (Mapping::new(), None);
    for word in line.all(FLAG) {
        match word.split_once(':').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if name.eq_ignore_ascii_case("host") => host = Some(literal(value)),
            Some((name, value)) if !name.is_empty() => {
                // The last counts, in whatever case.
                set.retain(|other, _| !other.as_str().is_some_and(|other| other.eq_ignore_ascii_case(name)));
                set.insert(name.into(), literal(value));
            }
            _ => settings.fault(FLAG, word, "a name and a value, as in \"X-Env: staging\""),
        }
    }
    let mut stage = Mapping::new();
    if let Some(host) = host {
        stage.insert("host".into(), host);
    }
    if !set.is_empty() {
        stage.insert("header".into(), map([("set", Value::Mapping(set))]));
    }
    if !stage.is_empty() {
        settings.stage("rewrite", Value::Mapping(stage), FLAG);
    }
}

fn set_params(line: &Line, settings: &mut Settings) {
    const FLAG: &str = "http-set-param";
    let mut set = Mapping::new();
    for word in line.all(FLAG) {
        let Some((name, _)) = word.split_once('=') else {
            settings.fault(FLAG, word, "a name and a value, as in api_key=1");
            continue;
        };
        // GoReplay puts it in as it stands, encoded where it has to be; ours is encoded when it is put in.
        let mut decoded = form_urlencoded::parse(word.as_bytes());
        let value = decoded.next().map(|(_, value)| value.into_owned()).unwrap_or_default();
        set.insert(name.trim().into(), literal(value.trim()));
    }
    if !set.is_empty() {
        settings.stage("rewrite", map([("query", map([("set", Value::Mapping(set))]))]), FLAG);
    }
}

/// One of those that are allowed has to be found, and none of those that are not.
fn urls(line: &Line, settings: &mut Settings) {
    for (flag, side) in [("http-allow-url", "allow"), ("http-disallow-url", "deny")] {
        let patterns: Vec<Value> = line.all(flag).map(pattern).collect();
        if !patterns.is_empty() {
            settings.stage("filter", map([(side, map([("target", list(patterns))]))]), flag);
        }
    }
}

/// Each of those that are allowed has to be found, and none of those that are not.
fn headers(line: &Line, settings: &mut Settings) {
    for (flag, side, several) in [("http-allow-header", "allow", "all"), ("http-disallow-header", "deny", "any")] {
        let mut conditions = Vec::new();
        for word in line.all(flag) {
            match word.split_once(':') {
                Some((name, expression)) if !name.trim().is_empty() => {
                    conditions.push(map([("header", map([(name.trim(), pattern(expression.trim()))]))]));
                }
                _ => settings.fault(flag, word, "a header's name and an expression, as in api-version:^v1"),
            }
        }
        let condition = match conditions.len() {
            0 => continue,
            1 => conditions.remove(0),
            _ => map([(several, Value::Sequence(conditions))]),
        };
        settings.stage("filter", map([(side, condition)]), flag);
    }
}

/// Credentials that are there have to match each; a request without passes.
fn basic_auth(line: &Line, settings: &mut Settings) {
    const FLAG: &str = "http-basic-auth-filter";
    for expression in line.all(FLAG) {
        let without = map([("basic_auth", false.into())]);
        let like = map([("basic_auth", pattern(expression))]);
        let either = map([("any", Value::Sequence(vec![without, like]))]);
        settings.stage("filter", map([("allow", either)]), FLAG);
    }
}

/// Of users, always the same ones.
fn limiters(line: &Line, settings: &mut Settings) {
    for (flag, field) in [("http-header-limiter", "header"), ("http-param-limiter", "query")] {
        for word in line.all(flag) {
            let parts = word.split_once(':').and_then(|(name, part)| Some((name.trim(), percent(part.trim())?)));
            match parts {
                Some((name, percent)) if !name.is_empty() && percent <= 100 => {
                    let by = format!("{field}.{name}").into();
                    let stage = map([("of", format!("{percent}%").into()), ("by", by), ("rule", "goreplay".into())]);
                    settings.stage("fraction", stage, flag);
                }
                _ => settings.fault(flag, word, "a name and a whole percentage of at most 100, as in user-id:25%"),
            }
        }
    }
}

/// `25%`, or as GoReplay has had it before, `1/4`.
fn percent(part: &str) -> Option<u64> {
    match part.split_once('/') {
        Some((of, all)) => {
            let (of, all): (u64, u64) = (of.parse().ok()?, all.parse().ok()?);
            of.checked_mul(100)?.checked_div(all)
        }
        None => part.strip_suffix('%')?.parse().ok(),
    }
}

/// The first that is found is the one.
fn rewrite_urls(line: &Line, settings: &mut Settings) {
    const FLAG: &str = "http-rewrite-url";
    let mut edits = Vec::new();
    for word in line.all(FLAG) {
        match word.split_once(':') {
            Some((expression, with)) => {
                edits.push(map([("match", regexp::of_go(expression).into()), ("with", with.into())]));
            }
            None => settings.fault(FLAG, word, "an expression and what comes in its place, as in /v1/(.*):/v2/$1"),
        }
    }
    if !edits.is_empty() {
        settings.stage("rewrite", map([("target", list(edits))]), FLAG);
    }
}

fn rewrite_headers(line: &Line, settings: &mut Settings) {
    const FLAG: &str = "http-rewrite-header";
    for word in line.all(FLAG) {
        let parts = word.split_once(':').and_then(|(name, edit)| Some((name.trim(), edit.trim().split_once(',')?)));
        let Some((name, (expression, with))) = parts.filter(|(name, _)| !name.is_empty()) else {
            let expected =
                "a header's name, an expression and what comes in its place, as in \"Host: (.*).example.com,$1.test\"";
            settings.fault(FLAG, word, expected);
            continue;
        };
        let edit = [("match", Value::from(regexp::of_go(expression))), ("with", with.into())];
        let stage = match name.eq_ignore_ascii_case("host") {
            true => map([("host", map(edit))]),
            false => {
                let [found, with] = edit;
                map([("header", map([("replace", Value::Sequence(vec![map([("name", name.into()), found, with])]))]))])
            }
        };
        settings.stage("rewrite", stage, FLAG);
    }
}
