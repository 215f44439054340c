//! Go's regular expressions (RE2's, <https://github.com/google/re2/wiki/Syntax>) as the crate `regex` writes them. The two are nearly one.

/// The same expression. What Go takes as it stands and Rust does not is escaped: a brace that begins no repetition, a bracket, `&` and `~` in a
/// class; `\<` and `\>`, which are signs in Go and word boundaries in Rust; and the text between `\Q` and `\E`.
pub(super) fn of_go(go: &str) -> String {
    let mut ours = String::with_capacity(go.len());
    let mut rest = go;
    let mut in_class = false;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match next {
            '\\' if rest.starts_with("\\Q") && !in_class => {
                let quoted = &rest[2..];
                let end = quoted.find("\\E").unwrap_or(quoted.len());
                quoted[..end].chars().for_each(|c| push_literal(c, &mut ours));
                taken = (2 + end + 2).min(rest.len());
            }
            '\\' => {
                let escaped = rest[1..].chars().next();
                taken += escaped.map_or(0, char::len_utf8);
                match escaped {
                    Some(sign @ ('<' | '>')) => ours.push(sign),
                    _ => ours.push_str(&rest[..taken]),
                }
            }
            '[' if !in_class => {
                in_class = true;
                ours.push('[');
                // A bracket that closes nothing yet is one of the class.
                for first in ['^', ']'] {
                    if rest[taken..].starts_with(first) {
                        ours.push_str(if first == ']' { "\\]" } else { "^" });
                        taken += 1;
                    }
                }
            }
            '[' => match rest.starts_with("[:").then(|| rest.find(":]")).flatten() {
                Some(end) => {
                    taken = end + 2;
                    ours.push_str(&rest[..taken]);
                }
                None => ours.push_str("\\["),
            },
            ']' if in_class => {
                in_class = false;
                ours.push(']');
            }
            '&' | '~' if in_class => ours.extend(['\\', next]),
            '{' if !in_class && !repeats(&rest[1..]) => ours.push_str("\\{"),
            other => ours.push(other),
        }
        rest = &rest[taken..];
    }
    ours
}

fn push_literal(c: char, into: &mut String) {
    if c.is_ascii_punctuation() {
        into.push('\\');
    }
    into.push(c);
}

/// Whether it is `n}`, `n,}` or `n,m}`.
fn repeats(text: &str) -> bool {
    let Some((bounds, _)) = text.split_once('}') else { return false };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match bounds.split_once(',') {
        Some((least, most)) => !least.is_empty() && digits(least) && digits(most),
        None => !bounds.is_empty() && digits(bounds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_are_the_same() {
        for same in [
            "",
            "^/api/v[12]/",
            r"/v1/user/([^\/]+)/ping",
            "a{2}b{2,}c{2,3}",
            r"[[:alpha:]\]]+\d\.",
            "(?i)x|(?P<n>y)",
            r"\{a\}",
            "[^a-z]",
            "é",
        ] {
            assert_eq!(of_go(same), same);
        }
    }

    #[test]
    fn what_go_takes_as_it_stands() {
        for (go, ours) in [
            ("/user/{id}", r"/user/\{id}"),
            ("{,2}", r"\{,2}"),
            ("a{", r"a\{"),
            (r"\<b\>", "<b>"),
            (r"\Qa.b*\E+", r"a\.b\*+"),
            (r"\Qa+", r"a\+"),
            ("[a[b]", r"[a\[b]"),
            ("[]a]x]", r"[\]a]x]"),
            ("[^]a]", r"[^\]a]"),
            ("[a&&b~]", r"[a\&\&b\~]"),
            ("[{]", "[{]"),
            (r"\", r"\"),
        ] {
            assert_eq!(of_go(go), ours, "{go}");
        }
    }
}
