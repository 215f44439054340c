//! The recordings that words name: paths, globs, `-`.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::OpenError;

/// One that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// The standard input.
    Stdin,
    File(PathBuf),
}

impl Name {
    /// How it is told of.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Name::Stdin => PathBuf::from("-"),
            Name::File(path) => path.clone(),
        }
    }
}

/// The files that words name, with `-` for the standard input: globs that match no file by themselves are expanded.
///
/// # Errors
/// Every word that names nothing that could be read.
pub fn files_named(words: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<OpenError>> {
    let (names, errors) = named(words);
    if errors.is_empty() { Ok(names.iter().map(Name::path).collect()) } else { Err(errors) }
}

/// What all these words name, a glob's files sorted as people count them: 2 before 10. And every word that names nothing that could be read.
pub(super) fn named(words: &[PathBuf]) -> (Vec<Name>, Vec<OpenError>) {
    let (mut names, mut errors) = (Vec::new(), Vec::new());
    for word in words {
        if word == Path::new("-") {
            match names.contains(&Name::Stdin) {
                true => errors.push(OpenError::StdinTwice),
                false => names.push(Name::Stdin),
            }
        } else if word.is_dir() {
            errors.push(OpenError::Folder { path: word.clone() });
        } else if let Some(pattern) =
            word.to_str().filter(|word| word.contains(['*', '?', '['])).filter(|_| !word.exists())
        {
            match matching(pattern) {
                // A file that was named already is not read twice for a glob's sake.
                Ok(paths) => names
                    .extend(paths.into_iter().map(Name::File).filter(|name| !names.contains(name)).collect::<Vec<_>>()),
                Err(error) => errors.push(error),
            }
        } else {
            names.push(Name::File(word.clone()));
        }
    }
    (names, errors)
}

/// The files that a glob matches; never none.
pub(super) fn matching(pattern: &str) -> Result<Vec<PathBuf>, OpenError> {
    let bad = |error: glob::PatternError| OpenError::Glob { pattern: pattern.to_owned(), expected: error.msg };
    // `*` takes no file that begins with a dot, as in a shell.
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    let mut paths = Vec::new();
    for found in glob::glob_with(pattern, options).map_err(bad)? {
        let path = found.map_err(|error| OpenError::Io { path: error.path().to_owned(), source: error.into() })?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort_by(|one, other| by_counting(one, other));
    match paths.is_empty() {
        true => Err(OpenError::NoMatch { pattern: pattern.to_owned() }),
        false => Ok(paths),
    }
}

/// Digits that stand together are one number.
fn by_counting(one: &Path, other: &Path) -> Ordering {
    let (mut a, mut b) = (one.as_os_str().as_encoded_bytes(), other.as_os_str().as_encoded_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (take_number(&mut a), take_number(&mut b));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
    }
    // Equal but for leading zeroes, or one is the start of the other.
    a.len().cmp(&b.len()).then_with(|| one.cmp(other))
}

/// The digits in front, without leading zeroes.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeroes = digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len());
    &digits[zeroes..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_counted() {
        let mut names = ["t.10.avro", "t.avro", "t.2.avro", "t.02.avro", "t.1.avro", "s.11.avro"].map(Path::new);
        names.sort_by(|one, other| by_counting(one, other));
        assert_eq!(names, ["s.11.avro", "t.1.avro", "t.02.avro", "t.2.avro", "t.10.avro", "t.avro"].map(Path::new));
    }

    #[test]
    fn globs_folders_and_names_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.1.avro", "a.2.avro", "a.10.avro", ".a.3.avro", "b[1].avro"] {
            std::fs::write(path(name), "").unwrap();
        }
        std::fs::create_dir(path("a.4.avro")).unwrap();
        let files = |names: &[&str]| names.iter().map(|name| Name::File(path(name))).collect::<Vec<_>>();

        let found = named(&[path("a.2.avro"), path("a.*.avro"), path("b[1].avro"), path("new.avro"), "-".into()]);
        let mut expected = files(&["a.2.avro", "a.1.avro", "a.10.avro", "b[1].avro", "new.avro"]);
        expected.push(Name::Stdin);
        assert_eq!(found.0, expected);
        assert!(found.1.is_empty(), "{found:?}");

        let (_, errors) = named(&["-".into(), folder.path().into(), path("c*.avro"), path("a[.avro"), "-".into()]);
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let at = folder.path().display();
        assert_eq!(
            told,
            [
                format!("{at}: found a folder, expected files: {at}/*.avro"),
                format!("{at}/c*.avro: found no file of that name, expected at least one"),
                format!(
                    "{at}/a[.avro: found a glob that cannot be read (invalid range pattern), expected one as in traffic-*.avro"
                ),
                "-: found it twice, expected the standard input once".to_owned(),
            ]
        );
    }
}
