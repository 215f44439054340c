//! Whether a log filter is one.

use crate::config::Expected;

const EXPECTED: &str = "a level (off, error, warn, info, debug, trace), alone or for a part, as in warn,mirror=debug";

/// Directives of tracing's EnvFilter, less those by span. It would take a word that is no level (`verbose`) for the name of a part
/// of the program, and so log nothing of use.
pub(super) fn check(filter: &str) -> Result<(), Expected> {
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].iter().any(|level| level.eq_ignore_ascii_case(word))
    };
    let is_part = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
    };
    let good = filter.split(',').all(|directive| match directive.split_once('=') {
        Some((part, level)) => is_part(part) && is_level(level),
        None => is_level(directive),
    });
    if good { Ok(()) } else { Err(EXPECTED.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for good in ["info", "INFO", "off", "warn,mirror=debug", "warn,mirror::shadow=trace,pingora_proxy=off"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "verbose", "info,", "mirror=", "=info", "mirror=loud", "mirror[a]=info", "info warn"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
