//! Where a JSON value ends, without reading what it says.

/// Follows a value byte by byte. It does not care whether the value is right, only where it ends.
#[derive(Debug, Default)]
pub(super) struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Scan {
    /// How many of these bytes belong to the value, where it ends among them. A number or a word ends before what cannot be a part of it.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.in_string {
                if std::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let found = memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                at += found + 1;
                match bytes[at - 1] {
                    b'\\' => self.escaped = true,
                    _ => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(at);
                        }
                    }
                }
                continue;
            }
            let is_bare = self.begun && self.depth == 0;
            match byte {
                b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n' if is_bare => return Some(at),
                b'"' => (self.in_string, self.begun) = (true, true),
                b'{' | b'[' => (self.depth, self.begun) = (self.depth + 1, true),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => self.begun = true,
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_do_however_they_come() {
        for (value, rest) in [
            (r#"{"a":[1,{"b":"}\"]"}],"c":"\\"}"#, ",{"),
            ("[]", "]"),
            (r#""te\\\"xt""#, "}"),
            ("-1.5e3", ","),
            ("null", "\n}"),
            ("  true", " "),
        ] {
            let text = format!("{value}{rest}");
            for step in 1..=text.len() {
                let (mut scan, mut taken) = (Scan::default(), 0);
                let end = text.as_bytes().chunks(step).find_map(|part| match scan.end(part) {
                    Some(end) => Some(taken + end),
                    None => {
                        taken += part.len();
                        None
                    }
                });
                assert_eq!(end, Some(value.len()), "{text} by {step}");
            }
        }
    }
}
