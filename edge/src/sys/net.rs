//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};

use socket2::{Domain, Protocol, Socket, Type};

const AVAILABLE_CONGESTION: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";

/// What can be wrong with a listener's settings.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel has no such congestion control.
    #[error(
        "congestion control {got:?} is not known to this kernel: use one of {available}, or load its module (modprobe tcp_{got})"
    )]
    UnknownCongestion {
        /// What was asked for.
        got: String,
        /// What there is, separated by spaces.
        available: String,
    },
    /// The kernel has it, but keeps it from users without privilege.
    #[error(
        "congestion control {got:?} is not allowed to this user: add it to net.ipv4.tcp_allowed_congestion_control, or run with CAP_NET_ADMIN"
    )]
    RefusedCongestion {
        /// What was asked for.
        got: String,
    },
    /// Another call failed.
    #[error("{op}: {source}")]
    Call {
        /// What was tried.
        op: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Whether `ip` is an address of this host: only those can be bound to.
pub fn is_local(ip: std::net::IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// What a listener is like, beside its address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listening<'a> {
    /// `listen(2)` backlog.
    pub backlog: i32,
    /// Congestion control of accepted sockets; `None`: the host's.
    pub congestion: Option<&'a str>,
    /// The processor whose connections it takes, among those that share the port (`SO_INCOMING_CPU`;
    /// heeded since Linux 6.2); connections of others go by the hash.
    pub cpu: Option<usize>,
    /// Bytes not sent yet with which accepted sockets take no more (`TCP_NOTSENT_LOWAT`).
    pub unsent_bytes: Option<u32>,
}

/// A nonblocking TCP listener on `addr` (a port of zero: one that is free), shared with the other
/// workers' by `SO_REUSEPORT`.
///
/// Accepted sockets inherit `TCP_NODELAY` and what `listening` says. An IPv6 wildcard takes IPv4 as well.
pub fn listener(addr: SocketAddr, listening: Listening<'_>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = listening.congestion {
        socket.set_tcp_congestion(name.as_bytes())?;
    }
    if let Some(cpu) = listening.cpu {
        socket.set_cpu_affinity(cpu)?;
    }
    if let Some(bytes) = listening.unsent_bytes {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(listening.backlog)?;
    Ok(socket.into())
}

/// Whether listeners may use the congestion control `name`; tried on a socket made for it, which
/// also loads its module where we have the right to.
pub fn validate_congestion(name: &str) -> Result<(), NetError> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))
        .map_err(|source| NetError::Call { op: "make a socket", source })?;
    let got = name.to_owned();
    match socket.set_tcp_congestion(name.as_bytes()) {
        // The kernel reads a prefix of longer names.
        Ok(()) if in_force(&socket)? == name => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(NetError::RefusedCongestion { got })
        }
        Ok(()) | Err(_) => Err(NetError::UnknownCongestion { got, available: available() }),
    }
}

/// Has the kernel pace what leaves `socket`, in bytes a second of packets (`SO_MAX_PACING_RATE`, TCP's own
/// pacing since Linux 4.13, eight bytes since 5.0); 0 ends it.
pub fn set_pace(socket: impl AsFd, bytes_per_s: u64) -> io::Result<()> {
    let rate = if bytes_per_s == 0 { u64::MAX } else { bytes_per_s };
    let len = size_of_val(&rate) as libc::socklen_t;
    let option = libc::SO_MAX_PACING_RATE;
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads `len` bytes of `rate`, which
    // lives on this stack until it returns.
    let done = unsafe {
        let value = (&raw const rate).cast();
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, option, value, len)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn in_force(socket: &Socket) -> Result<String, NetError> {
    let name = socket
        .tcp_congestion()
        .map_err(|source| NetError::Call { op: "read the congestion control", source })?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

fn available() -> String {
    std::fs::read_to_string(AVAILABLE_CONGESTION)
        .map_or_else(|_| "those your kernel has".to_owned(), |names| names.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn listeners_share_a_port_and_hand_down_their_settings() {
        let addr = "127.0.0.1:0".parse().unwrap();
        let listening = Listening {
            backlog: 16,
            congestion: Some("reno"),
            cpu: Some(0),
            unsent_bytes: Some(128 << 10),
        };
        let first = listener(addr, listening).unwrap();
        let second = listener(first.local_addr().unwrap(), listening).unwrap();
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
        drop(second);

        let _client = TcpStream::connect(first.local_addr().unwrap()).unwrap();
        let (accepted, _) = loop {
            match first.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => break accepted.unwrap(),
            }
        };
        assert!(accepted.nodelay().unwrap());
        let accepted = Socket::from(accepted);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), 128 << 10);
        assert_eq!(in_force(&accepted).unwrap(), "reno");
    }

    #[test]
    fn an_ipv6_listener_takes_ipv4() {
        // The address is loopback's in IPv6's clothes; a host without IPv6 has nothing to show here.
        let addr = "[::ffff:127.0.0.1]:0".parse().unwrap();
        let listening = Listening { backlog: 16, ..Listening::default() };
        let Ok(listener) = listener(addr, listening) else { return };
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn an_unknown_congestion_control_names_the_known() {
        validate_congestion("reno").unwrap();
        for name in ["rhino", "", "a-name-longer-than-the-kernel-reads"] {
            let error = validate_congestion(name).unwrap_err();
            assert!(matches!(error, NetError::UnknownCongestion { .. }), "{name}: {error}");
            assert!(error.to_string().contains("reno"), "{error}");
        }
    }
}
