//! Secrets put anywhere: none is found behind the stage.

use proptest::prelude::*;

use super::*;
use crate::budget::Budget;
use crate::content::{Codings, json};

/// A rule and a secret that it is to hide, as it stands decoded.
fn secrets() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        Just(("pattern: card", "4111111111111111".to_owned())),
        Just(("pattern: card", "5555 5555-5555 4444".to_owned())),
        "[a-z]{3,9}\\.[a-z]{2,6}@[a-z]{3,8}\\.(com|example)".prop_map(|mail| ("pattern: email", mail)),
        "[A-Za-z0-9_-]{20,40}".prop_map(|token| ("pattern: bearer", token)),
        "eyJhbGciOiJIUzI1NiJ9\\.[A-Za-z0-9_-]{10,20}\\.[A-Za-z0-9_-]{10,20}".prop_map(|jwt| ("pattern: jwt", jwt)),
        "[!#-:<-~]{12,20}".prop_map(|value| ("header: X-Key, cookie: key, query: key, form: key, json: key", value)),
    ]
}

/// Other spellings of a text that mean the same, in URLs and in JSON.
fn percent(text: &str, which: &[bool]) -> String {
    let mut which = which.iter().cycle();
    let must = |b: u8| !b.is_ascii_alphanumeric() && !b"-._~@".contains(&b);
    let spelled = text.bytes().map(|b| match must(b) || *which.next().unwrap_or(&false) {
        true => format!("%{b:02x}"),
        false => char::from(b).to_string(),
    });
    spelled.collect()
}

fn json_text(text: &str, which: &[bool]) -> String {
    let mut which = which.iter().cycle();
    let must = |c: char| c == '"' || c == '\\';
    let spelled = text.chars().map(|c| match must(c) || *which.next().unwrap_or(&false) {
        true => format!("\\u{:04X}", u32::from(c)),
        false => c.to_string(),
    });
    format!("\"{}\"", spelled.collect::<String>())
}

/// Whether a part of the secret, of six characters or more, is in these bytes, as it stands there or spelled otherwise.
fn has(bytes: &[u8], secret: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let decoded = form_urlencoded::parse(format!("x={}", text.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned());
    let unescaped =
        json::read_all(bytes).map(|documents| documents.iter().map(|it| format!("{it:?}")).collect::<String>());
    [Some(text.into_owned()), decoded, unescaped.ok()]
        .into_iter()
        .flatten()
        .any(|text| (0..secret.len() - 5).any(|at| text.contains(&secret[at..at + 6])))
}

proptest! {
    #[test]
    fn no_secret_is_left_in_a_head(
        (rule, secret) in secrets(),
        place in 0..8,
        which in prop::collection::vec(any::<bool>(), 1..9),
        with in prop::sample::select(vec!["mask", "remove", "hash"]),
    ) {
        let named = rule.starts_with("header");
        let shown = if rule == "pattern: bearer" { format!("Bearer {secret}") } else { secret.clone() };
        let encoded = percent(&shown, &which);
        let (target, line) = match place {
            0 => ("/".to_owned(), format!("X-Key: {shown}")),
            1 => (format!("/?a=1&key={encoded}&b=2"), "X: 1".to_owned()),
            2 => ("/".to_owned(), format!("Cookie: a=1; key={shown}; b=2")),
            3 => ("/".to_owned(), format!("Referer: http://app/x?y&key={encoded}")),
            4 => (format!("/?next={}", percent(&format!("/in?key={encoded}&z"), &which)), "X: 1".to_owned()),
            5 => ("/".to_owned(), format!("Set-Cookie: key={shown}; Path=/")),
            6 => ("/".to_owned(), format!("Location: /#key={encoded}")),
            _ if named => ("/".to_owned(), "X: 1".to_owned()),
            _ => (format!("/users/{encoded}/x"), "X: 1".to_owned()),
        };
        let wire_head = Bytes::from(format!("GET {target} HTTP/1.1\r\nHost: app\r\n{line}\r\n\r\n"));
        let mut head = RequestHead::parse(&wire_head).unwrap();
        rules(&format!("{{{rule}, with: {with}}}")).request(&mut head, &mut Tally::default());
        let after = format!("{}\n{}", String::from_utf8_lossy(&head.target), wire(&head.headers));
        prop_assert!(!has(after.as_bytes(), &secret), "{rule} {with}: {after}");
        prop_assert!(!after.lines().any(|part| has(part.as_bytes(), &secret)), "{rule} {with}: {after}");
    }

    #[test]
    fn no_secret_is_left_in_a_body(
        (rule, secret) in secrets(),
        place in 0..5,
        coding in prop::sample::select(vec!["identity", "gzip", "deflate", "br", "zstd", "gzip, zstd"]),
        which in prop::collection::vec(any::<bool>(), 1..9),
        content_type in prop::sample::select(vec!["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", ""]),
        with in prop::sample::select(vec!["mask", "remove", "hash"]),
        encoding in prop::sample::select(vec!["keep", "identity"]),
        (cut, most) in (0usize..40, prop::sample::select(vec!["30", "1MiB"])),
    ) {
        let shown = if rule == "pattern: bearer" { format!("Bearer {secret}") } else { secret.clone() };
        let text = match place {
            0 => format!("{{\"a\": [{{\"key\" : {}}}], \"b\": 1}}", json_text(&shown, &which)),
            1 => format!("a=1&key={}&b=2", percent(&shown, &which)),
            2 => format!("{{\"a\": {{\"key\": {}, \"key\": null}}}}", json_text(&shown, &which)),
            3 => format!("{{\"{}\": 1}}\n{{\"key\": {}}}\n", "a", json_text(&shown, &which)),
            // A name stands for nothing in a text that is no form; what a secret looks like does.
            _ if rule.starts_with("header") => "a text".to_owned(),
            _ => format!("a text with {shown} in it"),
        };
        // A form among other types of text is known as such by how it looks.
        prop_assume!(!(place == 1 && rule.starts_with("header") && content_type == "application/json"));
        let head = headers(&format!("Content-Type: {content_type}\nContent-Encoding: {coding}\n"));
        let codings = Codings::of(&head).unwrap();
        let sent = codings.encode(text.as_bytes());
        // What is coded may be damaged. (That a body was cut off is told by its source, and it is withheld.)
        let cut = if codings.is_identity() { 0 } else { cut / 20 * cut };
        let sent = sent.slice(..sent.len().saturating_sub(cut));
        let rules = rules(&format!("{{{rule}, with: {with}, encoding: {encoding}, max_body: {most}}}"));
        let budget = Budget::new(1 << 30);
        let Ok(looked) = rules.body(&head, &sent, &|n| budget.charge(n), &mut Tally::default()) else { return Ok(()) };
        let after = match looked {
            Some(content) if content.decoded => content.bytes,
            Some(content) => codings.decode(&content.bytes, 1 << 20).unwrap(),
            None => codings.decode(&sent, 1 << 20).unwrap_or_default(),
        };
        prop_assert!(!has(&after, &secret), "{rule}: {text:?} became {:?}", String::from_utf8_lossy(&after));
    }

    #[test]
    fn a_redacted_head_is_one_head_still(
        target in "/[!-~]{0,20}",
        value in "[ -~]{0,20}",
        yaml in prop::sample::select(vec![
            "credentials",
            "{pattern: [email, card, '~.'], with: remove}",
            "{header: '*', cookie: '*', query: '*', with: hash}",
            "{query: '*', cookie: '*', with: remove}",
        ]),
    ) {
        let wire_head = Bytes::from(format!("POST {target} HTTP/1.1\r\nHost: a\r\nCookie: {value}\r\nX: {value}\r\nContent-Length: 5\r\n\r\n"));
        let Ok(mut head) = RequestHead::parse(&wire_head) else { return Ok(()) };
        rules(yaml).request(&mut head, &mut Tally::default());
        let lines = wire(&head.headers).replace('\n', "\r\n");
        let after = Bytes::from(format!("POST {} HTTP/1.1\r\n{lines}\r\n", String::from_utf8_lossy(&head.target)));
        let again = RequestHead::parse(&after).unwrap();
        prop_assert_eq!(request_framing(&again), Ok(Framing::Length(5)));
        prop_assert_eq!(again.target, head.target);
    }
}
