//! Names of what is secret.

use crate::config::Name;

/// Globs of names, in any case.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<Name>);

impl Names {
    pub(super) fn new<'a>(configured: impl IntoIterator<Item = &'a Name>, preset: &[&str]) -> Names {
        // A preset's names are literals, which are globs.
        let preset = preset.iter().filter_map(|name| name.parse().ok());
        Names(configured.into_iter().cloned().chain(preset).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one of them; white space around a name is none of it, for those who read it so.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        let name = name.trim_ascii();
        self.0.iter().any(|glob| glob.matches(name))
    }

    /// Whether it is one of them, or has one of them as a part: of `user[password]` either.
    pub(super) fn has_field(&self, name: &[u8]) -> bool {
        let parts = || name.split(|b| matches!(b, b'[' | b']')).filter(|part| !part.is_empty());
        self.has(name) || (name.contains(&b'[') && parts().any(|part| self.has(part)))
    }
}
