//! A client of the same library on the other side, without a socket between.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore};

use super::*;
use crate::config::{Certificate, Tls, TlsProfile};

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

fn offered(certificates: &[&Certificate]) -> Offered {
    let identities = certificates.iter().map(|each| Identity::load(each).unwrap()).collect();
    Offered { identities, guarded: Vec::new() }
}

fn acceptor(certificates: &[&Certificate], profile: TlsProfile) -> Arc<Acceptor> {
    Arc::new(Acceptor::new(offered(certificates), settings(profile)).unwrap())
}

fn settings(profile: TlsProfile) -> Tls {
    Tls { profile, ..Tls::default() }
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

/// A configuration of clients that offer one suite.
fn only_suite(trusted: &Certificate, suite: rustls::SupportedCipherSuite) -> Arc<ClientConfig> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites = vec![suite];
    let mut roots = RootCertStore::empty();
    roots.add(Identity::load(trusted).unwrap().key.cert[0].clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[suite.version()]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn every_suite_is_sealed_and_opened_also_after_keys_changed() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let offered = acceptor(&[&certificate], TlsProfile::Intermediate);
    let mut suites = 0;
    for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
        // The certificate is not RSA's.
        if format!("{:?}", suite.suite()).contains("RSA") {
            continue;
        }
        suites += 1;
        let mut server = Stream::new(offered.clone());
        let mut client = client(&only_suite(&certificate, *suite), "a.example");
        for round in 0..4u8 {
            client.writer().write_all(&[round; 40_000]).unwrap();
            let mut heard = Vec::new();
            assert_eq!(talk(&mut client, &mut server).unwrap(), vec![round; 40_000], "{suite:?}");
            assert_eq!(server.seal(&[round; 100_000]), 100_000);
            listen(&mut client, &mut server, &mut heard).unwrap();
            assert!(heard == vec![round; 100_000], "{suite:?} {round}");
            // A wish for new keys both ways; TLS 1.2 has no such thing.
            assert_eq!(
                client.refresh_traffic_keys().is_ok(),
                suite.version().version == ProtocolVersion::TLSv1_3
            );
        }
    }
    assert_eq!(suites, 6);
}

#[test]
fn what_was_tampered_with_ends_the_connection_with_an_alert() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let offered = acceptor(&[&certificate], TlsProfile::Intermediate);
    for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
        if format!("{:?}", suite.suite()).contains("RSA") {
            continue;
        }
        for (at, to) in [(0, 20), (1, 9), (3, 0xff), (5, 1), (20, 1)] {
            let mut server = Stream::new(offered.clone());
            let mut client = client(&only_suite(&certificate, *suite), "a.example");
            talk(&mut client, &mut server).unwrap();
            client.writer().write_all(&[7; 100]).unwrap();
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            wire[at] = if at < 4 { to } else { wire[at] ^ to };
            let mut plain = Vec::new();
            assert!(server.receive(&wire, &mut plain).is_err(), "{suite:?} {at}");
            assert!(plain.is_empty());
            assert!(server.wants_write(), "an alert");
            let mut alert = Vec::new();
            server.send(&mut alert).unwrap();
            client.read_tls(&mut alert.as_slice()).unwrap();
            let told = client.process_new_packets().unwrap_err();
            assert!(matches!(told, rustls::Error::AlertReceived(_)), "{told}");
        }
    }
}

#[test]
fn whatever_a_client_sends_in_the_handshake_nothing_panics() {
    let files = Files::new();
    let authority = files.certificate("ca", &["ca.example"]);
    let mut certificate = files.certificate("a", &["a.example"]);
    certificate.client_ca = Some(authority.cert.clone());
    let plain = files.certificate("b", &["a.example"]);
    let offers = [&certificate, &plain].map(|each| acceptor(&[each], TlsProfile::Intermediate));
    let config = client_config(&[&certificate, &plain]);
    let mut seed = 7u64;
    let mut dice = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for round in 0..400 {
        let mut server = Stream::new(offers[round % 2].clone());
        let mut client = client(&config, "a.example");
        client.writer().write_all(b"GET").unwrap();
        let (mut ended, mut plain) = (false, Vec::new());
        for flight in 0..3 {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            // One byte is another, or bytes are missing or twice there, in one of the flights.
            if flight == dice(3) && !wire.is_empty() {
                let at = dice(wire.len());
                match dice(3) {
                    0 => wire[at] ^= 1 << dice(8),
                    1 => drop(wire.drain(at..(at + 1 + dice(40)).min(wire.len()))),
                    _ => wire.extend_from_within(at..),
                }
            }
            let piece = 1 + dice(600);
            ended |= wire.chunks(piece).any(|piece| server.receive(piece, &mut plain).is_err());
            let mut back = Vec::new();
            while server.wants_write() {
                server.send(&mut back).unwrap();
            }
            let _ = client.read_tls(&mut back.as_slice());
            let _ = client.process_new_packets();
        }
        server.close();
        assert!(ended || plain.len() <= 6, "{plain:?}");
    }
}

#[test]
fn empty_records_without_end_are_an_attack() {
    let files = Files::new();
    let certificate = files.certificate("a", &["a.example"]);
    let mut server = Stream::new(acceptor(&[&certificate], TlsProfile::Modern));
    let mut client = client(&client_config(&[&certificate]), "a.example");
    talk(&mut client, &mut server).unwrap();
    let refused = (0..100).find(|_| {
        client.refresh_traffic_keys().unwrap();
        talk(&mut client, &mut server).is_err()
    });
    assert_eq!(refused, Some(32));
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
    let renewed = old.renewed(offered(&[&certificate]), settings(TlsProfile::Intermediate));
    let new = Arc::new(renewed.unwrap());
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
fn a_certificate_shown_for_one_host_is_none_for_another() {
    let files = Files::new();
    let (one, other) = (files.certificate("ca1", &["ca1.a"]), files.certificate("ca2", &["ca2.a"]));
    let wide = files.certificate("a", &["*.a.example", "b.example"]);
    let mut guarded = files.certificate("c", &["c.example"]);
    guarded.client_ca = Some(one.cert.clone());
    let mut offered = offered(&[&wide, &guarded]);
    offered.guarded = vec![
        (vec!["x.a.example".to_owned()], Clients::load(&one.cert).unwrap()),
        (vec!["*.y.example".to_owned()], Clients::load(&other.cert).unwrap()),
    ];
    let acceptor = Arc::new(Acceptor::new(offered, settings(TlsProfile::Modern)).unwrap());
    let (one, other) = (Some(&*one.cert), Some(&*other.cert));
    for (named, verified) in [
        ("b.example", None),
        ("x.a.example", one),
        ("z.a.example", None),
        ("c.example", one),
        ("z.y.example", other),
    ] {
        assert_eq!(acceptor.client_ca(Some(named)), verified, "{named}");
        let admission = Admission::new(acceptor.clone(), verified.map(Arc::from));
        for (asked, required) in [
            ("b.example", None),
            ("x.a.example", one),
            ("z.a.example", None),
            ("c.example", one),
            ("w.y.example", other),
        ] {
            let good = required.is_none() || required == verified;
            assert_eq!(admission.admits(asked, None), good, "{named}, then {asked}");
        }
        // A site that came while the node runs is not in the acceptor: nobody is let in.
        assert_eq!(admission.admits("new.example", other), verified == other);
    }
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
