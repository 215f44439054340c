//! Edits of names with values: headers, a query's parameters, cookies.

use bytes::Bytes;

use crate::config::Edits;
use crate::exchange::Exchange;

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Bytes,
    pub(super) value: Bytes,
    /// How it was sent, while it is as it was.
    pub(super) sent: Option<Bytes>,
}

impl Entry {
    pub(super) fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Entry {
        Entry { name: name.into(), value: value.into(), sent: None }
    }

    pub(super) fn sent(name: impl Into<Bytes>, value: impl Into<Bytes>, sent: Bytes) -> Entry {
        Entry { sent: Some(sent), ..Entry::new(name, value) }
    }
}

/// Makes the edits.
pub(super) struct Editor<'a> {
    pub(super) edits: &'a Edits,
    /// Whether names are the same in any case.
    pub(super) any_case: bool,
    /// Names that stay as they are, whatever a glob says.
    pub(super) fixed: &'a [&'a str],
}

impl Editor<'_> {
    pub(super) fn edit(&self, mut entries: Vec<Entry>, seen: &Exchange) -> Vec<Entry> {
        let Edits { remove, rename, replace, set, append } = self.edits;
        if let Some(remove) = remove {
            entries.retain(|entry| self.is_fixed(&entry.name) || !remove.any(|glob| glob.matches(&entry.name)));
        }
        for entry in entries.iter_mut().filter(|entry| !self.is_fixed(&entry.name)) {
            if let Some((_, new)) = rename.iter().find(|(old, _)| self.same(old, &entry.name)) {
                *entry = Entry::new(Bytes::copy_from_slice(new.as_bytes()), entry.value.clone());
            }
            for edit in replace {
                if !edit.name.matches(&entry.name) {
                    continue;
                }
                let new = edit.found.regex().replace_all(&entry.value, edit.with.as_bytes()).into_owned();
                if new != entry.value {
                    *entry = Entry::new(entry.name.clone(), new);
                }
            }
        }
        for (name, template) in set {
            let value = template.fill(seen);
            let first = entries.iter().position(|entry| self.same(name, &entry.name));
            // As it was spelled, where it was there.
            let spelled = first.map_or_else(|| Bytes::copy_from_slice(name.as_bytes()), |at| entries[at].name.clone());
            entries.retain(|entry| !self.same(name, &entry.name));
            let at = first.unwrap_or(entries.len());
            entries.insert(at, Entry::new(spelled, value));
        }
        for (name, template) in append {
            entries.push(Entry::new(Bytes::copy_from_slice(name.as_bytes()), template.fill(seen)));
        }
        entries
    }

    fn same(&self, name: &str, other: &[u8]) -> bool {
        match self.any_case {
            true => name.as_bytes().eq_ignore_ascii_case(other),
            false => name.as_bytes() == other,
        }
    }

    fn is_fixed(&self, name: &[u8]) -> bool {
        self.fixed.iter().any(|fixed| fixed.as_bytes().eq_ignore_ascii_case(name))
    }
}
