//! Edits of names with values: headers, a query's parameters, cookies.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::config::Edits;
use crate::content::form::Pair;
use crate::exchange::Exchange;
use crate::http1::Header;
use crate::template::Template;

/// What edits are made of.
pub(super) trait Named {
    fn new(name: Bytes, value: Bytes) -> Self;
    fn name(&self) -> &Bytes;
    fn value(&self) -> &Bytes;
}

impl Named for Pair {
    fn new(name: Bytes, value: Bytes) -> Pair {
        Pair::new(name, value)
    }

    fn name(&self) -> &Bytes {
        &self.name
    }

    fn value(&self) -> &Bytes {
        &self.value
    }
}

impl Named for Header {
    fn new(name: Bytes, value: Bytes) -> Header {
        Header { name, value: super::value(value) }
    }

    fn name(&self) -> &Bytes {
        &self.name
    }

    fn value(&self) -> &Bytes {
        &self.value
    }
}

/// Makes the edits. The values are filled in before anything is changed, so that all come from the request as it was.
pub(super) struct Editor<'a> {
    edits: &'a Edits,
    set: SmallVec<[Bytes; 4]>,
    append: SmallVec<[Bytes; 4]>,
    /// Whether names are the same in any case.
    any_case: bool,
    /// Names that stay as they are, whatever a glob says.
    fixed: &'static [&'static str],
}

impl<'a> Editor<'a> {
    /// Of names that are the same in the same case only.
    pub(super) fn new(edits: &'a Edits, seen: &Exchange) -> Editor<'a> {
        let fill = |template: &Template| template.fill(seen);
        let (set, append) = (edits.set.values().map(fill).collect(), edits.append.values().map(fill).collect());
        Editor { edits, set, append, any_case: false, fixed: &[] }
    }

    /// Of a message's headers.
    pub(super) fn of_headers(edits: &'a Edits, seen: &Exchange) -> Editor<'a> {
        Editor { any_case: true, fixed: &super::FRAMING, ..Editor::new(edits, seen) }
    }

    pub(super) fn edit<T: Named>(&self, pairs: &mut Vec<T>) {
        let Edits { remove, rename, replace, set, append } = self.edits;
        if let Some(remove) = remove {
            pairs.retain(|pair| !remove.any(|glob| glob.matches(pair.name())) || self.is_fixed(pair.name()));
        }
        let edits = !rename.is_empty() || !replace.is_empty();
        for pair in pairs.iter_mut().filter(|pair| edits && !self.is_fixed(pair.name())) {
            if let Some((_, new)) = rename.iter().find(|(old, _)| self.same(old, pair.name())) {
                *pair = T::new(Bytes::copy_from_slice(new.as_bytes()), pair.value().clone());
            }
            for edit in replace {
                if !edit.name.matches(pair.name()) {
                    continue;
                }
                let new = edit.found.regex().replace_all(pair.value(), edit.with.as_bytes()).into_owned();
                if new != *pair.value() {
                    *pair = T::new(pair.name().clone(), new.into());
                }
            }
        }
        for (name, value) in set.keys().zip(&self.set) {
            let Some(first) = pairs.iter().position(|pair| self.same(name, pair.name())) else {
                pairs.push(T::new(Bytes::copy_from_slice(name.as_bytes()), value.clone()));
                continue;
            };
            // As it was spelled; those behind it are one with it.
            pairs[first] = T::new(pairs[first].name().clone(), value.clone());
            let mut at = 0..;
            pairs.retain(|pair| at.next() <= Some(first) || !self.same(name, pair.name()));
        }
        for (name, value) in append.keys().zip(&self.append) {
            pairs.push(T::new(Bytes::copy_from_slice(name.as_bytes()), value.clone()));
        }
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
