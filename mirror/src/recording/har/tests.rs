//! Ours as others open it, others' as we read it.

use std::io::Cursor;

use serde_json::{Value, json};

use super::*;
use crate::recording::avro::tests::small;
use crate::recording::plain::Refused;
use crate::recording::{Losses, ReadRecords, Record};

fn document(records: &[Record]) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    for (index, record) in records.iter().enumerate() {
        bytes.extend_from_slice(if index > 0 { BETWEEN } else { b"" });
        encode(record, &mut bytes, &mut |_| true).unwrap();
    }
    bytes.extend_from_slice(TAIL);
    bytes
}

fn read(bytes: &[u8]) -> (Vec<Record>, Losses) {
    let mut reader = Reader::new(Cursor::new(bytes.to_vec())).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.read().unwrap() {
        records.push(record);
    }
    (records, reader.losses())
}

fn entry(record: &Record) -> Value {
    let document: Value = serde_json::from_slice(&document(std::slice::from_ref(record))).unwrap();
    document["log"]["entries"][0].clone()
}

#[test]
fn an_exchange_as_others_see_it() {
    let mut record = small(1);
    record.request.target = "/a?q=1&r=%20".into();
    record.request.message.headers.push(("Cookie".into(), "a=1; b=2".into()));
    let response = record.response.as_mut().unwrap();
    response.message.headers = vec![
        ("Set-Cookie".into(), "s=1; Path=/; HttpOnly".into()),
        ("Content-Type".into(), "text/plain".into()),
        ("X-Latin".into(), b"caf\xe9".to_vec().into()),
    ];
    let mut entry = entry(&record);
    entry["request"].as_object_mut().unwrap().remove("_mirror");
    let mirror = entry.as_object_mut().unwrap().remove("_mirror").unwrap();
    assert_eq!(mirror["id"], "00000000000000000000000000000001");
    assert_eq!(
        entry,
        json!({
            "startedDateTime": "2025-01-01T00:00:00.000000Z", "time": 0.03,
            "request": {
                "method": "GET", "url": "http://x/a?q=1&r=%20", "httpVersion": "HTTP/1.1",
                "cookies": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
                "headers": [{"name": "Host", "value": "x"}, {"name": "Cookie", "value": "a=1; b=2"}],
                "queryString": [{"name": "q", "value": "1"}, {"name": "r", "value": " "}],
                "headersSize": -1, "bodySize": 0,
            },
            "response": {
                "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1",
                "cookies": [{"name": "s", "value": "1", "path": "/", "httpOnly": true}],
                "headers": [
                    {"name": "Set-Cookie", "value": "s=1; Path=/; HttpOnly"}, {"name": "Content-Type", "value": "text/plain"},
                    {"name": "X-Latin", "value": "café", "_value_base64": "Y2Fm6Q=="},
                ],
                "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
                "redirectURL": "", "headersSize": -1, "bodySize": 2,
            },
            "cache": {},
            "timings": {"send": 0.01, "wait": 0.01, "receive": 0.01},
            "serverIPAddress": "::1", "connection": "127.0.0.1:4000",
        })
    );
}

#[test]
fn a_compressed_body_is_shown_and_kept() {
    let mut record = small(1);
    let sent = crate::recording::gzip::member(b"hello hello hello").unwrap();
    let message = &mut record.response.as_mut().unwrap().message;
    message.headers = vec![("Content-Encoding".into(), "gzip".into())];
    message.body_length = sent.len() as u64;
    message.body = vec![sent.into()];
    assert_eq!(entry(&record)["response"]["content"]["text"], "hello hello hello");
    assert_eq!(read(&document(&[record.clone()])), (vec![record], Losses::default()));
}

#[test]
fn an_entry_that_a_reader_would_pass_over_is_not_written() {
    let mut bytes = Vec::new();
    encode(&small(1), &mut bytes, &mut |_| true).unwrap();
    let length = bytes.len();
    entry::encode_within(length, &small(1), &mut bytes, &mut |_| true).unwrap();
    let refused = entry::encode_within(length - 1, &small(1), &mut bytes, &mut |_| true).unwrap_err();
    assert!(matches!(refused, Refused::Unfit(_)), "{refused}");
    assert_eq!(bytes.len(), 2 * length);
}

#[test]
fn bodies_of_control_characters_are_in_base64() {
    let mut record = small(1);
    for message in [&mut record.request.message, &mut record.response.as_mut().unwrap().message] {
        (message.body, message.body_length) = (vec![vec![1; 3000].into()], 3000);
    }
    let entry = entry(&record);
    let content = &entry["response"]["content"];
    assert_eq!((&content["encoding"], content["text"].as_str().unwrap().len()), (&json!("base64"), 4000));
    assert_eq!(read(&document(&[record.clone()])), (vec![record], Losses::default()));
}

#[test]
fn what_is_decoded_has_its_room_before_it_is_there() {
    let mut record = small(1);
    let zeros = vec![0; 4 << 20];
    let sent = crate::recording::gzip::member(&zeros).unwrap();
    let message = &mut record.response.as_mut().unwrap().message;
    message.headers = vec![("Content-Encoding".into(), "gzip".into())];
    (message.body_length, message.body) = (sent.len() as u64, vec![sent.into()]);
    // In base64, as it is of control characters.
    let needed = 3 * (4 << 20);
    for (room, fits) in [(1 << 20, false), (needed, false), (64 << 20, true)] {
        let (mut left, mut bytes) = (room, Vec::new());
        let mut take = |more: usize| {
            let fits = more <= left;
            left -= if fits { more } else { 0 };
            fits
        };
        let encoded = encode(&record, &mut bytes, &mut take);
        assert_eq!(encoded, if fits { Ok(()) } else { Err(Refused::NoRoom) }, "{room}");
        assert!(bytes.capacity() <= room - left, "{room}");
    }
}

#[test]
fn entries_of_browsers_can_be_sent() {
    let har = json!({"log": {
        "version": "1.2", "creator": {"name": "Firefox", "version": "128"}, "pages": [{"title": "]}\""}],
        "entries": [
            {
                "startedDateTime": "2025-01-01T13:00:05.123+01:00", "time": 12.5, "_initiator": {"type": "script"},
                "request": {
                    "method": "POST", "url": "https://shop.example:8443/cart?x=1#top", "httpVersion": "h2",
                    "headers": [
                        {"name": ":authority", "value": "shop.example"}, {"name": ":method", "value": "POST"},
                        {"name": "content-length", "value": "99"}, {"name": "accept", "value": "*/*"},
                    ],
                    "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 7,
                    "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "1 2"}, {"name": "b", "value": null}]},
                },
                "response": {
                    "status": 200, "statusText": "", "httpVersion": "http/2.0", "headers": [{"name": "server", "value": "x"}],
                    "content": {"size": 3, "mimeType": "image/png", "text": "AP/+", "encoding": "base64"},
                    "redirectURL": "", "headersSize": -1, "bodySize": -1, "_transferSize": 10,
                },
                "cache": {}, "serverIPAddress": "[2001:db8::1]", "connection": "443",
                "timings": {"blocked": 1.5, "dns": -1, "connect": -1, "ssl": -1, "send": 0.5, "wait": 8, "receive": 2},
            },
            {
                "startedDateTime": "2025-01-01T12:00:06Z",
                "request": {"method": "GET", "url": "http://shop.example", "httpVersion": "HTTP/1.1", "headers": [{"name": "Host", "value": "shop.example"}]},
                "response": {"status": 0, "statusText": "", "headers": [], "content": {"size": 0, "mimeType": "x-unknown"}, "_error": "net::ERR_ABORTED"},
            },
            {"startedDateTime": "2025-01-01T12:00:07Z", "request": {"method": "PUT", "url": "http://a/b", "headers": [{"name": "Content-Length", "value": "5"}]}},
            {"no": "request"},
        ],
        "comment": "behind",
    }});
    let text = format!("\u{feff}{}", serde_json::to_string_pretty(&har).unwrap());
    let (records, losses) = read(text.as_bytes());
    assert_eq!((records.len(), losses.stretches, losses.torn), (3, 1, 0));
    assert_eq!(losses.first.unwrap().reason, "an entry without what it needs");

    let [first, second, third] = &records[..] else { unreachable!() };
    let line = |name: &str, value: &str| (name.to_owned().into(), value.to_owned().into());
    assert_eq!(
        (&first.request.method[..], &first.request.target[..], &first.request.version[..]),
        (&b"POST"[..], &b"/cart?x=1"[..], &b"HTTP/1.1"[..])
    );
    assert_eq!(
        first.request.message.headers,
        [line("Host", "shop.example"), line("content-length", "8"), line("accept", "*/*")]
    );
    assert_eq!(first.request.message.body.concat(), b"a=1+2&b=");
    assert_eq!(first.response.as_ref().unwrap().message.body.concat(), b"\x00\xff\xfe");
    assert_eq!(first.server, Some("[2001:db8::1]:8443".parse().unwrap()));
    let micros = |time: Option<std::time::Duration>| time.map(|time| time.as_micros());
    assert_eq!(
        (micros(first.request_end), micros(first.response_start), micros(first.end)),
        (Some(2000), Some(10_000), Some(12_000))
    );
    assert_eq!(
        (&second.request.target[..], &second.response, second.aborted.as_deref()),
        (&b"/"[..], &None, Some("net::ERR_ABORTED"))
    );
    assert_eq!(third.request.message.headers, [line("Host", "a"), line("Content-Length", "5")]);
    assert_eq!((third.request.message.truncated.as_deref(), third.request.message.body_length), (Some("har"), 5));
}

#[test]
fn damage_costs_the_entries_that_it_hits() {
    let records: Vec<Record> = (1..=4).map(small).collect();
    let whole = document(&records);
    let second =
        whole.windows(19).enumerate().filter(|(_, w)| w.starts_with(b"\n{\"startedDateTime\"")).nth(1).unwrap().0;
    for (what, at, byte) in
        [("a quote too few", second + 2, b'x'), ("a brace too few", second + 1, b' '), ("no colon", second + 19, b' ')]
    {
        let mut damaged = whole.clone();
        damaged[at] = byte;
        let (found, losses) = read(&damaged);
        let ids: Vec<u128> = found.iter().map(|record| record.id).collect();
        assert_eq!((ids, losses.stretches, losses.torn), (vec![1, 3, 4], 1, 0), "{what}");
        assert!(losses.first.unwrap().offset as usize >= second, "{what}");
    }
}

#[test]
fn what_is_behind_the_entries_is_looked_at() {
    let whole = document(&[small(1)]);
    assert_eq!(read(&whole).1, Losses::default());
    for cut in 1..TAIL.len() {
        let losses = read(&whole[..whole.len() - cut]).1;
        // A line end too few is none.
        assert_eq!(losses.any(), cut > 1, "{cut}: {losses}");
    }
}
