//! A client that takes the time.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::super::load::{client::head_of, connect};

/// What one GET gave.
pub struct Got {
    /// Status code.
    pub status: u16,
    /// From asking to the first byte of the body, ms.
    pub first_byte_ms: f64,
    /// From asking to the last byte, ms.
    pub total_ms: f64,
    /// Body bytes.
    pub bytes: u64,
    /// First byte of the body, if all are the same.
    pub letter: Option<u8>,
    /// The head's text.
    pub head: String,
}

/// GET with `range` (a field's value), up to `most` bytes of the body: then the client leaves.
pub fn get(server: SocketAddr, path: &str, range: Option<&str>, most: u64) -> Result<Got> {
    let mut stream = connect(server)?;
    let range = range.map_or(String::new(), |range| format!("Range: {range}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{range}\r\n");
    let begin = Instant::now();
    stream.write_all(request.as_bytes()).context("could not ask")?;
    let mut bytes = vec![0; 256 << 10];
    let (mut head, mut first_byte_ms) = (Vec::new(), 0.0);
    let answer = loop {
        let got = stream.read(&mut bytes[..4096]).context("could not read an answer")?;
        ensure!(got > 0, "the server closed before its answer");
        head.extend_from_slice(&bytes[..got]);
        if let Some(answer) = head_of(&head)? {
            break answer;
        }
    };
    let text = String::from_utf8_lossy(&head[..answer.len]).into_owned();
    let early = &head[answer.len..];
    let (mut count, mut letter) = (early.len() as u64, early.first().copied());
    let mut is_mixed = early.iter().any(|byte| Some(*byte) != letter);
    if count > 0 {
        first_byte_ms = ms_since(begin);
    }
    while count < answer.body.min(most) {
        let got = stream.read(&mut bytes).context("could not read a body")?;
        ensure!(got > 0, "the server closed with {count} of {} bytes sent", answer.body);
        if count == 0 {
            first_byte_ms = ms_since(begin);
        }
        letter = letter.or(Some(bytes[0]));
        is_mixed |= bytes[..got].iter().any(|byte| Some(*byte) != letter);
        count += got as u64;
    }
    Ok(Got {
        status: answer.status,
        first_byte_ms,
        total_ms: ms_since(begin),
        bytes: count,
        letter: letter.filter(|_| !is_mixed),
        head: text,
    })
}

fn ms_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
