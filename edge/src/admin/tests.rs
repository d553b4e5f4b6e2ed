use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;
use crate::config;

#[derive(Default)]
struct Node {
    draining: AtomicBool,
    reloaded: AtomicBool,
}

impl View for Node {
    fn metrics(&self, out: &mut String) {
        out.push_str("edge_x 1\n");
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "version": "1" })
    }

    fn healthy(&self) -> Result<(), String> {
        if self.draining.load(Relaxed) { Err("draining".to_owned()) } else { Ok(()) }
    }

    fn why(&self, address: std::net::IpAddr) -> serde_json::Value {
        serde_json::json!({ "address": address })
    }

    fn top(&self) -> serde_json::Value {
        serde_json::json!({ "clients": [] })
    }

    fn conns(&self) -> serde_json::Value {
        serde_json::json!({ "conns": [] })
    }

    fn forgive(&self, prefix: &str) -> Result<String, String> {
        if prefix.contains('/') { Ok(format!("forgave {prefix}")) } else { Err("no".into()) }
    }

    fn reload(&self) -> Result<String, String> {
        if self.reloaded.swap(true, Relaxed) { Err("twice".into()) } else { Ok("done".into()) }
    }

    fn purge(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal> {
        match order["fail"].as_str() {
            None => Ok(serde_json::json!({ "seen": order })),
            Some("wrong") => Err(Refusal::Wrong("write it so".into())),
            Some(_) => Err(Refusal::Failed("disk".into())),
        }
    }

    fn verify(&self) -> Result<serde_json::Value, Refusal> {
        Ok(serde_json::json!({}))
    }

    fn verified(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn domains(&self) -> serde_json::Value {
        serde_json::json!({ "domains": [] })
    }

    fn add_domain(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal> {
        let text = order["name"].to_string();
        Err(Refusal::Coded { status: 409, code: "DomainAlreadyExist", text })
    }

    fn remove_domain(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal> {
        Ok(order.clone())
    }

    fn explain(&self, question: &serde_json::Value) -> Result<serde_json::Value, Refusal> {
        Ok(question.clone())
    }

    fn prefetch(&self, order: &serde_json::Value) -> Result<serde_json::Value, Refusal> {
        Ok(serde_json::json!({ "prefetch": 7, "seen": order }))
    }

    fn prefetched(&self, number: u64) -> Option<serde_json::Value> {
        (number == 7).then(|| serde_json::json!({ "ended": true }))
    }

    fn purges(&self) -> serde_json::Value {
        serde_json::json!([])
    }
}

/// An admin server on a thread of its own; it ends when dropped.
struct Running {
    node: Arc<Node>,
    addr: Option<SocketAddr>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(config: config::Admin) -> Result<Running, AdminError> {
        let node = Arc::new(Node::default());
        let view: Arc<dyn View> = node.clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (report, reported) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let doors = match bind(&config).await {
                    Ok(doors) => doors,
                    Err(error) => return report.send(Err(error)).unwrap(),
                };
                report.send(Ok(doors.addr())).unwrap();
                tokio::select! {
                    () = doors.run(view) => {}
                    _ = stopped => {}
                }
            });
        });
        let addr = reported.recv().unwrap()?;
        Ok(Running { node, addr, stop: Some(stop), thread: Some(thread) })
    }

    fn tcp() -> Running {
        let addr = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Running::start(config::Admin { addr, socket: None }).unwrap()
    }

    /// Sends bytes as they are; answers all that comes back.
    fn exchange(&self, request: &str) -> String {
        talk(TcpStream::connect(self.addr.unwrap()).unwrap(), request)
    }

    fn status_of(&self, request: &str) -> String {
        let answer = self.exchange(request);
        answer.split(' ').nth(1).unwrap_or("nothing").to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(|thread| thread.join());
    }
}

fn talk(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // The server may close with bytes of ours unread, which resets.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn on_socket(path: &Path) -> config::Admin {
    config::Admin { addr: None, socket: Some(path.to_owned()) }
}

#[test]
fn pages_answer() {
    let admin = Running::tcp();
    let answer = admin.exchange("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nedge_x 1\n"), "{answer}");
    let answer = admin.exchange("GET /status HTTP/1.1\r\nHost: 127.0.0.1:9180\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n{\"version\":\"1\"}\n"), "{answer}");
    let answer = admin.exchange("GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    admin.node.draining.store(true, Relaxed);
    let answer = admin.exchange("GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("draining\n"), "{answer}");
    let answer = admin.exchange("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n") && answer.contains("content-length: 9"), "{answer}");
}

#[test]
fn reload_is_posted() {
    let admin = Running::tcp();
    let post = "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let answer = admin.exchange("GET /reload HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST"), "{answer}");
    assert!(!admin.node.reloaded.load(Relaxed));
    assert!(admin.exchange(post).ends_with("\r\n\r\ndone\n"));
    let answer = admin.exchange(post);
    assert!(answer.starts_with("HTTP/1.1 422 ") && answer.ends_with("twice\n"), "{answer}");
}

#[test]
fn an_order_has_a_body_within_bounds() {
    let admin = Running::tcp();
    let post = |body: &str| {
        let length = body.len();
        admin.exchange(&format!(
            "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    assert!(post("{\"a\":1}").ends_with("\r\n\r\n{\"seen\":{\"a\":1}}\n"));
    for (body, status, text) in [
        ("{\"fail\":\"wrong\"}", "422", "write it so\n"),
        ("{\"fail\":\"late\"}", "500", "disk\n"),
        ("{", "422", "line 1 column 1\n"),
        (&" ".repeat(crate::limits::ADMIN_BODY_MAX_BYTES + 1), "413", "bytes long\n"),
    ] {
        let answer = post(body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with(text), "{answer}");
    }
    let answer = admin.exchange("GET /purge HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST"), "{answer}");
    let answer = admin.exchange("GET /purges HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n[]\n"), "{answer}");
}

#[test]
fn domains_are_ordered() {
    let admin = Running::tcp();
    let post = |path: &str, body: &str| {
        let length = body.len();
        admin.exchange(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    let answer = post("/domains", "{\"name\":\"a\"}");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(answer.ends_with("DomainAlreadyExist: \"a\"\n"), "{answer}");
    assert!(post("/domains/remove", "{\"name\":\"a\"}").ends_with("{\"name\":\"a\"}\n"));
    assert!(post("/explain", "[1]").ends_with("\r\n\r\n[1]\n"));
    let answer = admin.exchange("GET /domains HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.ends_with("{\"domains\":[]}\n"), "{answer}");
    assert_eq!(admin.status_of("GET /explain HTTP/1.1\r\nHost: localhost\r\n\r\n"), "405");
}

#[test]
fn whoever_should_not_ask_is_refused() {
    let admin = Running::tcp();
    let long = "x".repeat(32 * 1024);
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "403"),
        ("GET /metrics HTTP/1.1\r\nHost: \u{e9}\r\n\r\n", "403"),
        ("POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n\r\n", "403"),
        ("POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello", "413"),
        ("POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "405"),
        ("GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "404"),
        ("rubbish\r\n\r\n", "400"),
        (&format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {long}\r\n\r\n"), "431"),
    ] {
        assert_eq!(admin.status_of(request), status, "{request:.80}");
    }
    assert!(!admin.node.reloaded.load(Relaxed));
}

#[test]
fn many_idle_connections_stop_nobody_for_long() {
    let admin = Running::tcp();
    let idle: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect(admin.addr.unwrap()).unwrap()).collect();
    assert_eq!(admin.status_of("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), "200");
    drop(idle);
}

#[test]
fn a_socket_is_private_replaces_a_stale_one_and_goes_with_its_node() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    let admin = Running::start(on_socket(&path)).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    let request = "GET /healthz HTTP/1.1\r\nHost: any.name\r\n\r\n";
    assert!(talk(UnixStream::connect(&path).unwrap(), request).ends_with("ok\n"));
    let second = Running::start(on_socket(&path)).err().map(|error| error.to_string());
    assert!(second.is_some_and(|error| error.starts_with("another node answers on the socket")));
    drop(admin);
    assert!(!path.exists());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_had_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let error = Running::start(on_socket(&file)).err().unwrap();
    assert!(matches!(error, AdminError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let error = Running::start(on_socket(Path::new("/nonexistent/s"))).err().unwrap();
    assert!(error.to_string().starts_with("admin cannot bind the socket /nonexistent/s: No such"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config::Admin { addr: Some(taken.local_addr().unwrap()), socket: None };
    let error = Running::start(config).err().unwrap().to_string();
    assert!(error.contains("is another node running?"), "{error}");
}
