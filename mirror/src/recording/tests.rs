//! All formats alike: what is written is read, in whatever order it goes through them, and however it was torn.

use std::io::Cursor;
use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::avro::tests::{as_read, record, small};
use super::*;

#[path = "../../benches/output.rs"]
mod output;

use output::Output;

/// Every format, compressed and not.
fn formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().flat_map(|format| [format, Format { gzip: true, ..format }])
}

fn write(format: Format, records: &[Record]) -> (Vec<u8>, Unheld) {
    let output = Output::default();
    let mut writer = format.writer(output.clone()).unwrap();
    records.iter().for_each(|record| writer.write(record).unwrap());
    let unheld = writer.finish().unwrap();
    let bytes = output.take();
    (bytes, unheld)
}

fn read(format: Format, bytes: &[u8]) -> Result<(Vec<Record>, Losses), FormatError> {
    let mut reader = format.reader(Cursor::new(bytes.to_vec()))?;
    let mut records = Vec::new();
    while let Some(record) = reader.read()? {
        records.push(record);
    }
    Ok((records, reader.losses()))
}

/// What GoReplay's format keeps of a record that HTTP/1 can tell (see its documentation).
fn as_gor_keeps(mut record: Record) -> Record {
    record.source = "gor".to_owned();
    record.server = None;
    record
}

fn token() -> impl Strategy<Value = Bytes> {
    "[A-Za-z][A-Za-z0-9-]{0,11}".prop_map(Bytes::from)
}

fn line_value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        3 => "([!-~]([ -~]{0,20}[!-~])?)?".prop_map(Bytes::from),
        1 => vec(0x80..=0xff_u8, 0..10).prop_map(Bytes::from),
    ]
}

fn lines() -> impl Strategy<Value = Vec<(Bytes, Bytes)>> {
    let name = token().prop_filter("framing is chosen elsewhere", |name| {
        !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"transfer-encoding")
    });
    vec((name, line_value()), 0..5)
}

/// Bodies of any bytes, and such as have GoReplay's separator, or parts of it, in them.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        Just("\n🐵🙈🙉\n".as_bytes().to_vec()),
        Just("🐵🙈🙉\n".as_bytes().to_vec()),
        Just("\n🐵🙈🙉".as_bytes().to_vec()),
        Just(b"1 00 5 0\nGET / HTTP/1.1\r\n\r\n".to_vec()),
        vec(any::<u8>(), 0..40),
    ];
    prop_oneof![vec(any::<u8>(), 0..300), vec(parts, 0..6).prop_map(|parts| parts.concat())]
}

/// A message as HTTP/1 has it, chunked or with its length; the latter's body has no separator in it, as that would change its head.
fn http_message() -> impl Strategy<Value = RecordedMessage> {
    (lines(), body(), any::<bool>(), lines()).prop_map(|(mut headers, body, chunked, trailers)| {
        let separated = memchr::memmem::find(&body, "🐵🙈🙉".as_bytes()).is_some();
        let chunked = chunked || separated;
        let (name, value) = match chunked {
            true => ("Transfer-Encoding", "chunked".to_owned()),
            false => ("content-length", body.len().to_string()),
        };
        headers.insert(headers.len() / 2, (name.into(), value.into()));
        RecordedMessage {
            headers,
            body_length: body.len() as u64,
            body: vec![body.into()],
            trailers: if chunked { trailers } else { Vec::new() },
            truncated: None,
        }
    })
}

prop_compose! {
    fn http_response()(
        status in prop_oneof![200..=203_u16, 205..=303_u16, 305..=599_u16], reason in "[A-Za-z ]{0,10}", message in http_message(),
    ) -> RecordedResponse {
        RecordedResponse { version: "HTTP/1.1".into(), status, reason: reason.trim().to_owned().into(), message }
    }
}

prop_compose! {
    /// A record that GoReplay's format keeps all of.
    fn http_record()(
        id in 1..1_u128 << 80, micros in 0..4_000_000_000_000_000_u64, method in token(), target in "/[!-~]{0,20}",
        message in http_message(), response in option::of((http_response(), 0..10_000_000_u64, 0..10_000_000_u64)),
        end in 0..10_000_000_u64, answers in vec((http_response(), 0..1_000_000_u64), 0..3),
    ) -> Record {
        let (response, times) = response.map(|(response, start, took)| (response, (start, start + took))).unzip();
        Record {
            id,
            started: UNIX_EPOCH + Duration::from_micros(micros),
            source: "gor".to_owned(),
            client: None,
            server: None,
            // A method that answers have bodies to.
            request: RecordedRequest { method: [&b"X"[..], &method].concat().into(), target: target.into(), version: "HTTP/1.1".into(), message },
            response,
            aborted: None,
            request_end: Some(Duration::from_micros(end)),
            response_start: times.map(|(start, _)| Duration::from_micros(start)),
            end: times.map(|(_, end)| Duration::from_micros(end)),
            answers: answers.into_iter().map(|(response, total)| RecordedAnswer {
                target: "target".to_owned(),
                outcome: "delivered".to_owned(),
                response: Some(response),
                first_byte: None,
                total: Some(Duration::from_micros(total)),
            }).collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn avro_har_and_json_lines_hold_any_record(records in vec(record(), 0..4)) {
        let expected: Vec<Record> = records.iter().cloned().map(as_read).collect();
        for format in formats().filter(|format| format.kind != Kind::Gor) {
            let (bytes, unheld) = write(format, &records);
            prop_assert!(!unheld.any());
            let (read, losses) = read(format, &bytes).unwrap();
            prop_assert_eq!(&read, &expected, "{}", format);
            prop_assert_eq!(losses, Losses::default(), "{}", format);
        }
    }

    #[test]
    fn goreplays_format_holds_what_http_1_can_say(records in vec(http_record(), 0..4)) {
        let expected: Vec<Record> = records.iter().cloned().map(as_read).collect();
        for format in formats().filter(|format| format.kind == Kind::Gor) {
            let (bytes, _) = write(format, &records);
            let (read, losses) = read(format, &bytes).unwrap();
            prop_assert_eq!(&read, &expected, "{}", format);
            prop_assert_eq!(losses, Losses::default(), "{}", format);
        }
    }

    #[test]
    fn a_record_goes_through_every_pair_of_formats(record in http_record(), client: std::net::SocketAddrV4, server: (std::net::IpAddr, u16)) {
        let record = Record { client: Some(client.into()), server: Some(server.into()), source: "proxy".to_owned(), ..record };
        for (first, second) in formats().flat_map(|first| formats().map(move |second| (first, second))) {
            let (between, _) = read(first, &write(first, std::slice::from_ref(&record)).0).unwrap();
            let (found, losses) = read(second, &write(second, &between).0).unwrap();
            let through_gor = [first, second].iter().any(|format| format.kind == Kind::Gor);
            let mut expected = as_read(record.clone());
            if through_gor {
                expected = as_gor_keeps(expected);
                // An id below 2⁹⁶ is GoReplay's, and names the client.
                expected.client = found[0].client;
            }
            prop_assert_eq!(&found, &[expected], "{} to {}", first, second);
            prop_assert_eq!(losses, Losses::default(), "{} to {}", first, second);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200), edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10)) {
        for format in formats() {
            let _ = read(format, &bytes);
            let (mut file, _) = write(format, &[small(1), small(2), small(3)]);
            for (at, value) in &edits {
                let at = at.index(file.len());
                file[at] = *value;
            }
            let _ = read(format, &file);
        }
    }
}

#[test]
fn a_file_torn_anywhere_yields_what_is_whole_and_says_that_it_is_torn() {
    let records: Vec<Record> = (1..=3).map(|id| as_read(small(id))).collect();
    for format in formats() {
        let (file, _) = write(format, &records);
        let (all, _) = read(format, &file).unwrap();
        assert_eq!(all.len(), 3, "{format}");
        for length in 0..file.len() {
            // A file that breaks off before it has begun is none.
            let Ok((found, losses)) = read(format, &file[..length]) else { continue };
            let mut expected = all[..found.len()].to_vec();
            if let (Kind::Gor, Some(last), Some(cut)) = (format.kind, expected.last_mut(), found.last())
                && cut.response.is_none()
            {
                // Request and response stand one behind the other, each whole by itself.
                (last.response, last.response_start, last.end) = (None, None, None);
            }
            assert_eq!(found, expected, "{format} cut at {length}");
            let is_whole = found.len() == 3 || losses.any() || file[..length].is_empty();
            // Behind a record, or Avro's header, nothing shows that there was more.
            let at_an_end = match format.kind {
                _ if format.gzip => false,
                Kind::Avro => found.is_empty() && file[..length].ends_with(&file[file.len() - 16..]),
                Kind::Gor => file[..length].ends_with("\n🐵🙈🙉\n".as_bytes()),
                Kind::Jsonl => file[..length].ends_with(b"\n") || found.last().is_some_and(|_| file[length] == b'\n'),
                Kind::Har => false,
            };
            assert!(is_whole || at_an_end, "{format} cut at {length}: {} records, {losses}", found.len());
        }
    }
}

#[test]
fn the_name_says_the_format() {
    use std::path::Path;
    for (name, said) in [
        ("traffic.avro", "avro"),
        ("a/b.c/traffic-%Y.GOR", "gor"),
        ("traffic.gor.gz", "gor.gz"),
        ("x.y.har", "har"),
        ("x.jsonl.GZ", "jsonl.gz"),
        (".gor", "gor"),
    ] {
        assert_eq!(Format::of(Path::new(name)).unwrap().to_string(), said, "{name}");
    }
    for name in ["traffic", "traffic.gz", "traffic.txt", "gor", "traffic.gor.bz2", "/", "traffic.gor/.."] {
        let error = Format::of(Path::new(name)).unwrap_err().to_string();
        assert!(error.contains("expected a name that ends in one of .avro, .gor, .har, .jsonl"), "{name}: {error}");
    }
}

#[test]
fn what_is_no_recording_is_told_with_its_place() {
    for (format, bytes, message) in [
        ("avro", &b"PK\x03\x04"[..], r#"at byte 0: found "PK\x03\x04", expected an Avro recording"#),
        ("gor", b"GET / HTTP/1.1\r\n", r#"at byte 0: found "GET / HTTP/1.1\r\n", expected a GoReplay recording"#),
        ("har", b"", "at byte 0: found its end, expected a HAR"),
        ("har", b"{\"log\":{\"version\":\"1.2\"}}", "at byte 23: found a `log` without `entries`, expected a HAR"),
        ("har", b"[1]", r#"at byte 0: found "[1]", expected a HAR"#),
        ("jsonl", b"id,name\n", r#"at byte 0: found "id,name", expected a line with a JSON object"#),
        ("jsonl", b"\n{\"a\":1}\n", "at byte 1: found missing field `request`"),
        ("gor", b"\x1f\x8b\x08\x00", "at byte 0: found"),
    ] {
        let error = match read(format.parse().unwrap(), bytes) {
            Err(error) => error.to_string(),
            Ok((_, losses)) => losses.to_string(),
        };
        assert!(error.contains(message) || message.ends_with("found") && error.contains("byte 0"), "{format}: {error}");
    }
}
