//! Names of what is secret.

use crate::config::Name;

/// Globs of names, in any case.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// What most are: names alone, without a sign that says more. They are compared with every line of every head.
    plain: Vec<String>,
    globs: Vec<Name>,
}

impl Names {
    pub(super) fn new<'a>(configured: impl IntoIterator<Item = &'a Name>, preset: &[&str]) -> Names {
        let mut names = Names { plain: preset.iter().map(|&name| name.to_owned()).collect(), globs: Vec::new() };
        for name in configured {
            let text = name.to_string();
            match text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_. /:@".contains(&b)) {
                true => names.plain.push(text),
                false => names.globs.push(name.clone()),
            }
        }
        names
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.globs.is_empty()
    }

    /// Whether it is one of them; white space around a name is none of it, for those who read it so.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        let name = name.trim_ascii();
        self.plain.iter().any(|plain| plain.as_bytes().eq_ignore_ascii_case(name))
            || self.globs.iter().any(|glob| glob.matches(name))
    }

    /// Whether it is one of them, or has one of them as a part: of `user[password]` either.
    pub(super) fn has_field(&self, name: &[u8]) -> bool {
        let parts = || name.split(|b| matches!(b, b'[' | b']')).filter(|part| !part.is_empty());
        self.has(name) || (name.contains(&b'[') && parts().any(|part| self.has(part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_parts_of_them() {
        let configured: Vec<Name> = ["X-Key", "x-a*", "~^t[12]$"].map(|name| name.parse().unwrap()).into();
        let names = Names::new(&configured, &["sig"]);
        for (name, field) in [
            ("x-KEY", true),
            (" X-Key ", true),
            ("X-Abc", true),
            ("SIG", true),
            ("t2", true),
            ("t3", false),
            ("x-keys", false),
        ] {
            assert_eq!(names.has(name.as_bytes()), field, "{name}");
        }
        assert!(names.has_field(b"user[sig]") && names.has_field(b"sig[]") && !names.has(b"sig[]"));
        assert!(!names.has_field(b"a[sigs]") && !names.has_field(b"") && Names::default().is_empty());
    }
}
