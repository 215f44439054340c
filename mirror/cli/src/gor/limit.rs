//! Limits behind a bar: `:8080|10` is ten in a second, `:8080|10%` a tenth, and of a file `requests.gor|200%` the speed.

use super::line::Line;
use super::{Settings, map};

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Limit {
    /// So many in a second.
    Rate(u64),
    /// With the sign.
    Percent(String),
}

/// An address or file, and its limit.
///
/// # Errors
/// The limit, where it is none.
pub(super) fn split(word: &str) -> Result<(&str, Option<Limit>), &str> {
    let Some((address, limit)) = word.split_once('|') else { return Ok((word, None)) };
    let number = limit.strip_suffix('%').unwrap_or(limit);
    let rate = number.parse().map_err(|_| limit)?;
    Ok((address, Some(if number == limit { Limit::Rate(rate) } else { Limit::Percent(limit.to_owned()) })))
}

/// How limits are written.
pub(super) const EXPECTED: &str = "behind the bar requests in a second, as in |10, or a percentage, as in |10%";

/// As many a second, and no more of them at once than one: GoReplay's limiter has a bucket for one.
pub(super) fn rate(per_second: u64) -> serde_yaml::Value {
    map([("requests", format!("{per_second}/s").into()), ("burst", 1.into())])
}

/// Limits of inputs stand before all else. They are for one input where there are several, which nothing of ours can tell apart.
pub(super) fn of_inputs(line: &Line, settings: &mut Settings) {
    let inputs = ["input-raw", "input-file"].map(|flag| line.all(flag).map(move |word| (flag, word)));
    let inputs: Vec<_> = inputs.into_iter().flatten().collect();
    for (flag, word) in &inputs {
        match split(word) {
            // Of a file it is the speed.
            Ok((_, None)) | Err(_) => {}
            Ok((_, Some(Limit::Percent(_)))) if *flag == "input-file" => {}
            Ok((_, Some(_))) if inputs.len() > 1 => {
                settings.fault(flag, word, "a limit where it is the only input; limits of outputs can be different");
            }
            Ok((_, Some(Limit::Rate(per_second)))) => settings.stage("rate", rate(per_second), flag),
            Ok((_, Some(Limit::Percent(percent)))) => settings.stage("fraction", percent, flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(split(":80"), Ok((":80", None)));
        assert_eq!(split("a:80|10"), Ok(("a:80", Some(Limit::Rate(10)))));
        assert_eq!(split("a:80|10%"), Ok(("a:80", Some(Limit::Percent("10%".into())))));
        for (word, limit) in
            [("a|", ""), ("a|%", "%"), ("a|x", "x"), ("a|1.5", "1.5"), ("a|-1%", "-1%"), ("a|1|2", "1|2")]
        {
            assert_eq!(split(word), Err(limit));
        }
    }
}
