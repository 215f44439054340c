use proptest::prelude::*;

use super::*;

const TEXT: &[u8] = b"a text that is a text that is a text";

/// The codings of a head with these lines.
fn of(lines: &str) -> Result<Codings, UnknownCoding> {
    Codings::of(&Headers::parse(&Bytes::from(format!("{lines}\r\n"))).unwrap())
}

fn coded(name: &str) -> Codings {
    of(&format!("Content-Encoding: {name}\r\n")).unwrap()
}

fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn codings_are_read_from_the_head() {
    use Coding::{Brotli, Deflate, Gzip, Zstd};
    for (lines, codings) in [
        ("", &[][..]),
        ("Content-Encoding: identity\r\n", &[]),
        ("Content-Encoding:\r\n", &[]),
        ("content-encoding: X-GZIP\r\n", &[Gzip]),
        ("Content-Encoding: deflate ,br, identity\r\n", &[Deflate, Brotli]),
        ("Content-Encoding: deflate\r\nContent-Encoding: zstd\r\n", &[Deflate, Zstd]),
        ("Transfer-Encoding: gzip, chunked\r\nContent-Encoding: br\r\n", &[Brotli, Gzip]),
        ("Transfer-Encoding: Chunked\r\n", &[]),
    ] {
        assert_eq!(of(lines), Ok(Codings(codings.to_vec())), "{lines:?}");
    }
    assert_eq!(of("Content-Encoding: gzip, Compress\r\n"), Err(UnknownCoding::Named("compress".into())));
    assert_eq!(of("Transfer-Encoding: compress, chunked\r\n"), Err(UnknownCoding::Named("compress".into())));
    assert_eq!(of(&"Content-Encoding: gzip\r\n".repeat(5)), Err(UnknownCoding::TooMany));
}

#[test]
fn the_identity_is_not_copied() {
    let body = Bytes::from_static(TEXT);
    assert_eq!(coded("identity").decode(&body, 100).unwrap().as_ptr(), body.as_ptr());
    assert_eq!(coded("identity").decode(&body, 3), Err(ContentError::TooLong));
}

#[test]
fn what_others_encode_is_decoded() {
    let member = coded("gzip").encode(TEXT);
    let both = [TEXT, TEXT].concat();
    for (name, body, decoded) in [
        ("gzip", [&member[..], &member].concat(), &both[..]),
        ("deflate", raw_deflate(TEXT), TEXT),
        ("zstd", [coded("zstd").encode(TEXT), coded("zstd").encode(TEXT)].concat(), &both),
        ("br", b"\x8b\x05\x80hello world\n\x03".to_vec(), b"hello world\n"),
        ("gzip", Vec::new(), b""),
    ] {
        assert_eq!(coded(name).decode(&body.into(), 100).as_deref(), Ok(decoded), "{name}");
    }
}

#[test]
fn a_body_that_is_cut_off_or_goes_on_is_broken() {
    for name in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
        let whole = coded(name).encode(TEXT);
        for cut in 1..whole.len() {
            assert_eq!(coded(name).decode(&whole.slice(..cut), 100), Err(ContentError::Broken), "{name} cut at {cut}");
        }
        let more = [&whole[..], b"more"].concat();
        assert_eq!(coded(name).decode(&more.into(), 100), Err(ContentError::Broken), "{name} with more behind");
    }
    let whole = Bytes::from(raw_deflate(TEXT));
    for cut in 1..whole.len() {
        assert_eq!(coded("deflate").decode(&whole.slice(..cut), 100), Err(ContentError::Broken), "raw cut at {cut}");
    }
    assert_eq!(coded("gzip").decode(&Bytes::from_static(TEXT), 100), Err(ContentError::Broken));
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let zeroes = vec![0; 8 << 20];
    for name in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let bomb = coded(name).encode(&zeroes);
        assert!(bomb.len() < 128 << 10, "{name}: {}", bomb.len());
        assert_eq!(coded(name).decode(&bomb, 1 << 20), Err(ContentError::TooLong), "{name}");
    }
}

#[test]
fn a_window_larger_than_the_formats_have_it_is_refused() {
    // A zstd frame that asks for 128 MiB (RFC 8878 §3.1.1.1.2), and brotli's large window of 2^30.
    let zstd = Bytes::from_static(b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00");
    assert_eq!(coded("zstd").decode(&zstd, 100), Err(ContentError::Broken));
    let brotli = Bytes::from_static(b"\x11\x1e\x03");
    assert_eq!(coded("br").decode(&brotli, 100), Err(ContentError::Broken));
}

proptest! {
    #[test]
    fn encoded_and_decoded_it_is_the_same(
        body in prop::collection::vec(any::<u8>(), 1..600).prop_map(|bytes| bytes.repeat(3)),
        names in prop::collection::vec(prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "identity"]), 0..4),
        less in 1usize..600,
    ) {
        let codings = coded(&names.join(", "));
        let encoded = codings.encode(&body);
        // Small bodies grow by a coding's own bytes.
        let most = body.len().max(encoded.len()) as u64 + 100;
        let decoded = codings.decode(&encoded, most);
        prop_assert_eq!(decoded.as_deref(), Ok(&body[..]));
        prop_assert_eq!(codings.decode(&encoded, (body.len() - less.min(body.len())) as u64), Err(ContentError::TooLong));
    }

    #[test]
    fn garbage_decodes_to_no_more_than_the_bound(
        mut garbage in prop::collection::vec(any::<u8>(), 0..300),
        start in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\x1b"]),
        name in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "zstd, gzip"]),
    ) {
        garbage.splice(..0, start.iter().copied());
        if let Ok(decoded) = coded(name).decode(&garbage.into(), 1000) {
            prop_assert!(decoded.len() <= 1000);
        }
    }
}
