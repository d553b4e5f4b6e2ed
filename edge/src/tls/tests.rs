//! A client of the same library on the other side, without a socket between.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore};

use super::*;
use crate::config::{Certificate, TlsProfile};

/// A directory of certificates.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        Files { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A self-signed certificate for `names`.
    fn certificate(&self, name: &str, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Certificate {
            cert: self.write(&format!("{name}.pem"), &made.cert.pem()),
            key: self.write(&format!("{name}.key"), &made.signing_key.serialize_pem()),
            ocsp: None,
            client_ca: None,
        }
    }
}

fn acceptor(certificates: &[&Certificate], profile: TlsProfile) -> Arc<Acceptor> {
    let identities = certificates.iter().map(|each| Identity::load(each).unwrap()).collect();
    Arc::new(Acceptor::new(identities, profile).unwrap())
}

fn client_config(trusted: &[&Certificate]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        let chain = Identity::load(certificate).unwrap().key.cert.clone();
        roots.add(chain[0].clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn client(config: &Arc<ClientConfig>, host: &'static str) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from(host).unwrap()).unwrap()
}

/// Lets both sides talk until neither has anything to say; what the server was told.
fn talk(client: &mut ClientConnection, server: &mut Stream) -> Result<Vec<u8>, TlsFault> {
    listen(client, server, &mut Vec::new())
}

/// As [`talk`]; what the client was told is appended to `heard`.
fn listen(
    client: &mut ClientConnection,
    server: &mut Stream,
    heard: &mut Vec<u8>,
) -> Result<Vec<u8>, TlsFault> {
    let mut told = Vec::new();
    loop {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        // In pieces, as a network would.
        let received = wire.chunks(97).try_for_each(|piece| server.receive(piece, &mut told));
        let mut back = Vec::new();
        while server.wants_write() {
            server.send(&mut back).unwrap();
        }
        let mut rest = back.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            let _ = client.process_new_packets();
            let _ = client.reader().read_to_end(heard);
        }
        received?;
        if wire.is_empty() && back.is_empty() {
            return Ok(told);
        }
    }
}

#[test]
fn bytes_go_both_ways_whole() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let mut server = Stream::new(acceptor(&[&certificate], TlsProfile::Intermediate));
    let mut client = client(&client_config(&[&certificate]), "a.example");
    client.writer().write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert_eq!(server.is_resumed(), None);
    assert_eq!(talk(&mut client, &mut server).unwrap(), b"GET / HTTP/1.1\r\n");
    assert_eq!(server.is_resumed(), Some(false));
    assert_eq!(server.host(), Some("a.example"));
    let body: Vec<u8> = (0..700_000u32).map(|at| (at * 7 + at / 256) as u8).collect();
    let (mut sealed, mut got) = (0, Vec::new());
    while sealed < body.len() {
        let taken = server.seal(&body[sealed..]);
        assert!(taken > 0, "nothing waits, so there is room");
        sealed += taken;
        listen(&mut client, &mut server, &mut got).unwrap();
    }
    assert!(got == body);
    server.close();
    talk(&mut client, &mut server).unwrap();
    assert_eq!(client.reader().read(&mut [0]).unwrap(), 0, "a clean end");
    assert!(!server.is_ended());
    client.send_close_notify();
    talk(&mut client, &mut server).unwrap();
    assert!(server.is_ended());
}

#[test]
fn no_more_than_a_bound_waits_sealed() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let mut server = Stream::new(acceptor(&[&certificate], TlsProfile::Intermediate));
    let mut client = client(&client_config(&[&certificate]), "a.example");
    talk(&mut client, &mut server).unwrap();
    let piece = vec![0; 64 * 1024];
    let taken: usize = (0..100).map(|_| server.seal(&piece)).sum();
    assert!((64 * 1024..=512 * 1024).contains(&taken), "{taken}");
}

#[test]
fn the_name_chooses_the_certificate() {
    let files = Files::new();
    let first = files.certificate("first", &["a.example", "*.a.example"]);
    let second = files.certificate("second", &["b.example", "dl.a.example"]);
    let offered = acceptor(&[&first, &second], TlsProfile::Intermediate);
    for (host, trusted) in [
        ("a.example", &first),
        ("x.a.example", &first),
        ("dl.a.example", &second),
        ("b.example", &second),
    ] {
        let mut client = client(&client_config(&[trusted]), host);
        talk(&mut client, &mut Stream::new(offered.clone())).unwrap();
        assert!(!client.is_handshaking(), "{host}");
    }
}

#[test]
fn sessions_are_resumed_also_after_a_reload() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let old = acceptor(&[&certificate], TlsProfile::Intermediate);
    let identity = Identity::load(&certificate).unwrap();
    let new = Arc::new(old.renewed(vec![identity], TlsProfile::Intermediate).unwrap());
    let config = client_config(&[&certificate]);
    for (offered, resumed) in [(&old, false), (&old, true), (&new, true)] {
        let mut client = client(&config, "a.example");
        let mut server = Stream::new(offered.clone());
        talk(&mut client, &mut server).unwrap();
        let kind = client.handshake_kind().unwrap();
        assert_eq!(kind == HandshakeKind::Resumed, resumed);
        assert_eq!(server.is_resumed(), Some(resumed));
    }
}

#[test]
fn the_profile_says_which_versions() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let mut only_12 = (*client_config(&[&certificate])).clone();
    let provider = only_12.crypto_provider().clone();
    only_12 = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::clone(&{
            let mut roots = RootCertStore::empty();
            roots.add(Identity::load(&certificate).unwrap().key.cert[0].clone()).unwrap();
            roots
        }))
        .with_no_client_auth();
    let only_12 = Arc::new(only_12);
    let mut old = client(&only_12, "a.example");
    let modern = acceptor(&[&certificate], TlsProfile::Modern);
    let refused = talk(&mut old, &mut Stream::new(modern));
    assert_eq!(refused, Err(TlsFault::NothingInCommon));
    let mut old = client(&only_12, "a.example");
    let both = acceptor(&[&certificate], TlsProfile::Intermediate);
    talk(&mut old, &mut Stream::new(both)).unwrap();
    assert_eq!(old.protocol_version(), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn what_is_not_tls_is_told_so_and_nothing_panics() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let offered = acceptor(&[&certificate], TlsProfile::Intermediate);
    let mut server = Stream::new(offered.clone());
    let plain = server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut Vec::new());
    assert_eq!(plain, Err(TlsFault::NotTls));
    assert!(server.wants_write(), "an alert");
    let mut bytes: Vec<u8> = (0..4000u32).map(|at| ((at * 89) >> 3) as u8).collect();
    bytes[..5].copy_from_slice(&[22, 3, 1, 1, 0]);
    let mut server = Stream::new(offered);
    assert!(server.receive(&bytes, &mut Vec::new()).is_err());
    assert!(server.receive(&bytes, &mut Vec::new()).is_err());
    assert_eq!(server.seal(b"x"), 0);
}

#[test]
fn clients_without_a_certificate_are_refused_where_one_is_asked_for() {
    let files = Files::new();
    let authority = files.certificate("ca", &["ca.example"]);
    let mut certificate = files.certificate("a", &["a.example"]);
    certificate.client_ca = Some(authority.cert.clone());
    let offered = acceptor(&[&certificate], TlsProfile::Intermediate);
    let mut client = client(&client_config(&[&certificate]), "a.example");
    let refused = talk(&mut client, &mut Stream::new(offered));
    assert_eq!(refused, Err(TlsFault::ClientCertificate));
}

#[test]
fn wrong_files_are_named_with_their_cure() {
    let files = Files::new();
    let good = files.certificate("a", &["a.example"]);
    let other = files.certificate("b", &["b.example"]);
    let empty = files.write("empty.pem", "nothing here\n");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = files.write("broken.pem", broken);
    let with = |cert: &Path, key: &Path| {
        let config = Certificate { cert: cert.into(), key: key.into(), ..good.clone() };
        Identity::load(&config).unwrap_err().to_string()
    };
    for (error, said) in [
        (with(Path::new("/nonexistent"), &good.key), "No such file"),
        (with(&empty, &good.key), "no certificate in it"),
        (with(&good.cert, &empty), "no private key in it"),
        (with(&good.cert, &other.key), "is not the key of"),
        (with(&broken, &good.key), "broken.pem: "),
    ] {
        assert!(error.contains(said), "{error}");
    }
}
