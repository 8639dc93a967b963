use proptest::prelude::*;

use super::*;
use crate::transport::coding::codec::MAX_PIECE;
use encoders::{FORMATS, Format, encoded, flushed};

#[path = "../../../../tests/support/encoders.rs"]
mod encoders;

fn coding(format: Format) -> Coding {
    match format {
        Format::Gzip => Coding::Gzip,
        Format::Zlib | Format::Deflate => Coding::Deflate,
        Format::Brotli => Coding::Brotli,
        Format::Zstd => Coding::Zstd,
    }
}

/// Decodes a body that arrives in pieces of these lengths, over and over.
fn decode(coding: Coding, body: &[u8], lengths: &[usize]) -> Result<Vec<u8>, CodingError> {
    let mut decoder = Decoder::new(coding)?;
    let (mut decoded, mut rest) = (Vec::new(), body);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at(rest.len().min(*length));
        rest = later;
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(piece) = decoder.next_piece()? {
            assert!(piece.len() <= MAX_PIECE);
            decoded.extend_from_slice(&piece);
        }
    }
    decoder.finish()?;
    Ok(decoded)
}

/// Texts with and without repetitions, few of them larger than a piece.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let random = prop::collection::vec(any::<u8>(), 0..300);
    let count = prop_oneof![15 => 1..30_usize, 1 => 300..4000_usize];
    (random, count).prop_map(|(part, count)| part.repeat(count))
}

proptest! {
    #[test]
    fn any_split_decodes_to_the_same_bytes(
        (text, other) in (text(), text()),
        lengths in prop::collection::vec(1..5000_usize, 1..4),
    ) {
        for (_, format) in FORMATS {
            let body = flushed(format, &[&text, b"", &other]).concat();
            let expected = [&text[..], &other].concat();
            let whole = [body.len()];
            let mut splits = vec![&whole[..], &lengths];
            if body.len() < 3000 {
                splits.push(&[1]);
            }
            for lengths in splits {
                // Long texts of few bytes are refused.
                let limited = Err(CodingError::Decoding(coding(format), DecodingError::Expands));
                let decoded = decode(coding(format), &body, lengths);
                let is_limited = expected.len() as u64 > FREE_BYTES && decoded == limited;
                prop_assert!(is_limited || decoded.as_ref() == Ok(&expected), "{format:?}, {lengths:?}");
            }
        }
    }

    #[test]
    fn flushed_bytes_are_decoded_before_more_arrive(texts in prop::collection::vec(text(), 1..5)) {
        for (_, format) in FORMATS {
            let pieces: Vec<&[u8]> = texts.iter().map(|text| &text[..text.len().min(100_000)]).collect();
            let mut decoder = Decoder::new(coding(format)).unwrap();
            for (bytes, expected) in flushed(format, &pieces).into_iter().zip(&pieces) {
                decoder.push(bytes.into());
                let mut decoded = Vec::new();
                while let Some(piece) = decoder.next_piece().unwrap() {
                    decoded.extend_from_slice(&piece);
                }
                prop_assert!(decoded == *expected, "{format:?}");
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        start in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x78\x9c", b"\x28\xb5\x2f\xfd"]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        length in 1..50_usize,
    ) {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            drop(decode(coding, &[start, &bytes[..]].concat(), &[length]));
        }
    }

    #[test]
    fn changed_and_cut_bodies_are_decoded_or_refused(
        text in text(),
        (place, value, end) in (any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>()),
        length in 1..5000_usize,
    ) {
        for (_, format) in FORMATS {
            let mut body = encoded(format, &text);
            let end = end.index(body.len()) + 1;
            let place = place.index(body.len());
            body[place] = value;
            drop(decode(coding(format), &body[..end], &[length]));
        }
    }
}

#[test]
fn bomb_is_refused_after_a_mebibyte() {
    let spaces = vec![b' '; 16 << 20];
    for (_, format) in FORMATS {
        let body = encoded(format, &spaces);
        let mut decoder = Decoder::new(coding(format)).unwrap();
        decoder.push(body.into());
        let mut decoded = 0;
        let error = loop {
            match decoder.next_piece() {
                Ok(piece) => decoded += piece.unwrap().len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(
            error,
            CodingError::Decoding(coding(format), DecodingError::Expands)
        );
        // A decoder may have read ahead 1 % of what it has decoded.
        assert!(decoded <= 2 * FREE_BYTES, "{format:?}: {decoded}");
    }
}
