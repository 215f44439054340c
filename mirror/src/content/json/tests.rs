use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pointer(text: &str) -> Pointer {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn order_and_digits_are_kept() {
    for text in
        [r#"{"z":1,"a":{"y":[],"b":null},"m":true}"#, r#"[12345678901234567890123,0.10,1e+400,-0]"#, r#""text""#, "17"]
    {
        assert_eq!(write(&read(text.as_bytes()).unwrap()), text);
    }
    assert_eq!(write(&read(b"\xef\xbb\xbf { \"a\" : \"\\u0040\\/\" }\n").unwrap()), r#"{"a":"@/"}"#);
}

#[test]
fn what_cannot_be_read() {
    let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(read(deep(127).as_bytes()).is_ok());
    assert_eq!(read(deep(128).as_bytes()), Err(JsonError::TooDeep));
    assert_eq!(read_all(format!("1 {}", deep(100_000)).as_bytes()), Err(JsonError::TooDeep));
    for text in [&b""[..], b"{", b"{'a':1}", b"[1,]", b"\"\xff\"", b"\"\\ud800\"", b"1 2", b"NaN", b")]}',\n{}"] {
        assert_eq!(read(text), Err(JsonError::Syntax), "{}", text.escape_ascii());
    }
}

#[test]
fn keys_that_are_there_twice() {
    for (text, repeats) in [
        (r#"{"a":1,"a":2}"#, true),
        (r#"[0,{"b":{"a":[1.5,-2],"\u0061":null}}]"#, true),
        (r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2e9}]} {"a":"a"}"#, false),
        ("[12345678901234567890123, -0, 0.5, true, null]", false),
        // What looks like the crate's own way of telling numbers.
        (r#"{"$serde_json::private::Number":"12"}"#, false),
        (r#"{"a":1,"$serde_json::private::Number":"12"}"#, true),
    ] {
        assert_eq!(repeats_keys(text.as_bytes(), &read_all(text.as_bytes()).unwrap()), repeats, "{text}");
    }
}

#[test]
fn lines_of_documents() {
    let lines = read_all(b"{\"a\":1}\r\n\n[2]\n").unwrap();
    assert_eq!(write_all(&lines), "{\"a\":1}\n[2]\n");
    assert_eq!(write_all(&read_all(b" 1 ").unwrap()), "1");
    assert_eq!(read_all(b"{\"a\":1}\n{\"a\"").unwrap_err(), JsonError::Syntax);
}

#[test]
fn a_value_is_set() {
    let document = json!({ "user": { "name": "a", "tags": [1, 2] }, "none": null, "text": "t", "a/b": { "~": 0 } });
    for (at, set) in [
        ("", json!(9)),
        ("/user/name", json!({ "user": { "name": 9, "tags": [1, 2] }, "none": null, "text": "t", "a/b": { "~": 0 } })),
        (
            "/user/tags/0",
            json!({ "user": { "name": "a", "tags": [9, 2] }, "none": null, "text": "t", "a/b": { "~": 0 } }),
        ),
        (
            "/user/tags/2",
            json!({ "user": { "name": "a", "tags": [1, 2, 9] }, "none": null, "text": "t", "a/b": { "~": 0 } }),
        ),
        (
            "/user/tags/-/x",
            json!({ "user": { "name": "a", "tags": [1, 2, { "x": 9 }] }, "none": null, "text": "t", "a/b": { "~": 0 } }),
        ),
        (
            "/none/a/0",
            json!({ "user": { "name": "a", "tags": [1, 2] }, "none": { "a": { "0": 9 } }, "text": "t", "a/b": { "~": 0 } }),
        ),
        ("/a~1b/~0", json!({ "user": { "name": "a", "tags": [1, 2] }, "none": null, "text": "t", "a/b": { "~": 9 } })),
        ("/", json!({ "user": { "name": "a", "tags": [1, 2] }, "none": null, "text": "t", "a/b": { "~": 0 }, "": 9 })),
    ] {
        let mut changed = document.clone();
        assert!(pointer(at).set(&mut changed, json!(9)), "{at}");
        assert_eq!(changed.to_string(), set.to_string(), "{at}");
        assert_eq!(pointer(at).find(&mut changed).is_some(), at != "/user/tags/-/x", "{at}");
    }
    for at in ["/text/x", "/user/tags/3", "/user/tags/01", "/user/tags/+1", "/user/tags/x"] {
        let mut changed = document.clone();
        assert!(!pointer(at).set(&mut changed, json!(9)), "{at}");
        assert_eq!(changed, document, "{at}");
    }
}

#[test]
fn a_value_is_taken_out() {
    let document = json!({ "a": 1, "b": [1, 2, 3], "c": 3 });
    for (at, removed, left) in [
        ("/a", Some(json!(1)), r#"{"b":[1,2,3],"c":3}"#),
        ("/b/1", Some(json!(2)), r#"{"a":1,"b":[1,3],"c":3}"#),
        ("/b/3", None, r#"{"a":1,"b":[1,2,3],"c":3}"#),
        ("/b/-", None, r#"{"a":1,"b":[1,2,3],"c":3}"#),
        ("/c/x", None, r#"{"a":1,"b":[1,2,3],"c":3}"#),
        ("", Some(document.clone()), "null"),
    ] {
        let mut changed = document.clone();
        assert_eq!(pointer(at).remove(&mut changed), removed, "{at}");
        assert_eq!(changed.to_string(), left, "{at}");
    }
}

#[test]
fn all_that_a_pointer_with_stars_finds() {
    let document = json!({ "users": [{ "ssn": 1, "name": "a" }, { "ssn": 2 }, 3], "by": { "x": { "ssn": 4 } } });
    for (at, left) in [
        ("/users/*/ssn", r#"{"users":[{"name":"a"},{},3],"by":{"x":{"ssn":4}}}"#),
        ("/*/*/ssn", r#"{"users":[{"name":"a"},{},3],"by":{"x":{}}}"#),
        ("/users/*", r#"{"users":[],"by":{"x":{"ssn":4}}}"#),
        ("/users/0", r#"{"users":[{"ssn":2},3],"by":{"x":{"ssn":4}}}"#),
        ("/by/y", r#"{"users":[{"ssn":1,"name":"a"},{"ssn":2},3],"by":{"x":{"ssn":4}}}"#),
        ("", "null"),
    ] {
        let mut changed = document.clone();
        pointer(at).retain_matching(&mut changed, &mut |_| false);
        assert_eq!(changed.to_string(), left, "{at}");
    }
}

#[test]
fn members_and_texts_at_any_depth() {
    let mut document = json!({ "a": { "p": "x", "b": [{ "p": { "p": 1 } }] }, "p": 1, "n": 4111, "x": "x", "xy": 0 });
    retain_members(&mut document, &mut |key, _| key != "p");
    assert_eq!(document.to_string(), r#"{"a":{"b":[{}]},"n":4111,"x":"x","xy":0}"#);
    edit_texts(&mut document, &mut |text| (text.contains('x') || text.contains('4')).then(|| text.to_uppercase()));
    assert_eq!(document.to_string(), r#"{"a":{"b":[{}]},"n":"4111","X":"X","XY":0}"#);
}

#[test]
fn what_is_no_pointer() {
    for text in ["a", "a/b", "/a~", "/~2", "/~~0"] {
        assert!(text.parse::<Pointer>().is_err(), "{text}");
    }
    assert!("/a".repeat(MAX_SEGMENTS).parse::<Pointer>().is_ok());
    assert!("/a".repeat(MAX_SEGMENTS + 1).parse::<Pointer>().is_err());
}

/// A document, as deep as five.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c~/\"\\\\é]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c~/*0-]{0,2}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn written_and_read_it_is_the_same(document in documents()) {
        let text = write(&document);
        prop_assert_eq!(write(&read(&text).unwrap()), &text);
        prop_assert!(!repeats_keys(&text, &[document]));
    }

    #[test]
    fn what_was_set_is_found_and_taken_out(
        mut document in documents(),
        segments in prop::collection::vec("[a-c~/01]{0,2}", 0..4),
    ) {
        let text: String = segments.iter().map(|s| format!("/{}", s.replace('~', "~0").replace('/', "~1"))).collect();
        let pointer = pointer(&text);
        prop_assert_eq!(pointer.to_string(), text);
        let before = document.clone();
        if pointer.set(&mut document, json!("new")) {
            prop_assert_eq!(pointer.find(&mut document), Some(&mut json!("new")));
            prop_assert_eq!(pointer.remove(&mut document), Some(json!("new")));
        } else {
            prop_assert_eq!(document, before);
        }
    }

    #[test]
    fn garbage_never_panics(garbage in "[\\[\\]{}\":,0-9eE.\\\\u +-]{0,60}") {
        if let Ok(documents) = read_all(garbage.as_bytes()) {
            repeats_keys(garbage.as_bytes(), &documents);
            let again = read_all(&write_all(&documents));
            prop_assert_eq!(again, Ok(documents));
        }
    }
}
