//! Encodes bodies with each content coding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each test file uses a part of it, and a failed unwrap is a failed test"
)]

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// The formats of bodies: the value of `content-encoding`, and the format. There are two formats for deflate.
pub const FORMATS: [(&str, Format); 5] = [
    ("gzip", Format::Gzip),
    ("deflate", Format::Zlib),
    ("deflate", Format::Deflate),
    ("br", Format::Brotli),
    ("zstd", Format::Zstd),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Gzip,
    /// Deflate in a zlib container, as the standard says.
    Zlib,
    /// Deflate without a container, as some servers send.
    Deflate,
    Brotli,
    Zstd,
}

/// Encodes a body.
pub fn encoded(format: Format, body: &[u8]) -> Vec<u8> {
    flushed(format, &[body]).concat()
}

/// Encodes a body with a flush after each piece. Returns the bytes up to each flush; those of the last piece also
/// contain the end of the body.
pub fn flushed(format: Format, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let output = Output::default();
    let (sink, level) = (output.clone(), Compression::default());
    let mut encoder: Box<dyn Write> = match format {
        Format::Gzip => Box::new(GzEncoder::new(sink, level)),
        Format::Zlib => Box::new(ZlibEncoder::new(sink, level)),
        Format::Deflate => Box::new(DeflateEncoder::new(sink, level)),
        Format::Brotli => Box::new(brotli::CompressorWriter::new(sink, 4096, 4, 22)),
        Format::Zstd => Box::new(ZstdEncoder::new(sink)),
    };
    let mut encoded: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        encoded.push(output.0.take());
    }
    drop(encoder);
    encoded.last_mut().unwrap().extend(output.0.take());
    encoded
}

#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct ZstdEncoder {
    context: CCtx<'static>,
    output: Output,
}

impl ZstdEncoder {
    fn new(output: Output) -> Self {
        let mut context = CCtx::create();
        context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
        Self { context, output }
    }

    fn encode(&mut self, bytes: &[u8], directive: ZSTD_EndDirective) {
        let mut input = InBuffer::around(bytes);
        loop {
            let mut buffer = [0; 4096];
            let mut output = OutBuffer::around(&mut buffer[..]);
            let context = &mut self.context;
            let rest = context
                .compress_stream2(&mut output, &mut input, directive)
                .unwrap();
            let length = output.pos();
            self.output.write_all(&buffer[..length]).unwrap();
            if input.pos() == bytes.len() && (rest == 0 || directive == ZSTD_EndDirective::ZSTD_e_continue) {
                return;
            }
        }
    }
}

impl Write for ZstdEncoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encode(bytes, ZSTD_EndDirective::ZSTD_e_continue);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encode(b"", ZSTD_EndDirective::ZSTD_e_flush);
        Ok(())
    }
}

impl Drop for ZstdEncoder {
    fn drop(&mut self) {
        self.encode(b"", ZSTD_EndDirective::ZSTD_e_end);
    }
}
