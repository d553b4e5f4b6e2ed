//! The handshake, which is the library's: a certificate by name, then whatever it takes.

use std::io::Write;
use std::sync::Arc;

use rustls::server::{Acceptor as HelloReader, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{Error, HandshakeKind};

use super::acceptor::Acceptor;
use super::error::TlsFault;
use super::open::{Agreed, Open};
use super::outgoing::Outgoing;

/// Received bytes that may wait for the rest of a flight; the library refuses longer messages.
const FLIGHT_MAX_BYTES: usize = 128 * 1024;

/// Waiting for a whole ClientHello.
pub(super) struct Hello {
    acceptor: Arc<Acceptor>,
    reader: HelloReader,
    /// All that was received: the connection reads it again.
    seen: Vec<u8>,
}

impl Hello {
    pub(super) fn new(acceptor: Arc<Acceptor>) -> Hello {
        Hello { acceptor, reader: HelloReader::default(), seen: Vec::new() }
    }

    /// Takes bytes; a handshake when they complete the ClientHello.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        outgoing: &mut Outgoing,
    ) -> Result<Option<Handshake>, TlsFault> {
        self.seen.extend_from_slice(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            self.reader.read_tls(&mut rest).map_err(|_| TlsFault::Broken)?;
            match self.reader.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let host = accepted.client_hello().server_name().map(Box::from);
                    let config = self.acceptor.choose(host.as_deref());
                    let connection = UnbufferedServerConnection::new(config)
                        .map_err(|error| TlsFault::from(&error))?;
                    let incoming = std::mem::take(&mut self.seen);
                    return Ok(Some(Handshake { connection, incoming, host }));
                }
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    let _ = alert.write_all(&mut bytes);
                    let _ = bytes.flush();
                    outgoing.push(&bytes);
                    return Err(TlsFault::from(&error));
                }
            }
        }
        match self.seen.len() > FLIGHT_MAX_BYTES {
            true => Err(TlsFault::Broken),
            false => Ok(None),
        }
    }
}

/// What follows it.
pub(super) struct Handshake {
    connection: UnbufferedServerConnection,
    incoming: Vec<u8>,
    host: Option<Box<str>>,
}

/// How far it has come.
enum Step {
    Again,
    Wait,
    Ended,
    Done,
}

impl Handshake {
    /// The host that the client named.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Takes bytes; whether it is over, or the client has left.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        plain: &mut Vec<u8>,
        outgoing: &mut Outgoing,
    ) -> Result<Progress, TlsFault> {
        self.incoming.extend_from_slice(bytes);
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.incoming);
            let step = step(state, plain, outgoing);
            self.incoming.drain(..discard);
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Ended) => return Ok(Progress::Ended),
                Ok(Step::Wait) if self.incoming.len() > FLIGHT_MAX_BYTES => {
                    return Err(TlsFault::Broken);
                }
                Ok(Step::Done) if !self.connection.is_handshaking() => return Ok(Progress::Done),
                Ok(Step::Wait | Step::Done) => return Ok(Progress::Wait),
                Err(error) => {
                    self.alert(outgoing);
                    return Err(TlsFault::from(&error));
                }
            }
        }
    }

    /// The connection that it led to.
    ///
    /// # Errors
    /// It is not over.
    pub(super) fn finish(self, acceptor: &Acceptor) -> Result<(Open, Vec<u8>), TlsFault> {
        let resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let protocol = self.connection.alpn_protocol().map(Box::from);
        let (secrets, kernel) = self
            .connection
            .dangerous_into_kernel_connection()
            .map_err(|error| TlsFault::from(&error))?;
        let agreed = Agreed { resumed, host: self.host, protocol };
        let open = Open::new(secrets, kernel, agreed, acceptor);
        Ok((open.ok_or(TlsFault::NothingInCommon)?, self.incoming))
    }

    /// What the library has to say about an error. It is asked once, and shown the bytes it knows: it
    /// looks at them again after its alert, and panics when they are not there.
    fn alert(&mut self, outgoing: &mut Outgoing) {
        let status = self.connection.process_tls_records(&mut self.incoming);
        if let Ok(ConnectionState::EncodeTlsData(data)) = status.state {
            encode(data, outgoing);
        }
    }
}

/// How far a handshake has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    Wait,
    /// The client has ended its half.
    Ended,
    /// It is over.
    Done,
}

fn step(
    state: Result<ConnectionState<'_, '_, rustls::server::ServerConnectionData>, Error>,
    plain: &mut Vec<u8>,
    outgoing: &mut Outgoing,
) -> Result<Step, Error> {
    match state? {
        ConnectionState::EncodeTlsData(data) => encode(data, outgoing),
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                plain.extend_from_slice(record?.payload);
            }
        }
        ConnectionState::WriteTraffic(_) => return Ok(Step::Done),
        ConnectionState::BlockedHandshake => return Ok(Step::Wait),
        // Early data is not offered.
        _ => return Ok(Step::Ended),
    }
    Ok(Step::Again)
}

fn encode(
    mut data: EncodeTlsData<'_, rustls::server::ServerConnectionData>,
    outgoing: &mut Outgoing,
) {
    let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut []) else { return };
    if let Ok(len) = data.encode(outgoing.room(error.required_size)) {
        outgoing.add(len);
    }
}
