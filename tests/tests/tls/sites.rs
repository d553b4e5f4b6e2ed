//! What a site makes of HTTPS: redirects, HSTS, certificates of clients.

use std::path::Path;

use edge_tests::{Certificates, Content, MIB, Node, NodeConfig, Origin, Page, Tool, need};

const BODY: Content = Content::new(72, MIB);

struct Stage {
    node: Node,
    certificates: Certificates,
    _origin: Origin,
}

/// Three sites under one certificate: an open one, one for clients with a certificate, one for HTTPS.
fn stage() -> Stage {
    let origin = Origin::with("/a", Page::of(BODY));
    let certificates = Certificates::new();
    let (cert, key) = certificates.make("a", &["*.a.test"]);
    let (authority, _) = certificates.make("friend", &["friend.test"]);
    let guarded = format!("client_ca = \"{}\"", authority.display());
    let secure = ["https_redirect = 308", "hsts = { max_age = \"365d\", subdomains = true }"];
    let config = NodeConfig::default()
        .site("open.a.test", &origin.url(), &[])
        .site("guarded.a.test", &origin.url(), &[&guarded])
        .site("secure.a.test", &origin.url(), &secure)
        .server("trusted_proxies = [\"127.0.0.2\"]")
        .tls(&[(&cert, &key)]);
    Stage { node: Node::start(config), certificates, _origin: origin }
}

impl Stage {
    /// Status and fields of an answer to curl, which names `host` in the handshake.
    fn curl(&self, curl: &Tool, host: &str, args: &[&str]) -> String {
        let port = self.node.addr_of(1).port();
        let (resolve, cert) = (format!("{host}:{port}:127.0.0.1"), self.path("a.pem"));
        let url = format!("https://{host}:{port}/a");
        let mut all = vec!["-sS", "-o", "/dev/null", "-D", "-", "--http1.1"];
        all.extend(["--resolve", &resolve, "--cacert", &cert]);
        all.extend(args);
        all.push(&url);
        let output = curl.run(Path::new("/"), &all);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn path(&self, name: &str) -> String {
        self.certificates.path(name).display().to_string()
    }
}

#[test]
fn plain_requests_are_sent_to_https_and_told_to_stay() {
    let Some(curl) = need("curl") else { return };
    let stage = stage();
    let plain = |fields: &[(&str, &str)]| {
        let mut client = stage.node.connect().with_host("secure.a.test");
        client.get_with("/a?b=c", fields)
    };
    let answer = plain(&[]).expect_status(308);
    assert_eq!(answer.head.expect_field("location"), "https://secure.a.test/a?b=c");
    assert_eq!(answer.head.field("strict-transport-security"), None, "RFC 6797 section 7.2");
    // Anybody may write this; only a trusted proxy is believed.
    plain(&[("X-Forwarded-Proto", "https")]).expect_status(308);
    let mut proxy =
        edge_tests::Client::connect_from("127.0.0.2".parse().unwrap(), stage.node.addr())
            .with_host("secure.a.test");
    let answer = proxy.get_with("/a", &[("X-Forwarded-Proto", "https")]).expect_status(200);
    let policy = "max-age=31536000; includeSubDomains";
    assert_eq!(answer.head.expect_field("strict-transport-security"), policy);
    let said = stage.curl(&curl, "secure.a.test", &[]);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.contains(&format!("Strict-Transport-Security: {policy}\r\n")), "{said}");
    let said = stage.curl(&curl, "open.a.test", &[]);
    assert!(said.starts_with("HTTP/1.1 200") && !said.contains("Strict-Transport"), "{said}");
}

#[test]
fn a_certificate_is_asked_of_clients_of_its_site_whatever_host_they_name() {
    let Some(curl) = need("curl") else { return };
    let stage = stage();
    let (cert, key) = (stage.path("friend.pem"), stage.path("friend.key"));
    let friend = ["--cert", &cert, "--key", &key];
    let ask = |host: &str, args: &[&str]| {
        let said = stage.curl(&curl, host, args);
        said.split(' ').nth(1).map(str::to_owned).unwrap_or_default()
    };
    assert_eq!(ask("open.a.test", &[]), "200");
    assert_eq!(ask("guarded.a.test", &friend), "200");
    assert_eq!(ask("guarded.a.test", &[]), "", "the handshake fails");
    // The host that the handshake named let everybody in: not so the one that is asked for.
    let other = ["-H", "Host: guarded.a.test"];
    assert_eq!(ask("open.a.test", &other), "421");
    assert_eq!(ask("open.a.test", &[&friend[..], &other].concat()), "421");
    // Whoever was let in may ask for what is open to all.
    assert_eq!(ask("guarded.a.test", &[&friend[..], &["-H", "Host: open.a.test"]].concat()), "200");
    let mut plain = stage.node.connect().with_host("guarded.a.test");
    plain.get("/a").expect_status(403);
}

#[test]
fn no_weak_version_or_suite_is_spoken() {
    let Some(openssl) = need("openssl") else { return };
    let stage = stage();
    let addr = stage.node.addr_of(1).to_string();
    let open = |args: &[&str]| {
        let line = format!(
            "{} s_client -connect {addr} -servername open.a.test {} </dev/null 2>&1",
            openssl.path().display(),
            args.join(" ")
        );
        let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("sh");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success() && !said.contains("Cipher is (NONE)"), said)
    };
    for (args, spoken) in [
        (&["-tls1_3"][..], true),
        (&["-tls1_2"], true),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], true),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA:AES128-SHA:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384"], false),
        (&["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:ADH:aNULL:@SECLEVEL=0"], false),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], false),
    ] {
        let (is_open, said) = open(args);
        assert_eq!(is_open, spoken, "{args:?}: {said}");
    }
    let (_, said) = open(&["-tls1_2"]);
    assert!(said.contains("Secure Renegotiation IS supported"), "RFC 5746: {said}");
    assert!(said.contains("Compression: NONE"), "{said}");
}
