//! Protecting records once the handshake is over (RFC 8446 §5.2, RFC 5246 §6.2.3.3).
//!
//! The library that does the handshake would copy every byte into a record of its own; here a record
//! is sealed where a file's bytes were read to, and opened where the request will be parsed.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce};
use aws_lc_rs::aead::{NONCE_LEN, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};

use super::error::TlsFault;
use crate::sys::ktls::{Cipher, Keys, Version};

/// Content types (RFC 8446 §B.1).
pub(super) const ALERT: u8 = 21;
/// See [`ALERT`].
pub(super) const HANDSHAKE: u8 = 22;
/// See [`ALERT`].
pub(super) const DATA: u8 = 23;

/// Type, version, length.
pub(super) const HEADER_BYTES: usize = 5;
/// Most plain bytes of a record (RFC 8446 §5.1).
pub(super) const PLAIN_MAX_BYTES: usize = 16 * 1024;
/// Most protected bytes of a record: 256 more in TLS 1.3 (§5.2), 2,048 in 1.2 (RFC 5246 §6.2.3).
const SEALED_MAX_BYTES: [usize; 2] = [PLAIN_MAX_BYTES + 256, PLAIN_MAX_BYTES + 2048];
const TAG_BYTES: usize = 16;
/// Records that AES-GCM protects under one key (RFC 8446 §5.5, rounded down).
const GCM_RECORDS_MAX: u64 = 1 << 24;

/// How a record is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Tls13,
    /// Half of the nonce goes with the record (RFC 5288 §3).
    Tls12Gcm,
    /// RFC 7905 §2.
    Tls12ChaCha,
}

/// One direction's key, and how many records it has protected.
pub(super) struct Half {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    shape: Shape,
    is_gcm: bool,
}

impl Half {
    /// `None`: a suite that is not offered.
    pub(super) fn new(
        version: ProtocolVersion,
        sequence: u64,
        secrets: &ConnectionTrafficSecrets,
    ) -> Option<Half> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return None,
        };
        let is_gcm = *algorithm != CHACHA20_POLY1305;
        let shape = match (version, is_gcm) {
            (ProtocolVersion::TLSv1_3, _) => Shape::Tls13,
            (_, true) => Shape::Tls12Gcm,
            (_, false) => Shape::Tls12ChaCha,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?);
        Some(Half { key, iv: iv.as_ref().try_into().ok()?, sequence, shape, is_gcm })
    }

    /// Bytes that stand before the plain ones.
    pub(super) fn prefix_bytes(&self) -> usize {
        if self.shape == Shape::Tls12Gcm { HEADER_BYTES + 8 } else { HEADER_BYTES }
    }

    /// Bytes that stand after them.
    pub(super) fn suffix_bytes(&self) -> usize {
        if self.shape == Shape::Tls13 { 1 + TAG_BYTES } else { TAG_BYTES }
    }

    /// Whether the key should protect no further record.
    pub(super) fn is_worn(&self) -> bool {
        // A few are left for alerts and the change of keys.
        self.is_gcm && self.sequence >= GCM_RECORDS_MAX - 16
    }

    /// Accounts records that the kernel has protected with this key.
    pub(super) fn advance(&mut self, records: u64) {
        self.sequence = self.sequence.saturating_add(records);
    }

    /// Protects `record`, which has the plain bytes between its prefix and its suffix.
    pub(super) fn seal(&mut self, content: u8, record: &mut [u8]) {
        let len = (record.len() - HEADER_BYTES) as u16;
        let shown = if self.shape == Shape::Tls13 { DATA } else { content };
        record[..3].copy_from_slice(&[shown, 3, 3]);
        record[3..HEADER_BYTES].copy_from_slice(&len.to_be_bytes());
        let nonce = self.nonce();
        if self.shape == Shape::Tls12Gcm {
            record[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&nonce[4..]);
        }
        let tag_at = record.len() - TAG_BYTES;
        if self.shape == Shape::Tls13 {
            record[tag_at - 1] = content;
        }
        let prefix = self.prefix_bytes();
        let (aad, aad_bytes) = self.aad(content, len, tag_at - prefix);
        let (body, tag_room) = record[prefix..].split_at_mut(tag_at - prefix);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(&aad[..aad_bytes]), body);
        // It fails for lengths that no record has.
        let tag = sealed.expect("a record is short enough to be sealed");
        tag_room.copy_from_slice(tag.as_ref());
        self.sequence += 1;
    }

    /// Opens a whole record at the end of `plain`: its type, and its bytes from `plain`'s old end on.
    pub(super) fn open(&mut self, record: &[u8], plain: &mut Vec<u8>) -> Result<u8, TlsFault> {
        let shown = record[0];
        if self.shape == Shape::Tls13 && shown != DATA {
            return Err(TlsFault::Broken);
        }
        let prefix = self.prefix_bytes();
        let Some(body) = record.get(prefix..).filter(|body| body.len() >= TAG_BYTES) else {
            return Err(TlsFault::Broken);
        };
        let mut nonce = self.nonce();
        if self.shape == Shape::Tls12Gcm {
            nonce[4..].copy_from_slice(&record[HEADER_BYTES..prefix]);
        }
        let len = (record.len() - HEADER_BYTES) as u16;
        let (aad, aad_bytes) = self.aad(shown, len, body.len() - TAG_BYTES);
        let start = plain.len();
        plain.extend_from_slice(body);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened =
            self.key.open_in_place(nonce, Aad::from(&aad[..aad_bytes]), &mut plain[start..]);
        let opened = opened.map(|opened| opened.len()).map_err(|_| TlsFault::Broken);
        let (content, len) = match opened {
            Ok(len) if self.shape != Shape::Tls13 => (shown, len),
            // The type is the last byte that is not padding (RFC 8446 §5.4).
            Ok(len) => match plain[start..start + len].iter().rposition(|byte| *byte != 0) {
                Some(at) => (plain[start + at], at),
                None => (0, usize::MAX),
            },
            Err(fault) => {
                plain.truncate(start);
                return Err(fault);
            }
        };
        if len > PLAIN_MAX_BYTES {
            plain.truncate(start);
            return Err(TlsFault::Broken);
        }
        plain.truncate(start + len);
        self.sequence += 1;
        Ok(content)
    }

    /// Bytes of the record that begins `bytes`; `None`: more must come first.
    pub(super) fn whole(&self, bytes: &[u8]) -> Result<Option<usize>, TlsFault> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let max = SEALED_MAX_BYTES[usize::from(self.shape != Shape::Tls13)];
        if header[1] != 3 || body > max || !(20..=23).contains(&header[0]) {
            return Err(TlsFault::Broken);
        }
        Ok(Some(HEADER_BYTES + body).filter(|whole| bytes.len() >= *whole))
    }

    /// What the kernel needs to go on in our place.
    pub(super) fn keys(
        version: ProtocolVersion,
        sequence: u64,
        secrets: &ConnectionTrafficSecrets,
    ) -> Option<Keys> {
        let (cipher, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (Cipher::ChaCha20Poly1305, key, iv)
            }
            _ => return None,
        };
        let mut iv: [u8; NONCE_LEN] = iv.as_ref().try_into().ok()?;
        let version = match version {
            ProtocolVersion::TLSv1_3 => Version::Tls13,
            _ => Version::Tls12,
        };
        if version == Version::Tls12 && cipher != Cipher::ChaCha20Poly1305 {
            apart(&mut iv);
        }
        Some(Keys { version, cipher, key: key.as_ref().to_vec(), iv, sequence })
    }

    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        let sequence = self.sequence.to_be_bytes();
        nonce[NONCE_LEN - 8..].iter_mut().zip(sequence).for_each(|(to, byte)| *to ^= byte);
        nonce
    }

    /// What is authenticated beside the bytes, and how much of it counts.
    fn aad(&self, content: u8, len: u16, plain_bytes: usize) -> ([u8; 13], usize) {
        let mut aad = [0; 13];
        if self.shape == Shape::Tls13 {
            aad[..3].copy_from_slice(&[DATA, 3, 3]);
            aad[3..5].copy_from_slice(&len.to_be_bytes());
            return (aad, HEADER_BYTES);
        }
        aad[..8].copy_from_slice(&self.sequence.to_be_bytes());
        aad[8..11].copy_from_slice(&[content, 3, 3]);
        aad[11..].copy_from_slice(&(plain_bytes as u16).to_be_bytes());
        (aad, 13)
    }
}

/// Makes the explicit part of a TLS 1.2 nonce one that the kernel, which counts it up, never brings to a
/// value used before. The library's were the old value with a low sequence number in it; the new one
/// differs in the highest bit, and 48 bits are free to be counted.
fn apart(iv: &mut [u8; NONCE_LEN]) {
    iv[4] ^= 0x80;
    iv[6..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_of_the_kernel_are_apart_from_those_before() {
        let old: [u8; 12] = [1, 2, 3, 4, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let mut new = old;
        apart(&mut new);
        assert_eq!(new[..4], old[..4], "the salt is the key's");
        let explicit = |iv: &[u8; 12]| u64::from_be_bytes(iv[4..].try_into().unwrap());
        let last = explicit(&new) + ((1 << 48) - 1);
        for sequence in [0, 1, 2, 1 << 24, (1 << 48) - 1] {
            let used = explicit(&old) ^ sequence;
            assert!(!(explicit(&new)..=last).contains(&used));
        }
    }
}
