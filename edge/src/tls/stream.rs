//! One connection's records.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::server::Acceptor as HelloReader;
use rustls::{HandshakeKind, ServerConnection};

use super::acceptor::Acceptor;
use super::error::TlsFault;

/// Plain bytes of the first records: the client can use the first without waiting for more packets
/// than one window of TCP carries.
const FIRST_RECORD_BYTES: usize = 4 * 1024;
/// Plain bytes sent in such records before records are as large as the protocol allows.
const FIRST_BYTES: u64 = 64 * 1024;
/// Plain bytes that may wait, sealed, for the socket.
const SEALED_MAX_BYTES: usize = 256 * 1024;

/// A client's TLS connection, without its socket.
pub struct Stream {
    state: State,
    /// Plain bytes sealed so far.
    sealed_bytes: u64,
    ended: bool,
}

enum State {
    /// Waiting for a whole ClientHello.
    Hello { acceptor: Arc<Acceptor>, reader: Box<HelloReader> },
    /// The handshake is under way, or done.
    Open(Box<ServerConnection>),
    /// It failed before there was a connection: what is left of the alert.
    Failed(Vec<u8>),
}

impl Stream {
    /// A connection of which nothing is known yet.
    pub fn new(acceptor: Arc<Acceptor>) -> Stream {
        Stream {
            state: State::Hello { acceptor, reader: Box::default() },
            sealed_bytes: 0,
            ended: false,
        }
    }

    /// Takes received bytes; what they say is appended to `plain`.
    ///
    /// # Errors
    /// The connection is over. An alert may be waiting to be sent.
    pub fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsFault> {
        // What follows a close_notify is nobody's (RFC 8446 §6.1).
        while !bytes.is_empty() && !self.ended {
            match &mut self.state {
                State::Hello { .. } => self.greet(&mut bytes)?,
                State::Open(connection) => self.ended = read(connection, &mut bytes, plain)?,
                State::Failed(_) => return Err(TlsFault::Broken),
            }
        }
        Ok(())
    }

    fn greet(&mut self, bytes: &mut &[u8]) -> Result<(), TlsFault> {
        let State::Hello { acceptor, reader } = &mut self.state else { return Ok(()) };
        reader.read_tls(bytes).map_err(|_| TlsFault::Broken)?;
        let failed = |error: &rustls::Error, mut alert: rustls::server::AcceptedAlert| {
            let mut left = Vec::new();
            let _ = alert.write_all(&mut left);
            (TlsFault::from(error), left)
        };
        let accepted = match reader.accept() {
            Ok(None) => return Ok(()),
            Ok(Some(accepted)) => {
                let config = acceptor.choose(accepted.client_hello().server_name());
                accepted.into_connection(config).map_err(|(error, alert)| failed(&error, alert))
            }
            Err((error, alert)) => Err(failed(&error, alert)),
        };
        match accepted {
            Ok(mut connection) => {
                connection.set_buffer_limit(Some(SEALED_MAX_BYTES));
                self.state = State::Open(Box::new(connection));
                Ok(())
            }
            Err((fault, alert)) => {
                self.state = State::Failed(alert);
                Err(fault)
            }
        }
    }

    /// Whether bytes wait to be sent.
    pub fn wants_write(&self) -> bool {
        match &self.state {
            State::Hello { .. } => false,
            State::Open(connection) => connection.wants_write(),
            State::Failed(alert) => !alert.is_empty(),
        }
    }

    /// Writes some of what waits; the number of bytes written.
    ///
    /// # Errors
    /// As `to` has them.
    pub fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        match &mut self.state {
            State::Hello { .. } => Ok(0),
            State::Open(connection) => connection.write_tls(to),
            State::Failed(alert) => {
                let written = to.write(alert)?;
                alert.drain(..written);
                Ok(written)
            }
        }
    }

    /// Seals some of `plain`, at the end of what waits; the number of bytes taken.
    pub fn seal(&mut self, plain: &[u8]) -> usize {
        let State::Open(connection) = &mut self.state else { return 0 };
        let mut taken = 0;
        while taken < plain.len() {
            let rest = &plain[taken..];
            let record = match self.sealed_bytes < FIRST_BYTES {
                true => &rest[..rest.len().min(FIRST_RECORD_BYTES)],
                false => rest,
            };
            match connection.writer().write(record) {
                Ok(written @ 1..) => {
                    taken += written;
                    self.sealed_bytes += written as u64;
                }
                _ => break,
            }
        }
        taken
    }

    /// Says that nothing more will be sent.
    pub fn close(&mut self) {
        if let State::Open(connection) = &mut self.state {
            connection.send_close_notify();
        }
    }

    /// Whether a session was resumed; `None` before the end of the handshake.
    pub fn is_resumed(&self) -> Option<bool> {
        let State::Open(connection) = &self.state else { return None };
        let kind = connection.handshake_kind().filter(|_| !connection.is_handshaking())?;
        Some(kind == HandshakeKind::Resumed)
    }

    /// The host that the client named, if it named one.
    pub fn host(&self) -> Option<&str> {
        match &self.state {
            State::Open(connection) => connection.server_name(),
            _ => None,
        }
    }

    /// Whether the client said that it will send nothing more.
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

/// Takes some of `bytes`; whether the client has ended its half.
fn read(
    connection: &mut ServerConnection,
    bytes: &mut &[u8],
    plain: &mut Vec<u8>,
) -> Result<bool, TlsFault> {
    connection.read_tls(bytes).map_err(|_| TlsFault::Broken)?;
    let state = connection.process_new_packets().map_err(|error| TlsFault::from(&error))?;
    let start = plain.len();
    plain.resize(start + state.plaintext_bytes_to_read(), 0);
    connection.reader().read_exact(&mut plain[start..]).map_err(|_| TlsFault::Broken)?;
    Ok(state.peer_has_closed())
}
