//! Where the listener and an oracle are known to differ, and why. Each is pinned: when it changes, the test tells.

/// A known difference.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// As the comparison tells it.
    pub(crate) difference: &'static str,
    pub(crate) reason: &'static str,
}

const KNOWN: &[Known] = &[];

/// Files of which only a part is HTTP/1, and why the rest is not looked for.
const OUT_OF_SCOPE: &[(&str, &str)] = &[];

/// What is known to differ in a file.
pub(crate) fn of(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Why something in a file is not compared.
pub(crate) fn out_of_scope(name: &str) -> Option<&'static str> {
    OUT_OF_SCOPE.iter().find(|(file, _)| *file == name).map(|(_, why)| *why)
}

/// All files named here.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name).chain(OUT_OF_SCOPE.iter().map(|(name, _)| *name))
}
