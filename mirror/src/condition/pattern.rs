//! Texts that match: globs, as shells and Kubernetes have them, and regular expressions.

use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};

/// A glob (`/api/*`), or with `~` in front a regular expression (`~^/v[12]/`), found anywhere in the text. In a glob `*` stands for any text
/// without `/`, `**` for any, `?` for one character, `[ab]` for one of these, `{a,b}` for either; a backslash takes the next as it is.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// What most patterns are.
    Literal,
    /// What most names are.
    LiteralInAnyCase,
    /// What is there.
    Anything,
    /// What begins so, in any case or in this one.
    Beginning {
        length: usize,
        any_case: bool,
    },
    Regex(Box<Regex>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// Whether letters' case counts, and whether `*` stops at a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it is; `*` stops at `/`.
    Path,
    /// As it is; `*` does not stop.
    Text,
    /// In any case, as hosts are; `*` does not stop.
    AnyCase,
}

/// What makes a glob of a text.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// So that a pattern from a file cannot take all memory once compiled, in bytes. A hundred alternatives of words take a tenth.
const LARGEST: usize = 1 << 20;

impl Pattern {
    pub(crate) fn new(source: &str, kind: Kind) -> Result<Pattern, PatternError> {
        if let Some(matcher) = Matcher::plain(source, kind) {
            return Ok(Pattern { source: source.into(), matcher });
        }
        let any_case = kind == Kind::AnyCase;
        let regex = match source.strip_prefix('~') {
            Some(regex) => regex.to_owned(),
            None => {
                let glob = GlobBuilder::new(source)
                    .literal_separator(kind == Kind::Path)
                    .backslash_escape(true)
                    .build()
                    .map_err(|error| PatternError(format!("a glob ({})", error.kind())))?;
                glob.regex().to_owned()
            }
        };
        let compiled = RegexBuilder::new(&regex).case_insensitive(any_case).size_limit(LARGEST).build();
        let regex = compiled.map_err(|error| PatternError(format!("a regular expression ({})", in_a_line(&error))))?;
        Ok(Pattern { source: source.into(), matcher: Matcher::Regex(Box::new(regex)) })
    }

    /// A pattern of texts in any case.
    pub(crate) fn any_case(source: &str) -> Result<Pattern, PatternError> {
        Pattern::new(source, Kind::AnyCase)
    }

    /// A regular expression as it is.
    pub(crate) fn expression(source: &str) -> Result<Regex, PatternError> {
        let compiled = RegexBuilder::new(source).size_limit(LARGEST).build();
        compiled.map_err(|error| PatternError(format!("a regular expression ({})", in_a_line(&error))))
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        let source = self.source.as_bytes();
        match &self.matcher {
            Matcher::Literal => text == source,
            Matcher::LiteralInAnyCase => text.eq_ignore_ascii_case(source),
            Matcher::Beginning { length, any_case } => text.get(..*length).is_some_and(|beginning| match any_case {
                true => beginning.eq_ignore_ascii_case(&source[..*length]),
                false => beginning == &source[..*length],
            }),
            Matcher::Anything => true,
            Matcher::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Matcher {
    /// That of a glob for which no regular expression is needed: they are asked for each line of each head.
    fn plain(source: &str, kind: Kind) -> Option<Matcher> {
        let any_case = kind == Kind::AnyCase;
        if source.starts_with('~') {
            return None;
        }
        let beginning = source.strip_suffix('*').filter(|beginning| !beginning.contains(SPECIAL));
        match (source, beginning) {
            ("**", _) => Some(Matcher::Anything),
            ("*", _) if kind != Kind::Path => Some(Matcher::Anything),
            _ if !source.contains(SPECIAL) => Some(if any_case { Matcher::LiteralInAnyCase } else { Matcher::Literal }),
            (_, Some(beginning)) if kind != Kind::Path => {
                Some(Matcher::Beginning { length: beginning.len(), any_case })
            }
            _ => None,
        }
    }
}

/// What the crate says on many lines, of which one shows the expression and the next marks the fault below it.
fn in_a_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let what = text.lines().find_map(|line| line.strip_prefix("error: "));
    let mark = text
        .lines()
        .rfind(|line| line.contains('^') && line.trim().trim_matches('^').is_empty())
        .and_then(|line| line.find('^'));
    match (what, mark) {
        // The expression is set in by four.
        (Some(what), Some(mark)) => format!("{what}, at its character {}", (mark + 1).saturating_sub(4)),
        (Some(what), None) => what.to_owned(),
        (None, _) => text.replace('\n', " "),
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}
