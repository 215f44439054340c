//! Files as GoReplay writes them, byte for byte, and what we write, as GoReplay reads it.

use std::io::Cursor;

use crate::recording::avro::tests::small;
use crate::recording::plain::Refused;
use crate::recording::{Losses, ReadRecords, Record, Unheld, gor};

/// A file of these messages, each with its separator.
fn file(messages: &[&str]) -> Vec<u8> {
    messages.iter().flat_map(|message| [message.as_bytes(), gor::SEPARATOR].concat()).collect()
}

fn read(bytes: &[u8]) -> (Vec<Record>, Losses) {
    let mut reader = gor::Reader::new(Cursor::new(bytes.to_vec())).unwrap_or_else(|error| panic!("{error}"));
    let mut records = Vec::new();
    while let Some(record) = reader.read().unwrap() {
        records.push(record);
    }
    (records, reader.losses())
}

/// The records in short: method and target, the request's body, status and body of the response, how many answers.
fn told(bytes: &[u8]) -> (Vec<String>, Losses) {
    let (records, losses) = read(bytes);
    let tell = |record: &Record| {
        let (request, response) = (&record.request, &record.response);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut told = format!("{} {}", text(&request.method), text(&request.target));
        let body = request.message.body.concat();
        if !body.is_empty() {
            told += &format!(" {}", text(&body));
        }
        if let Some(response) = response {
            told += &format!(" > {} {}", response.status, text(&response.message.body.concat()));
        }
        record.answers.iter().for_each(|answer| {
            told += &format!(" > {}", answer.response.as_ref().map_or(0, |response| response.status));
        });
        told
    };
    (records.iter().map(tell).collect(), losses)
}

fn encode(record: &Record) -> Result<(String, Unheld), Refused> {
    let (mut bytes, mut unheld) = (Vec::new(), Unheld::default());
    gor::encode(record, &mut bytes, &mut unheld, &mut |_| true)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), unheld))
}

#[test]
fn a_request_that_goreplay_recorded() {
    let bytes = file(&[
        "1 824e46b17f0000016f787925 1795356240850091280 0\nPOST /a?x=1 HTTP/1.1\r\nHost: app\r\nContent-Length: 7\r\n\r\na=1&b=2",
    ]);
    let (records, losses) = read(&bytes);
    assert_eq!((records.len(), losses), (1, Losses::default()));
    let record = &records[0];
    assert_eq!(record.id, 0x824e_46b1_7f00_0001_6f78_7925);
    assert_eq!(record.client, Some("127.0.0.1:33358".parse().unwrap()), "as the ID says");
    assert_eq!(crate::recording::time::micros_since_epoch(record.started), 1_795_356_240_850_091);
    assert_eq!((&record.request.message.body.concat()[..], record.response.is_none()), (&b"a=1&b=2"[..], true));
    // And as it was it is written again, but for the nanoseconds, which no record has.
    let (written, _) = encode(record).unwrap();
    assert_eq!(
        written.as_bytes(),
        &file(&[
            "1 824e46b17f0000016f787925 1795356240850091000 0\nPOST /a?x=1 HTTP/1.1\r\nHost: app\r\nContent-Length: 7\r\n\r\na=1&b=2"
        ])[..]
    );
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn responses_are_found_wherever_they_are() {
    let get = |id: &str, target: &str| format!("1 {id} 1000000 0\nGET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let ok = |kind: u8, id: &str, body: &str| {
        format!("{kind} {id} 3000000 2000\nHTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    for (what, messages, expected) in [
        (
            "in order",
            vec![get("a", "/1"), ok(2, "a", "x"), get("b", "/2"), ok(2, "b", "y")],
            vec!["GET /1 > 200 x", "GET /2 > 200 y"],
        ),
        (
            "crossed",
            vec![get("a", "/1"), get("b", "/2"), ok(2, "b", "y"), ok(2, "a", "x")],
            vec!["GET /1 > 200 x", "GET /2 > 200 y"],
        ),
        (
            "before",
            vec![ok(2, "a", "x"), get("b", "/2"), get("a", "/1"), ok(2, "b", "y")],
            vec!["GET /2 > 200 y", "GET /1 > 200 x"],
        ),
        (
            "an ID used again",
            vec![get("a", "/1"), ok(2, "a", "x"), get("a", "/2"), ok(2, "a", "y")],
            vec!["GET /1 > 200 x", "GET /2 > 200 y"],
        ),
        (
            "of an answer",
            vec![get("a", "/1"), ok(2, "a", "x"), ok(3, "a", "z"), get("b", "/2")],
            vec!["GET /1 > 200 x > 200", "GET /2"],
        ),
        ("an answer first", vec![get("a", "/1"), ok(3, "a", "z"), ok(2, "a", "x")], vec!["GET /1 > 200 x > 200"]),
        ("none", vec![get("a", "/1"), get("b", "/2"), get("a", "/3")], vec!["GET /1", "GET /2", "GET /3"]),
        (
            "interim first",
            vec![get("a", "/1"), "2 a 2000000 0\nHTTP/1.1 100 Continue\r\n\r\n".into(), ok(2, "a", "x")],
            vec!["GET /1 > 200 x"],
        ),
        ("any ID", vec![get("5b0c-é/odd", "/1"), ok(2, "5b0c-é/odd", "x")], vec!["GET /1 > 200 x"]),
    ] {
        let messages: Vec<&str> = messages.iter().map(|message| &**message).collect();
        let (records, losses) = told(&file(&messages));
        assert_eq!((records, losses), (expected.iter().map(|s| s.to_string()).collect(), Losses::default()), "{what}");
    }
    let (records, losses) = told(&file(&[&ok(2, "x", "lost"), &get("a", "/1")]));
    assert_eq!((records, losses.orphans), (vec!["GET /1".to_owned()], 1));
    assert_eq!(losses.to_string(), "1 response without a request, the first at byte 17: a response without a request");
}

#[test]
fn times_are_those_of_the_first_lines() {
    let (records, _) =
        read(&file(&[&format!("1 a 1000000000 5000\n{GET}"), "2 a 1002000000 3000\nHTTP/1.1 204 No Content\r\n\r\n"]));
    let micros = |time: Option<std::time::Duration>| time.map(|time| time.as_micros());
    let record = &records[0];
    assert_eq!(
        (micros(record.request_end), micros(record.response_start), micros(record.end)),
        (Some(5), Some(2000), Some(2003))
    );
}

#[test]
fn three_fields_are_enough_and_more_are_no_fault() {
    for meta in ["1 a 5", "1 a 5 0", "1 a 5 0 more", "1 a 5 -1", "1 a 5\r"] {
        assert_eq!(told(&file(&[&format!("{meta}\n{GET}")])), (vec!["GET /".to_owned()], Losses::default()), "{meta}");
    }
}

#[test]
fn bodies_are_what_their_heads_say() {
    let post = |rest: &str| format!("1 a 5 0\nPOST / HTTP/1.1\r\n{rest}");
    for (message, body, length, truncated) in [
        (post("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"), "abcde", 5, false),
        // Cut, as GoReplay's copy-buffer-size does.
        (post("Transfer-Encoding: chunked\r\n\r\n9\r\nabc"), "abc", 3, true),
        (post("Content-Length: 10\r\n\r\nabc"), "abc", 10, true),
        // Prettified: the header is left, the chunks are not.
        (post("Transfer-Encoding: chunked\r\n\r\nhello"), "hello", 5, false),
        (post("Content-Length: 1\r\nContent-Length: 2\r\n\r\nabc"), "abc", 3, false),
    ] {
        let (records, losses) = read(&file(&[&message]));
        let read = &records[0].request.message;
        let told = (String::from_utf8(read.body.concat()).unwrap(), read.body_length, read.truncated.is_some());
        assert_eq!(told, (body.to_owned(), length, truncated), "{message:?}");
        assert_eq!(losses, Losses::default(), "{message:?}");
    }
    let (records, losses) = told(&file(&[&format!("1 a 5 0\n{GET}GET /two HTTP/1.1\r\n\r\n")]));
    assert_eq!((records, losses.bytes), (vec!["GET /".to_owned()], 21), "what is behind the end is told");
}

#[test]
fn a_body_with_a_separator_is_read_where_its_length_or_its_chunks_show_it() {
    let inner = "x\n🐵🙈🙉\n1 b 5 0\nGET /inner HTTP/1.1\r\n\r\n\n🐵🙈🙉\ny";
    for body in [
        format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
    ] {
        let (records, losses) =
            told(&file(&[&format!("1 a 5 0\nPOST / HTTP/1.1\r\n{body}"), &format!("1 c 6 0\n{GET}")]));
        assert_eq!(
            (records, losses),
            (vec![format!("POST / {inner}"), "GET /".to_owned()], Losses::default()),
            "{body}"
        );
    }
    // A length that lies is not followed.
    let (records, _) =
        told(&file(&["1 a 5 0\nPOST / HTTP/1.1\r\nContent-Length: 60\r\n\r\nshort", &format!("1 c 6 0\n{GET}")]));
    assert_eq!(records, ["POST / short", "GET /"]);
}

#[test]
fn damage_is_passed_over_and_told_with_its_place() {
    let bytes = file(&[&format!("1 a 5 0\n{GET}"), "garbage", "1 b 6 0\nnot HTTP", &format!("1 c 7 0\n{GET}")]);
    let (records, losses) = told(&[&bytes[..], b"1 d 8 0\nGET / HT"].concat());
    assert_eq!(records, ["GET /", "GET /"]);
    assert_eq!((losses.stretches, losses.torn), (2, 16));
    let first = losses.first.unwrap();
    assert_eq!((first.offset, first.reason), (49, "not a line as 1 ID TIMESTAMP"));
}

#[test]
fn an_exchange_byte_for_byte() {
    let mut record = small(0x0123_4567_89ab_cdef_0000_0000_0000_002a);
    record.request.message.headers.push(("Content-Length".into(), "0".into()));
    let (written, unheld) = encode(&record).unwrap();
    // Port 4000, port 8080, 127.0.0.1, and the exchange's own number.
    let id = "0fa01f907f0000010000002a";
    assert_eq!(
        written,
        format!(
            "1 {id} 1735689600000000000 10000\nGET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n\n🐵🙈🙉\n\
             2 {id} 1735689600000020000 10000\nHTTP/1.1 200 OK\r\n\r\nhi\n🐵🙈🙉\n"
        )
    );
    assert_eq!(unheld.to_string(), "the id (1 record), the server's address (1 record), the way in (1 record)");
}

#[test]
fn a_separator_is_never_written_inside_a_message() {
    let inner = "a\n🐵🙈🙉\nb🐵🙈🙉\n";
    let mut record = small(7);
    record.request.method = "POST".into();
    record.request.message.headers.push(("content-length".into(), inner.len().to_string().into()));
    record.request.message.body = vec![inner.into()];
    record.request.message.body_length = inner.len() as u64;
    let (written, unheld) = encode(&record).unwrap();
    assert!(
        unheld.to_string().contains("a Content-Length, as there is a separator in the body (1 record)"),
        "{unheld}"
    );
    assert!(written.contains("\r\nTransfer-Encoding: chunked\r\n\r\n6\r\na\n🐵\r\n"), "{written}");
    assert_eq!(written.matches("\n🐵🙈🙉\n").count(), 2, "{written}");
    let (records, losses) = read(written.as_bytes());
    assert_eq!((records[0].request.message.body.concat(), losses), (inner.as_bytes().to_vec(), Losses::default()));

    record.request.version = "HTTP/1.0".into();
    let error = encode(&record).unwrap_err().to_string();
    assert!(error.contains("request cannot be written in this format, expected no separator"), "{error}");
}

#[test]
fn what_http_1_cannot_say_is_refused_and_what_has_no_place_is_told() {
    for change in [
        |record: &mut Record| record.request.method = "GE T".into(),
        |record: &mut Record| record.request.message.headers.push(("A".into(), "b\r\nC: d".into())),
        |record: &mut Record| record.response.as_mut().unwrap().status = 7,
        |record: &mut Record| record.response.as_mut().unwrap().reason = "a\nb".into(),
    ] {
        let mut record = small(1);
        change(&mut record);
        assert!(encode(&record).is_err());
    }
    let mut record = small(1);
    record.request.version = "HTTP/2".into();
    record.request.message.trailers.push(("A".into(), "b".into()));
    record.request.message.body = vec!["cut".into()];
    record.request.message.body_length = 10;
    record.request.message.truncated = Some("max_body".into());
    let (written, unheld) = encode(&record).unwrap();
    assert!(written.contains("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ncut\n"), "{written}");
    let told: Vec<_> = unheld.iter().map(|(what, _)| what).collect();
    assert_eq!(
        told,
        [
            "a Content-Length, which is put right",
            "a version other than HTTP/1",
            "how bodies were cut",
            "the server's address",
            "the way in",
            "trailers without chunks"
        ]
    );
}
