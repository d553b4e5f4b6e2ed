//! A connection whose handshake is over.

use std::collections::VecDeque;

use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ExtractedSecrets, ProtocolVersion};

use super::acceptor::Acceptor;
use super::error::TlsFault;
use super::outgoing::Outgoing;
use super::records::{ALERT, DATA, HANDSHAKE, Half, PLAIN_MAX_BYTES};
use crate::sys::ktls::Keys;

/// Alert descriptions (RFC 8446 §B.2).
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD: u8 = 20;
const USER_CANCELED: u8 = 90;
const NO_RENEGOTIATION: u8 = 100;
const WARNING: u8 = 1;
const FATAL: u8 = 2;
/// `KeyUpdate` (RFC 8446 §4.6.3): type, length, whether the other side is to follow.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
/// Records without data that a client may send in a row before it is taken for an attacker.
const FRUITLESS_MAX: u32 = 32;

/// What the kernel is to be told, in order.
pub enum Control {
    /// Send a record of this type.
    Record(u8, Vec<u8>),
    /// Seal with these from now on.
    Rekey(Keys),
}

/// What the handshake led to beside keys.
pub(super) struct Agreed {
    /// A session before was resumed.
    pub(super) resumed: bool,
    /// The host that the client named.
    pub(super) host: Option<Box<str>>,
    /// The protocol by ALPN.
    pub(super) protocol: Option<Box<[u8]>>,
}

/// Who seals.
enum Sealing {
    /// Not decided: nothing was sealed yet.
    Offered(Keys),
    User,
    Kernel,
}

/// Keys of both directions, and what was agreed on.
pub(super) struct Open {
    kernel: KernelConnection<ServerConnectionData>,
    sealing: Sealing,
    tx: Half,
    rx: Half,
    /// The beginning of a record.
    incoming: Vec<u8>,
    control: VecDeque<Control>,
    fruitless: u32,
    worn: bool,
    pub(super) agreed: Agreed,
}

impl Open {
    /// `None`: a suite that is not offered.
    pub(super) fn new(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ServerConnectionData>,
        agreed: Agreed,
        acceptor: &Acceptor,
    ) -> Option<Open> {
        let version = kernel.protocol_version();
        let tx = Half::new(version, secrets.tx.0, &secrets.tx.1)?;
        let rx = Half::new(version, secrets.rx.0, &secrets.rx.1)?;
        let keys = Half::keys(version, secrets.tx.0, &secrets.tx.1);
        Some(Open {
            kernel,
            sealing: keys
                .filter(|keys| acceptor.offloads(keys))
                .map_or(Sealing::User, Sealing::Offered),
            tx,
            rx,
            incoming: Vec::new(),
            control: VecDeque::new(),
            fruitless: 0,
            worn: false,
            agreed,
        })
    }

    /// Keys for the kernel, while nothing was sealed.
    pub(super) fn offer(&self) -> Option<&Keys> {
        match &self.sealing {
            Sealing::Offered(keys) => Some(keys),
            _ => None,
        }
    }

    /// Who seals from now on.
    pub(super) fn decide(&mut self, kernel: bool) {
        self.sealing = if kernel { Sealing::Kernel } else { Sealing::User };
    }

    /// Whether the kernel seals.
    pub(super) fn is_offloaded(&self) -> bool {
        matches!(self.sealing, Sealing::Kernel)
    }

    /// What the kernel is to be told next.
    pub(super) fn control(&mut self) -> &mut VecDeque<Control> {
        &mut self.control
    }

    /// The key that seals; `None`: the kernel does, or the key is worn and cannot be changed.
    pub(super) fn sealer(&mut self, outgoing: &mut Outgoing) -> Option<&mut Half> {
        if self.is_offloaded() {
            return None;
        }
        if !matches!(self.sealing, Sealing::User) {
            self.decide(false);
        }
        if self.tx.is_worn() {
            self.renew(outgoing).ok()?;
        }
        Some(&mut self.tx)
    }

    /// The kernel has taken so many plain bytes in one call.
    pub(super) fn count(&mut self, plain_bytes: usize) {
        self.tx.advance(plain_bytes.div_ceil(PLAIN_MAX_BYTES) as u64 + 1);
        if self.tx.is_worn() && self.renew(&mut Outgoing::default()).is_err() {
            self.worn = true;
        }
    }

    /// Whether the kernel's key has protected as much as it may, and cannot be changed.
    pub(super) fn is_worn(&self) -> bool {
        self.worn
    }

    /// Takes bytes; what they say is appended to `plain`. Whether the client has ended its half.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
        outgoing: &mut Outgoing,
    ) -> Result<bool, TlsFault> {
        if !self.incoming.is_empty() {
            self.incoming.extend_from_slice(bytes);
            let gathered = std::mem::take(&mut self.incoming);
            return self.receive(&gathered, plain, outgoing);
        }
        while let Some(len) = self.rx.whole(bytes).inspect_err(|_| {
            self.fail(BAD_RECORD, outgoing);
        })? {
            let (record, rest) = bytes.split_at(len);
            bytes = rest;
            let start = plain.len();
            let content = self.rx.open(record, plain).inspect_err(|_| {
                self.fail(BAD_RECORD, outgoing);
            })?;
            if content == DATA && plain.len() > start {
                self.fruitless = 0;
                continue;
            }
            self.fruitless += 1;
            let said = plain.split_off(start);
            let known = match content {
                _ if self.fruitless > FRUITLESS_MAX => Err(TlsFault::Broken),
                DATA => Ok(false),
                ALERT => self.alerted(&said),
                HANDSHAKE => self.handshake(&said, outgoing).map(|()| false),
                _ => Err(TlsFault::Broken),
            };
            match known {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(fault) => {
                    if fault != TlsFault::Alert {
                        self.fail(UNEXPECTED_MESSAGE, outgoing);
                    }
                    return Err(fault);
                }
            }
        }
        self.incoming.extend_from_slice(bytes);
        Ok(false)
    }

    /// Whether the client ends its half.
    fn alerted(&self, said: &[u8]) -> Result<bool, TlsFault> {
        match *said {
            [_, CLOSE_NOTIFY] => Ok(true),
            [_, USER_CANCELED] => Ok(false),
            [WARNING, _] if !self.is_13() => Ok(false),
            [_, _] => Err(TlsFault::Alert),
            _ => Err(TlsFault::Broken),
        }
    }

    fn handshake(&mut self, said: &[u8], outgoing: &mut Outgoing) -> Result<(), TlsFault> {
        if !self.is_13() {
            // A wish to negotiate again, which nobody needs (RFC 5246 §7.2.2).
            self.say(ALERT, &[WARNING, NO_RENEGOTIATION], outgoing);
            return Ok(());
        }
        // Nothing may follow it in its record (RFC 8446 §5.1).
        let Some(&[asked @ 0..=1]) = said.strip_prefix(&KEY_UPDATE) else {
            return Err(TlsFault::Broken);
        };
        let broken = |_| TlsFault::Broken;
        let (sequence, secrets) = self.kernel.update_rx_secret().map_err(broken)?;
        self.rx = Half::new(self.kernel.protocol_version(), sequence, &secrets)
            .ok_or(TlsFault::Broken)?;
        if asked == 1 { self.renew(outgoing) } else { Ok(()) }
    }

    /// Changes the key that seals.
    fn renew(&mut self, outgoing: &mut Outgoing) -> Result<(), TlsFault> {
        if !self.is_13() {
            return Err(TlsFault::Broken);
        }
        let [kind, a, b, c] = KEY_UPDATE;
        self.say(HANDSHAKE, &[kind, a, b, c, 0], outgoing);
        let version = self.kernel.protocol_version();
        let updated = self.kernel.update_tx_secret().map_err(|_| TlsFault::Broken)?;
        self.tx = Half::new(version, updated.0, &updated.1).ok_or(TlsFault::Broken)?;
        let keys = Half::keys(version, updated.0, &updated.1).ok_or(TlsFault::Broken)?;
        match &mut self.sealing {
            Sealing::Offered(old) => *old = keys,
            Sealing::Kernel => self.control.push_back(Control::Rekey(keys)),
            Sealing::User => {}
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub(super) fn close(&mut self, outgoing: &mut Outgoing) {
        self.say(ALERT, &[WARNING, CLOSE_NOTIFY], outgoing);
    }

    fn fail(&mut self, description: u8, outgoing: &mut Outgoing) {
        self.say(ALERT, &[FATAL, description], outgoing);
    }

    fn say(&mut self, content: u8, said: &[u8], outgoing: &mut Outgoing) {
        if self.is_offloaded() {
            return self.control.push_back(Control::Record(content, said.to_vec()));
        }
        // Sealed here, so the kernel would not know the sequence number.
        self.decide(false);
        let (prefix, suffix) = (self.tx.prefix_bytes(), self.tx.suffix_bytes());
        let record = outgoing.room(prefix + said.len() + suffix);
        record[prefix..prefix + said.len()].copy_from_slice(said);
        self.tx.seal(content, record);
        outgoing.add(prefix + said.len() + suffix);
    }

    fn is_13(&self) -> bool {
        self.kernel.protocol_version() == ProtocolVersion::TLSv1_3
    }
}
