//! A command line as Go's package `flag` reads it.
//!
//! `-flag` and `--flag` are the same. A switch stands alone or with `=true` or `=false`; every other flag has its value behind `=` or as the next
//! word, whatever that looks like. What a flag that is given twice says last counts, save where it is a list.

use mirror::config::{Fault, nearest};

use super::flag::{FLAGS, Flag, Kind};
use super::value;

/// What was given, in its order.
#[derive(Debug, Default)]
pub(super) struct Line {
    given: Vec<(&'static Flag, String)>,
    /// `--print-config`, which is ours.
    pub(super) print_config: bool,
    /// `-h`, `--help`.
    pub(super) help: bool,
    /// `--set KEY=VALUE`, which is ours.
    pub(super) set: Vec<String>,
}

/// What is no setting of GoReplay's.
const HELP: [&str; 2] = ["h", "help"];
const PRINT_CONFIG: &str = "print-config";
const SET: &str = "set";

impl Line {
    /// Reads the words, and tells all that is wrong with them.
    pub(super) fn read(words: &[String]) -> (Line, Vec<Fault>) {
        let (mut line, mut faults) = (Line::default(), Vec::new());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(named) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|_| word != "-") else {
                faults.push(Fault::missing(
                    format!("{word:?}"),
                    "a flag, as in --input-raw; GoReplay reads no further than here",
                ));
                continue;
            };
            let (name, value) = named.split_once('=').map_or((named, None), |(name, value)| (name, Some(value)));
            let place = format!("--{name}");
            if name.is_empty() || name.starts_with('-') {
                faults.push(Fault::new("mirror gor", word, "a flag, as in --input-raw"));
                continue;
            }
            let kind = match FLAGS.iter().find(|flag| flag.name == name) {
                Some(flag) => flag.kind,
                None if name == PRINT_CONFIG || HELP.contains(&name) => Kind::Switch,
                None if name == SET => Kind::List,
                None => {
                    faults.push(Fault::missing(place, unknown(name)));
                    // Not to be told of as well.
                    let values = words.as_slice();
                    if value.is_none() && values.first().is_some_and(|next| !next.starts_with('-')) {
                        words.next();
                    }
                    continue;
                }
            };
            let value = match (kind, value) {
                (Kind::Switch, None) => match words.as_slice().first().map(String::as_str) {
                    // As GoReplay's own examples have it, where it is the last word and does no harm.
                    Some("true") => words.next().cloned(),
                    Some(word @ "false") => {
                        words.next();
                        faults.push(Fault::new(&place, word, format!("{place}=false: a switch's value is behind `=`")));
                        continue;
                    }
                    _ => Some("true".to_owned()),
                },
                (_, Some(value)) => Some(value.to_owned()),
                (_, None) => words.next().cloned(),
            };
            let Some(value) = value else {
                faults.push(Fault::missing(place, format!("a value behind it, {}", kind.example())));
                continue;
            };
            if let Err(expected) = value::check(kind, &value) {
                faults.push(Fault::new(place, value, expected.0));
                continue;
            }
            match FLAGS.iter().find(|flag| flag.name == name) {
                Some(flag) => line.given.push((flag, value)),
                None if name == PRINT_CONFIG => line.print_config = value::switch(&value) == Some(true),
                None if HELP.contains(&name) => line.help = true,
                None => line.set.push(value),
            }
        }
        (line, faults)
    }

    /// What was given, each with its value, without switches that are off.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Flag, &str)> {
        let is_on = |flag: &Flag| flag.kind != Kind::Switch || self.is_on(flag.name);
        self.given.iter().filter(move |(flag, _)| is_on(flag)).map(|(flag, value)| (*flag, value.as_str()))
    }

    /// All values of a flag.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> + Clone {
        self.given.iter().filter(move |(flag, _)| flag.name == name).map(|(_, value)| value.as_str())
    }

    /// The value of a flag.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.last(name).and_then(value::switch) == Some(true)
    }

    /// Whether there is any of these.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.given().any(|(flag, _)| flag.name == *name))
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = FLAGS.iter().map(|flag| flag.name).chain([PRINT_CONFIG, SET]).collect();
    match nearest(name, &known).as_slice() {
        [] => "a flag of GoReplay's".to_owned(),
        near => format!("a flag of GoReplay's; did you mean --{}?", near.join(" or --")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> (Line, Vec<String>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let (line, faults) = Line::read(&words);
        (line, faults.iter().map(ToString::to_string).collect())
    }

    fn faults(words: &[&str]) -> Vec<String> {
        read(words).1
    }

    #[test]
    fn one_dash_or_two_and_a_value_behind_a_sign_or_as_a_word() {
        for words in [
            &["--input-raw", ":80", "--exit-after", "5s"][..],
            &["-input-raw", ":80", "-exit-after", "5s"],
            &["--input-raw=:80", "-exit-after=5s"],
            &["-exit-after=1s", "--input-raw=:80", "-exit-after=5s"],
        ] {
            let (line, faults) = read(words);
            assert_eq!((line.last("input-raw"), line.last("exit-after")), (Some(":80"), Some("5s")), "{words:?}");
            assert_eq!(faults, [""; 0]);
        }
        let (line, faults) = read(&["--http-set-header", "--X: a=b", "--http-set-header=X: c=d", "--http-set-header="]);
        assert_eq!(line.all("http-set-header").collect::<Vec<_>>(), ["--X: a=b", "X: c=d", ""]);
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn switches() {
        for (words, is_on) in [
            (&["--stats"][..], true),
            (&["-stats=true"], true),
            (&["-stats=1"], true),
            (&["-stats=F"], false),
            (&["-stats", "true", "--verbose=1"], true),
            (&["--stats", "--stats=false"], false),
            (&["--stats", "--verbose", "2"], true),
        ] {
            let (line, faults) = read(words);
            assert_eq!((line.is_on("stats"), faults), (is_on, vec![]), "{words:?}");
        }
        assert_eq!(
            faults(&["--stats", "false"]),
            ["--stats: \"false\": expected --stats=false: a switch's value is behind `=`"]
        );
        assert_eq!(faults(&["--stats=on"]), ["--stats: \"on\": expected true or false"]);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let said = faults(&[
            "--inputraw",
            ":80",
            "--output-http",
            "a",
            "rest",
            "---x",
            "-",
            "--exit-after=5",
            "--wholly-unknown=1",
            "--input-file",
        ]);
        let expected = [
            "--inputraw: expected a flag of GoReplay's; did you mean --input-raw?",
            "\"rest\": expected a flag, as in --input-raw; GoReplay reads no further than here",
            "mirror gor: \"---x\": expected a flag, as in --input-raw",
            "\"-\": expected a flag, as in --input-raw; GoReplay reads no further than here",
            "--exit-after: \"5\": expected a time as Go writes it, as in 5s, 1m30s or 1.5h",
            "--wholly-unknown: expected a flag of GoReplay's",
            "--input-file: expected a value behind it, as in --flag value",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn ours_are_known_too() {
        let (line, faults) = read(&["--print-config", "--set", "limits.memory=64MiB", "--set=a=b"]);
        assert!(line.print_config && faults.is_empty());
        assert_eq!(line.set, ["limits.memory=64MiB", "a=b"]);
    }
}
