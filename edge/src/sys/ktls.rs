//! Records sealed by the kernel (kTLS, `Documentation/networking/tls.rst`).

use std::io;
use std::mem::size_of_val;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

/// `linux/socket.h`
const SOL_TLS: libc::c_int = 282;
/// `linux/tls.h`
const TLS_TX: libc::c_int = 1;
const TLS_SET_RECORD_TYPE: libc::c_int = 1;

/// Versions the kernel seals for, by their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Version {
    /// TLS 1.2
    Tls12 = 0x0303,
    /// TLS 1.3
    Tls13 = 0x0304,
}

/// Ciphers, by their numbers in `linux/tls.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Cipher {
    /// AES-128-GCM
    Aes128Gcm = 51,
    /// AES-256-GCM
    Aes256Gcm = 52,
    /// ChaCha20-Poly1305
    ChaCha20Poly1305 = 54,
}

/// What it takes to seal the records of one direction.
#[derive(Clone)]
pub struct Keys {
    /// The version agreed on.
    pub version: Version,
    /// The cipher agreed on.
    pub cipher: Cipher,
    /// Its key: 16 or 32 bytes.
    pub key: Vec<u8>,
    /// What nonces are made from.
    pub iv: [u8; 12],
    /// Number of the next record.
    pub sequence: u64,
}

impl Keys {
    /// `struct tls12_crypto_info_…`: version and cipher, then IV, key, salt, sequence.
    fn crypto_info(&self) -> Vec<u8> {
        let mut info = Vec::with_capacity(56);
        info.extend((self.version as u16).to_ne_bytes());
        info.extend((self.cipher as u16).to_ne_bytes());
        let salt_bytes = if self.cipher == Cipher::ChaCha20Poly1305 { 0 } else { 4 };
        info.extend(&self.iv[salt_bytes..]);
        info.extend(&self.key);
        info.extend(&self.iv[..salt_bytes]);
        info.extend(self.sequence.to_be_bytes());
        info
    }
}

/// Which suites this kernel seals; tried, on connections made for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Support(u8);

impl Support {
    /// Tries every suite.
    pub fn probe() -> Support {
        let mut support = Support(0);
        for version in [Version::Tls12, Version::Tls13] {
            for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
                let key = vec![0; if cipher == Cipher::Aes128Gcm { 16 } else { 32 }];
                let keys = Keys { version, cipher, key, iv: [0; 12], sequence: 0 };
                if attempt(&keys).is_ok() {
                    support.0 |= bit(version, cipher);
                }
            }
        }
        support
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `keys` are of a suite that is sealed.
    pub fn has(self, keys: &Keys) -> bool {
        self.0 & bit(keys.version, keys.cipher) != 0
    }

    /// How many suites there are.
    pub fn suites(self) -> u32 {
        self.0.count_ones()
    }
}

fn bit(version: Version, cipher: Cipher) -> u8 {
    let cipher = match cipher {
        Cipher::Aes128Gcm => 0,
        Cipher::Aes256Gcm => 1,
        Cipher::ChaCha20Poly1305 => 2,
    };
    1 << (cipher + if version == Version::Tls13 { 3 } else { 0 })
}

fn attempt(keys: &Keys) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let _peer = listener.accept()?;
    attach(&socket)?;
    set(&socket, keys)
}

/// Gives a connected socket to the kernel's TLS; it goes on as before until [`set`].
///
/// # Errors
/// `ENOENT`: this kernel has none.
pub fn attach(socket: impl AsFd) -> io::Result<()> {
    option(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")
}

/// What is sent from now on is sealed with `keys`.
///
/// # Errors
/// `EINVAL`: not this suite. `EBUSY`: there are keys, and this kernel changes none (before 6.14).
pub fn set(socket: impl AsFd, keys: &Keys) -> io::Result<()> {
    option(socket, SOL_TLS, TLS_TX, &keys.crypto_info())
}

fn option(
    socket: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let len = value.len() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, which reads `len` bytes of `value` and keeps none.
    let done = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a record of another type than data, whole; never waits.
///
/// # Errors
/// `WouldBlock` when the socket takes none now.
pub fn send_record(socket: impl AsFd, content: u8, bytes: &[u8]) -> io::Result<()> {
    // Aligned as control messages must be; room for one of one byte.
    let mut control = [0u64; 4];
    let mut piece =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all of a msghdr's fields may be nought.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut piece, 1);
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: plain arithmetic on a length.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(1) } as _;
    assert!(message.msg_controllen as usize <= size_of_val(&control), "there is room");
    // SAFETY: `msg_control` points at zeroed, aligned room of at least `msg_controllen` bytes, which is
    // enough for a header and one byte: the first header lies in it, and its data.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = SOL_TLS;
        (*header).cmsg_type = TLS_SET_RECORD_TYPE;
        (*header).cmsg_len = libc::CMSG_LEN(1) as _;
        *libc::CMSG_DATA(header) = content;
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the message names memory that outlives the call; the kernel only reads from `bytes`.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, flags) };
    match sent {
        sent if sent < 0 => Err(io::Error::last_os_error()),
        sent if sent as usize == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_is_told_is_laid_out_as_it_reads_it() {
        let keys = |cipher, bytes| Keys {
            version: Version::Tls13,
            cipher,
            key: vec![7; bytes],
            iv: [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2],
            sequence: 3,
        };
        let gcm = keys(Cipher::Aes128Gcm, 16).crypto_info();
        assert_eq!((gcm.len(), &gcm[4..12], &gcm[28..32]), (40, &[2; 8][..], &[1; 4][..]));
        assert_eq!(gcm[32..], [0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(keys(Cipher::Aes256Gcm, 32).crypto_info().len(), 56);
        assert_eq!(keys(Cipher::ChaCha20Poly1305, 32).crypto_info().len(), 56);
    }

    #[test]
    fn what_is_probed_can_be_had() {
        let support = Support::probe();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(support.is_empty() || attach(&socket).is_ok());
        assert!(support.suites() <= 6);
    }
}
