//! The exchange that the benches of recordings are made with.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mirror::recording::{Record, RecordedMessage, RecordedRequest, RecordedResponse};

/// An exchange as browsers and services make them: a dozen headers each way.
pub(crate) fn exchange(n: u32, body: usize) -> Record {
    let fields = |fields: &[(&str, String)]| {
        fields.iter().map(|(name, value)| (Bytes::from(name.to_string()), Bytes::from(value.clone()))).collect()
    };
    let mix = |n: u32| n.wrapping_mul(2_654_435_761);
    let text: String = (0..body).map(|at| char::from(b'a' + (mix(at as u32 ^ n) >> 27) as u8 % 26)).collect();
    Record {
        id: u128::from(mix(n)) << 64 | u128::from(n),
        started: SystemTime::now(),
        source: "proxy".into(),
        client: Some(([10, 1, (n >> 8) as u8, n as u8], 40_000).into()),
        server: Some(([127, 0, 0, 1], 8080).into()),
        request: RecordedRequest {
            method: "GET".into(),
            target: format!("/api/v1/items/{}?page={}", mix(n), n % 7).into(),
            version: "HTTP/1.1".into(),
            message: RecordedMessage {
                headers: fields(&[
                    ("Host", "shop.example.org".into()),
                    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into()),
                    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".into()),
                    ("Accept-Language", "en-US,en;q=0.5".into()),
                    ("Accept-Encoding", "gzip, deflate, br, zstd".into()),
                    ("Referer", format!("https://shop.example.org/items?page={}", n % 7)),
                    ("Cookie", format!("session={:08x}{:08x}{:08x}; theme=dark", mix(n), mix(n + 1), mix(n + 2))),
                    ("X-Request-Id", format!("{:08x}-{:08x}", mix(n + 3), mix(n + 4))),
                    ("Connection", "keep-alive".into()),
                    ("Cache-Control", "no-cache".into()),
                ]),
                ..Default::default()
            },
        },
        response: Some(RecordedResponse {
            version: "HTTP/1.1".into(),
            status: 200,
            reason: "OK".into(),
            message: RecordedMessage {
                headers: fields(&[
                    ("Server", "nginx/1.26".into()),
                    ("Date", "Wed, 01 Jan 2025 12:00:05 GMT".into()),
                    ("Content-Type", "application/json".into()),
                    ("Content-Length", body.to_string()),
                    ("ETag", format!("\"{:08x}\"", mix(n + 5))),
                    ("Vary", "Accept-Encoding".into()),
                    ("Connection", "keep-alive".into()),
                ]),
                body: vec![text.into()],
                body_length: body as u64,
                ..Default::default()
            },
        }),
        aborted: None,
        request_end: Some(Duration::from_micros(u64::from(n % 50))),
        response_start: Some(Duration::from_micros(300 + u64::from(mix(n) % 500))),
        end: Some(Duration::from_micros(900 + u64::from(mix(n) % 500))),
        answers: vec![],
    }
}
