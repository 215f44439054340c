//! Edits of names with values: headers, a query's parameters, cookies.

use bytes::Bytes;

use crate::config::Edits;
use crate::content::form::Pair;
use crate::exchange::Exchange;

/// Makes the edits.
pub(super) struct Editor<'a> {
    pub(super) edits: &'a Edits,
    /// Whether names are the same in any case.
    pub(super) any_case: bool,
    /// Names that stay as they are, whatever a glob says.
    pub(super) fixed: &'a [&'a str],
}

impl Editor<'_> {
    pub(super) fn edit(&self, mut pairs: Vec<Pair>, seen: &Exchange) -> Vec<Pair> {
        let Edits { remove, rename, replace, set, append } = self.edits;
        if let Some(remove) = remove {
            pairs.retain(|pair| !remove.any(|glob| glob.matches(&pair.name)) || self.is_fixed(&pair.name));
        }
        let edits = !rename.is_empty() || !replace.is_empty();
        for pair in pairs.iter_mut().filter(|pair| edits && !self.is_fixed(&pair.name)) {
            if let Some((_, new)) = rename.iter().find(|(old, _)| self.same(old, &pair.name)) {
                *pair = Pair::new(Bytes::copy_from_slice(new.as_bytes()), pair.value.clone());
            }
            for edit in replace {
                if !edit.name.matches(&pair.name) {
                    continue;
                }
                let new = edit.found.regex().replace_all(&pair.value, edit.with.as_bytes()).into_owned();
                if new != pair.value {
                    *pair = Pair::new(pair.name.clone(), new);
                }
            }
        }
        for (name, template) in set {
            let value = template.fill(seen);
            let first = pairs.iter().position(|pair| self.same(name, &pair.name));
            // As it was spelled, where it was there.
            let spelled = first.map_or_else(|| Bytes::copy_from_slice(name.as_bytes()), |at| pairs[at].name.clone());
            pairs.retain(|pair| !self.same(name, &pair.name));
            let at = first.unwrap_or(pairs.len());
            pairs.insert(at, Pair::new(spelled, value));
        }
        for (name, template) in append {
            pairs.push(Pair::new(Bytes::copy_from_slice(name.as_bytes()), template.fill(seen)));
        }
        pairs
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
