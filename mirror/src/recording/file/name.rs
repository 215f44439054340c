//! The names of a recording's files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Utc, Weekday};

use super::FileError;
use crate::recording::Format;

/// A path whose file name may have strftime conversions, and which is numbered where a name is taken:
/// `traffic-%H.avro` at noon is `traffic-12.avro`, then `traffic-12.1.avro`, `traffic-12.2.avro`, …
///
/// Times are UTC, so that names never repeat or run backwards, as local ones do when the clocks change, and files of several
/// hosts line up. Folders are taken as they are.
#[derive(Debug, Clone)]
pub(super) struct NamePattern {
    folder: PathBuf,
    /// The name without its extension.
    stem: Vec<Item<'static>>,
    /// With its dot; empty where there is none.
    extension: String,
}

/// What a file name says, where it is of the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The name without number and extension.
    pub(super) stem: String,
    /// Zero for the name that has none.
    pub(super) number: u64,
}

impl NamePattern {
    pub(super) fn new(path: &Path) -> Result<Self, FileError> {
        let bad = |found: &str, expected: &'static str| FileError::Name {
            path: path.to_owned(),
            found: found.to_owned(),
            expected,
        };
        let whole = path.as_os_str().as_encoded_bytes();
        if whole.ends_with(b"/") {
            return Err(bad("a folder's name, ending in /", "that of a file"));
        }
        let name = path.file_name().ok_or_else(|| bad("no file name", "the path of a file"))?;
        let name = name.to_str().ok_or_else(|| bad("a file name that is not UTF-8", "UTF-8"))?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        // `.gor.gz` is one extension: a number behind the `.gor` would take it for another format's.
        let compressed = Format::of(Path::new(name)).ok().filter(|format| format.gzip);
        let dot = match compressed {
            Some(format) => name.len().checked_sub(format.to_string().len() + 1),
            None => name.rfind('.'),
        };
        let (stem, extension) = match dot {
            Some(dot) if dot > 0 && !name[dot..].contains('%') => name.split_at(dot),
            _ => (name, ""),
        };
        let stem = StrftimeItems::new(stem).parse_to_owned().map_err(|_| {
            bad(
                "a % that begins no strftime conversion",
                "%Y, %m, %d, %H, %M, %S and the like, or %% for a percent sign",
            )
        })?;
        let pattern = NamePattern { folder, stem, extension: extension.to_owned() };
        pattern.proves_itself().map_err(|found| bad(found, "conversions to digits and words, e.g. %Y%m%d-%H%M%S"))?;
        Ok(pattern)
    }

    /// A name that cannot be told from others must not be written: its files would never be found again to be removed.
    fn proves_itself(&self) -> Result<(), &'static str> {
        // The second day has other digits everywhere, and more of them.
        for seconds in [0, 1_735_689_599] {
            let name = self.name(&self.stem_at(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)), 1);
            if name.contains(['/', '\0']) {
                return Err("a conversion that yields a /");
            }
            if self.parts(OsStr::new(&name)).is_none_or(|parts| parts.number != 1) {
                return Err("a conversion that cannot be read back");
            }
        }
        Ok(())
    }

    /// The folder all files of the recording are in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The stem of a file begun at this time.
    pub(super) fn stem_at(&self, time: SystemTime) -> String {
        DateTime::<Utc>::from(time).format_with_items(self.stem.iter()).to_string()
    }

    /// The path of a file with this stem and number.
    pub(super) fn path(&self, stem: &str, number: u64) -> PathBuf {
        self.folder.join(self.name(stem, number))
    }

    fn name(&self, stem: &str, number: u64) -> String {
        match number {
            0 => format!("{stem}{}", self.extension),
            number => format!("{stem}.{number}{}", self.extension),
        }
    }

    /// What this file name says; none where it is not one of the pattern's.
    pub(super) fn parts(&self, name: &OsStr) -> Option<Parts> {
        let stem = name.to_str()?.strip_suffix(&self.extension)?;
        if self.is_stem(stem) {
            return Some(Parts { stem: stem.to_owned(), number: 0 });
        }
        let (stem, number) = stem.rsplit_once('.')?;
        let plain = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| plain)?;
        self.is_stem(stem).then(|| Parts { stem: stem.to_owned(), number })
    }

    fn is_stem(&self, stem: &str) -> bool {
        let mut parsed = Parsed::new();
        if parse(&mut parsed, stem, self.stem.iter()).is_err() {
            return false;
        }
        // The parser takes more than is ever written ("1 2" for %d%H, signs, missing zeros), so that what would be written
        // at that time decides. A name need not say all of a time: what it leaves open is filled in, in every way that matters.
        Unsaid::all().any(|unsaid| {
            let time = unsaid.fill_in(parsed.clone());
            self.writes(stem, &time) || self.writes(stem, &at_its_start(time))
        })
    }

    /// Whether this is what is written at a time; not so where it is not all of a time.
    fn writes(&self, stem: &str, time: &Parsed) -> bool {
        let time = time.to_naive_datetime_with_offset(0);
        time.is_ok_and(|time| time.and_utc().format_with_items(self.stem.iter()).to_string() == stem)
    }
}

/// What of a date a name may leave open, with what may stand for it: some day of a week, as the name may say which.
#[derive(Clone, Copy)]
enum Unsaid {
    Nothing,
    Year,
    Weekday(Weekday),
    MonthAndDay(i64),
    YearMonthAndDay(i64),
}

impl Unsaid {
    fn all() -> impl Iterator<Item = Unsaid> {
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        let week = [Mon, Tue, Wed, Thu, Fri, Sat, Sun].map(Unsaid::Weekday);
        let days = (1..=7).flat_map(|day| [Unsaid::MonthAndDay(day), Unsaid::YearMonthAndDay(day)]);
        [Unsaid::Nothing, Unsaid::Year].into_iter().chain(week).chain(days)
    }

    /// Setting what was parsed already fails where it differs, and that is as it should be.
    fn fill_in(self, mut date: Parsed) -> Parsed {
        if let Unsaid::Year | Unsaid::YearMonthAndDay(_) = self {
            let _ = date.set_year(2024); // a leap year: every day of a month is in it
        }
        if let Unsaid::Weekday(day) = self {
            let _ = date.set_weekday(day);
        }
        if let Unsaid::MonthAndDay(day) | Unsaid::YearMonthAndDay(day) = self {
            let _ = (date.set_month(1), date.set_day(day));
        }
        date
    }
}

/// The first second that fits what is said; see [`Unsaid::fill_in`].
fn at_its_start(mut time: Parsed) -> Parsed {
    let _ = (time.set_ampm(false), time.set_hour12(12), time.set_minute(0), time.set_second(0));
    time
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: u64 = 1_735_732_805; // 2025-01-01 12:00:05 UTC

    fn pattern(path: &str) -> NamePattern {
        NamePattern::new(Path::new(path)).unwrap()
    }

    #[test]
    fn names_at_a_time() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(NOON);
        for (path, number, expected) in [
            ("traffic.avro", 0, "./traffic.avro"),
            ("traffic.avro", 7, "./traffic.7.avro"),
            ("/var/traffic-%Y%m%d-%H%M%S.avro", 0, "/var/traffic-20250101-120005.avro"),
            ("/var/traffic-%Y%m%d-%H%M%S.avro", 1, "/var/traffic-20250101-120005.1.avro"),
            ("a/%H", 0, "a/12"),
            ("a/%H", 2, "a/12.2"),
            (".hidden", 3, "./.hidden.3"),
            ("traffic.%j", 1, "./traffic.001.1"),
            ("100%%.avro", 0, "./100%.avro"),
            ("%d/50.avro", 0, "%d/50.avro"),
            ("%s-%b.avro", 0, "./1735732805-Jan.avro"),
        ] {
            let pattern = pattern(path);
            assert_eq!(pattern.path(&pattern.stem_at(time), number), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn what_is_of_the_pattern_and_what_is_not() {
        for (path, own, others) in [
            (
                "traffic.avro",
                &["traffic.avro", "traffic.1.avro", "traffic.99.avro"][..],
                &[
                    "traffic.01.avro",
                    "traffic.0.avro",
                    "traffic.1.2.avro",
                    "traffic.+1.avro",
                    "traffic",
                    "xtraffic.avro",
                    "traffic.avro.bak",
                    "traffic-1.avro",
                    "traffic..avro",
                    "traffic.99999999999999999999.avro",
                ][..],
            ),
            (
                "t-%Y%m%d-%H%M%S.avro",
                &["t-20250101-120005.avro", "t-20240229-000000.3.avro"],
                &[
                    "t-20250101-120005.x.avro",
                    "t-20250230-000000.avro",
                    "t-2025 1 1-120005.avro",
                    "t-2025101-120005.avro",
                    "t-+20250101-120005.avro",
                    "t-.avro",
                    "t-%Y%m%d-%H%M%S.avro",
                ],
            ),
            ("%d.%H-%M", &["28.00-59", "31.12-00.1"], &["32.00-00", "1.00-00"]),
            ("t-%Y%m%d-%H.avro", &["t-20250101-23.avro", "t-20250101-00.1.avro"], &["t-20250101-24.avro"]),
            ("t-%y-%j.avro", &["t-25-365.avro"], &["t-25-366.avro", "t-25-1.avro"]),
            ("t-%a-%I%p.avro", &["t-Sun-12PM.avro", "t-Mon-01AM.1.avro"], &["t-Xyz-12PM.avro", "t-Sunday-12PM.avro"]),
            ("t-%G-W%V.avro", &["t-2025-W01.avro", "t-2020-W53.avro"], &["t-2025-W53.avro", "t-2025-W1.avro"]),
            ("t-%Y-%U.avro", &["t-2025-00.avro", "t-2025-52.avro"], &["t-2025-54.avro"]),
            ("t-%s.avro", &["t-0.avro", "t-1735732805.avro"], &["t-.avro", "t-01.avro"]),
            (
                "%FT%T%.3f.avro",
                &["2025-01-01T12:00:05.250.avro"],
                &["2025-01-01T12:00:05.25.avro", "2025-01-01T12:00:05.avro"],
            ),
            ("t-%H.avro", &["t-00.avro", "t-23.4.avro"], &["t- 1.avro", "t-24.avro", "t-.avro", "t-aa.avro"]),
            ("t-%Y%m%d.avro", &["t-20250101.avro"], &["t-20250101-1.avro", "t-2025-01-01.avro", "t-20251301.avro"]),
        ] {
            let pattern = pattern(path);
            for name in own {
                assert!(pattern.parts(OsStr::new(name)).is_some(), "{name} is of {path}");
            }
            for name in others {
                assert_eq!(pattern.parts(OsStr::new(name)), None, "{name} is not of {path}");
            }
        }
    }

    #[test]
    fn bad_names_say_why() {
        for (path, found) in [
            ("", "no file name"),
            ("/", "a folder's name, ending in /"),
            ("a/", "a folder's name, ending in /"),
            ("a/..", "no file name"),
            ("50%.avro", "a % that begins no strftime conversion"),
            ("%", "a % that begins no strftime conversion"),
            ("a-%D.avro", "a conversion that yields a /"),
            ("a-%C.avro", "a conversion that cannot be read back"),
        ] {
            match NamePattern::new(Path::new(path)) {
                Err(FileError::Name { found: said, .. }) => assert_eq!(said, found, "{path}"),
                other => panic!("{path}: {other:?}"),
            }
        }
    }
}
