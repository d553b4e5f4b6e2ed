//! HTTPS origins: real nginx, an authority of the test's own, and everything a certificate can be.

use std::fs;
use std::path::{Path, PathBuf};

use edge_tests::{Content, MIB, Nginx, Node, need};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;

use crate::{explained, node, origin};

const BODY: Content = Content::new(77, 3 * MIB);

/// An authority, and the directory its files are in.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let dir = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path().join("ca.pem"), own.pem()).expect("write");
        Authority { dir, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ca(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// NAME.pem and NAME.key for `hosts`, good until `year`.
    fn issue(&self, name: &str, hosts: &[&str], year: i32) -> (PathBuf, PathBuf) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        // Its issuer has the library's default name: with the same it would pass for self-signed.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&files.0, cert.pem()).expect("write");
        fs::write(&files.1, key.serialize_pem()).expect("write");
        files
    }
}

fn nginx((cert, key): &(PathBuf, PathBuf), more: &str) -> Option<Nginx> {
    let nginx = Nginx::start_tls(cert, key, more)?;
    BODY.write_to(&nginx.root().join("a"));
    Some(nginx)
}

fn https(nginx: &Nginx, lines: &str) -> Node {
    node(&format!("origin = \"https://{}\"\n{lines}", nginx.addr()))
}

/// The pin of a certificate's key, as openssl makes it.
fn pin(dir: &Path, cert: &Path) -> Option<String> {
    let sh = need("sh")?;
    need("openssl")?;
    let script = format!(
        "openssl x509 -in {} -pubkey -noout | openssl pkey -pubin -outform der | \
         openssl dgst -sha256 -binary | openssl base64",
        cert.display()
    );
    let digest = String::from_utf8(sh.expect(dir, &["-c", &script])).expect("UTF-8");
    Some(format!("sha256/{}", digest.trim()))
}

#[test]
fn bytes_come_over_tls_by_both_protocols() {
    let authority = Authority::new();
    let files = authority.issue("good", &["127.0.0.1"], 2400);
    let more = "add_header X-Protocol $server_protocol;";
    let Some(nginx) = nginx(&files, more) else { return };
    for (http2, protocol) in [(false, "HTTP/1.1"), (true, "HTTP/2.0")] {
        let lines =
            format!("origin_http2 = {http2}\norigin_tls = {{ ca = \"{}\" }}", authority.ca());
        let node = https(&nginx, &lines);
        let got = node.get("/a").expect_status(200);
        assert!(got.body == BODY.all());
        assert_eq!(got.head.expect_field("x-protocol"), protocol);
        assert_eq!(node.get("/b").head.status, 404, "the connection goes on");
    }
}

#[test]
fn what_a_certificate_is_not_good_for_is_said_in_log_metric_and_explain() {
    let authority = Authority::new();
    let good = authority.issue("good", &["127.0.0.1", "inner.test"], 2400);
    let old = authority.issue("old", &["127.0.0.1"], 2020);
    let named = authority.issue("named", &["other.test"], 2400);
    let ca = format!("ca = \"{}\"", authority.ca());
    let other_pin = format!("pin = [\"sha256/{}=\"]", "A".repeat(43));
    for (files, settings, problem) in [
        (&good, String::new(), "unknown authority; set origin_tls.ca"),
        (&old, ca.clone(), "certificate expired"),
        (&named, ca.clone(), "is not for 127.0.0.1; set origin_tls.sni"),
        (&good, format!("{ca}, {other_pin}"), "which is none of origin_tls.pin"),
        (&good, format!("verify = false, {other_pin}"), "which is none of origin_tls.pin"),
    ] {
        let Some(nginx) = nginx(files, "") else { return };
        let node = https(&nginx, &format!("origin_tls = {{ {settings} }}"));
        assert_eq!(node.get("/a").head.status, 502, "{problem}");
        edge_tests::process::eventually(&format!("the log to say {problem}"), || {
            (node.log_count(problem) > 0).then_some(())
        });
        let explained = explained(&node, "/a");
        assert!(explained.contains(problem), "{problem}: {explained}");
        let failures = node.metrics().sum("edge_origin_failures_total", &[("reason", "tls")]);
        assert!(failures > 0, "{problem}");
    }
    // Plain text where TLS was asked for is no origin, and is not fallen back to.
    let plain = origin("plain");
    let url = plain.url().replace("http:", "https:");
    let node = node(&format!("origin = \"{url}\"\norigin_tls = {{ {ca} }}"));
    assert_eq!(node.get("/a").head.status, 502);
    assert!(plain.heads().is_empty());
}

#[test]
fn names_pins_and_client_certificates_make_it_good() {
    let authority = Authority::new();
    let named = authority.issue("named", &["inner.test"], 2400);
    let client = authority.issue("client", &["edge"], 2400);
    let Some(pin) = pin(authority.dir.path(), &named.0) else { return };
    let ca = authority.ca();
    let Some(open) = nginx(&named, "add_header X-Name $ssl_server_name;") else { return };
    for settings in [
        format!("ca = \"{ca}\", sni = \"inner.test\""),
        format!("ca = \"{ca}\", sni = \"inner.test\", pin = \"{pin}\""),
        format!("verify = false, sni = \"inner.test\", pin = [\"{pin}\"]"),
        "verify = false, sni = \"inner.test\"".to_owned(),
    ] {
        let node = https(&open, &format!("origin_tls = {{ {settings} }}"));
        let got = node.get("/a").expect_status(200);
        assert_eq!(got.head.expect_field("x-name"), "inner.test", "{settings}");
    }
    let address = format!("{{ url = \"https://{}\", sni = \"inner.test\" }}", open.addr());
    let node = node(&format!("origin = [{address}]\norigin_tls = {{ ca = \"{ca}\" }}"));
    node.get("/a").expect_status(200);

    let more = format!("ssl_client_certificate {ca}; ssl_verify_client on;");
    let Some(closed) = nginx(&named, &more) else { return };
    let sni = format!("ca = \"{ca}\", sni = \"inner.test\"");
    assert_eq!(https(&closed, &format!("origin_tls = {{ {sni} }}")).get("/a").head.status, 400);
    let (cert, key) = (client.0.display(), client.1.display());
    let shown = format!("{sni}, client_cert = \"{cert}\", client_key = \"{key}\"");
    https(&closed, &format!("origin_tls = {{ {shown} }}")).get("/a").expect_status(200);
}

#[test]
fn an_authority_follows_a_reload_and_a_missing_file_refuses_it() {
    let authority = Authority::new();
    let files = authority.issue("good", &["127.0.0.1"], 2400);
    let Some(nginx) = nginx(&files, "") else { return };
    let ca = authority.path("followed.pem");
    fs::copy(Authority::new().path("ca.pem"), &ca).expect("copy");
    let lines = format!("origin_tls = {{ ca = \"{}\" }}", ca.display());
    let node = https(&nginx, &lines);
    assert_eq!(node.get("/a").head.status, 502);
    fs::copy(authority.path("ca.pem"), &ca).expect("copy");
    node.sighup();
    edge_tests::process::eventually("the new authority to be believed", || {
        (node.get("/a").head.status == 200).then_some(())
    });
    fs::remove_file(&ca).expect("remove");
    node.sighup();
    edge_tests::process::eventually("the reload to be refused", || {
        (node.log_count("reload refused") > 0).then_some(())
    });
    assert_eq!(node.get("/a?b").head.status, 200, "what was read before holds");
}
