//! Certificates change under load: no handshake fails, no download is cut.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use edge_tests::{
    Certificates, Content, MIB, Node, NodeConfig, Origin, Page, env_number, eventually, need,
};

const BODY: Content = Content::new(73, 4 * MIB);

/// As often as `EDGE_TEST_RELOADS` says, 25 times otherwise.
#[test]
fn reloads_under_load_cut_nothing() {
    let Some(curl) = need("curl") else { return };
    let (origin, certificates) = (Origin::with("/a", Page::of(BODY)), Certificates::new());
    // Both are trusted by the clients; which one they get does not matter.
    let pairs = [certificates.make("one", &["a.test"]), certificates.make("two", &["a.test"])];
    let trusted = certificates.path("both.pem");
    let text = pairs.iter().map(|(cert, _)| std::fs::read_to_string(cert).expect("a certificate"));
    std::fs::write(&trusted, text.collect::<String>()).expect("write");
    let (cert, key) = (certificates.path("now.pem"), certificates.path("now.key"));
    let install = |number: usize| {
        let (new_cert, new_key): &(PathBuf, PathBuf) = &pairs[number % 2];
        std::fs::copy(new_cert, &cert).expect("copy");
        std::fs::copy(new_key, &key).expect("copy");
    };
    install(0);
    let node = Node::start(NodeConfig::of(&origin.url()).tls(&[(&cert, &key)]));
    let port = node.addr_of(1).port();
    let (resolve, url) = (format!("a.test:{port}:127.0.0.1"), format!("https://a.test:{port}/a"));
    let (stop, downloads) = (AtomicBool::new(false), AtomicU64::new(0));
    let reloads = env_number("EDGE_TEST_RELOADS", 25);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let mut command = Command::new(curl.path());
                    command
                        .args(["-sS", "--resolve", &resolve, "--cacert"])
                        .arg(&trusted)
                        .arg(&url);
                    let output = command.output().expect("curl");
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert!(output.status.success(), "{}: {said}", output.status);
                    assert!(
                        output.stdout == BODY.bytes(0..BODY.len),
                        "{} bytes",
                        output.stdout.len()
                    );
                    downloads.fetch_add(1, Relaxed);
                }
            });
        }
        for number in 1..=reloads {
            install(number as usize);
            node.sighup();
            eventually("the reload", || {
                (node.log_count("reloaded: ") as u64 >= number).then_some(())
            });
        }
        eventually("downloads beside the reloads", || (downloads.load(Relaxed) >= 4).then_some(()));
        stop.store(true, Relaxed);
    });
    assert_eq!(node.metric("edge_tls_handshake_failures_total"), 0);
    assert_eq!(node.metric("edge_cuts_total"), 0);
    assert_eq!(node.metric("edge_tls_handshakes_total"), downloads.load(Relaxed));
    assert_eq!(node.log_count("reload refused"), 0);
}
