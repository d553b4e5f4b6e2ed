//! Asks a running node: just enough HTTP/1.1 over TCP or a Unix socket.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Time for each of: connecting, sending, a piece of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer, bytes.
const ANSWER_MAX_BYTES: u64 = 64 * 1024 * 1024;
const HEADERS_MAX: usize = 32;

/// Where a node's admin server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `127.0.0.1:9180`, `localhost:9180`
    Tcp(String),
    /// `/run/edge/admin.sock`
    Socket(PathBuf),
}

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("no node answers at {node}: {source}; is it running? --admin names another")]
    Connect {
        /// Who was asked.
        node: Node,
        /// Why.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("{node} broke off: {source}")]
    Talk {
        /// Who was asked.
        node: Node,
        /// Why.
        source: io::Error,
    },
    /// Whoever is there is no node.
    #[error("what answers at {node} is not a node's admin server; --admin names another")]
    NotANode {
        /// Who was asked.
        node: Node,
    },
    /// It answered, but not with what was asked for.
    #[error("{node} answered {status}: {}", text.trim_end())]
    Refused {
        /// Who was asked.
        node: Node,
        /// Of the response.
        status: u16,
        /// Its body.
        text: String,
    },
}

impl Node {
    /// Where a node listens that was not told otherwise.
    pub const DEFAULT: &'static str = "127.0.0.1:9180";

    /// The JSON at `path`.
    ///
    /// # Errors
    /// No node answers, or it answers something else.
    pub fn json(&self, path: &str) -> Result<serde_json::Value, ClientError> {
        self.asked(&format!("GET {path}"), "")
    }

    /// Gives the order `body` at `path`; the JSON that is answered.
    ///
    /// # Errors
    /// No node answers, or it refuses.
    pub fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value, ClientError> {
        self.asked(&format!("POST {path}"), &body.to_string())
    }

    /// Gives an order that is all in its `path`.
    ///
    /// # Errors
    /// No node answers, or it refuses.
    pub fn order(&self, path: &str) -> Result<(), ClientError> {
        self.body(&format!("POST {path}"), "").map(drop)
    }

    fn asked(&self, line: &str, body: &str) -> Result<serde_json::Value, ClientError> {
        let body = self.body(line, body)?;
        serde_json::from_slice(&body).map_err(|_| ClientError::NotANode { node: self.clone() })
    }

    /// The body of the answer.
    fn body(&self, line: &str, body: &str) -> Result<Vec<u8>, ClientError> {
        let connect = |source| ClientError::Connect { node: self.clone(), source };
        let talk = |source| ClientError::Talk { node: self.clone(), source };
        let answer = match self {
            Node::Tcp(address) => exchange(connect_tcp(address).map_err(connect)?, line, body),
            Node::Socket(file) => {
                let stream = UnixStream::connect(file).map_err(connect)?;
                let timed = stream.set_read_timeout(Some(TIMEOUT));
                timed.and_then(|()| stream.set_write_timeout(Some(TIMEOUT))).map_err(connect)?;
                exchange(stream, line, body)
            }
        };
        self.body_of(&answer.map_err(talk)?)
    }

    fn body_of(&self, answer: &[u8]) -> Result<Vec<u8>, ClientError> {
        let not_a_node = || ClientError::NotANode { node: self.clone() };
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(head_bytes)) = response.parse(answer) else {
            return Err(not_a_node());
        };
        let length =
            response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
        let length: usize = length
            .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
            .ok_or_else(not_a_node)?;
        let body = answer[head_bytes..].get(..length).ok_or_else(|| ClientError::Talk {
            node: self.clone(),
            source: io::ErrorKind::UnexpectedEof.into(),
        })?;
        match response.code {
            Some(200) => Ok(body.to_vec()),
            status => Err(ClientError::Refused {
                node: self.clone(),
                status: status.unwrap_or(0),
                text: String::from_utf8_lossy(body).into_owned(),
            }),
        }
    }
}

impl FromStr for Node {
    type Err = Infallible;

    /// What has a slash is a socket.
    fn from_str(text: &str) -> Result<Node, Infallible> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        Ok(match path.contains('/') {
            true => Node::Socket(path.into()),
            false => Node::Tcp(text.to_owned()),
        })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Tcp(address) => f.write_str(address),
            Node::Socket(path) => path.display().fmt(f),
        }
    }
}

fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One request, and everything up to the end of the connection.
fn exchange(mut stream: impl Read + Write, line: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is made of `answer`, sent by whoever listens at a port.
    fn asked(answer: &'static str) -> Result<serde_json::Value, ClientError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = Node::Tcp(listener.local_addr().unwrap().to_string());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let got = stream.read(&mut request).unwrap();
            assert!(request[..got].starts_with(b"GET /status HTTP/1.1\r\nHost: localhost\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let value = node.json("/status");
        server.join().unwrap();
        value
    }

    #[test]
    fn names_of_nodes() {
        for (text, node) in [
            ("127.0.0.1:9180", Node::Tcp("127.0.0.1:9180".into())),
            ("localhost:1", Node::Tcp("localhost:1".into())),
            ("/run/a.sock", Node::Socket("/run/a.sock".into())),
            ("./a.sock", Node::Socket("./a.sock".into())),
            ("unix:/run/a.sock", Node::Socket("/run/a.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(node), "{text}");
        }
    }

    #[test]
    fn answers_are_read_or_named() {
        let value = asked("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}\n").unwrap();
        assert_eq!(value["a"], 1);
        for (answer, message) in [
            ("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\ndraining\n", "answered 503: draining"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "broke off"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n<>", "is not a node's admin server"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "is not a node's admin server"),
            ("HTTP/1.1 200 OK\r\n\r\n{}", "is not a node's admin server"),
            ("SSH-2.0-OpenSSH\r\n", "is not a node's admin server"),
            ("", "is not a node's admin server"),
        ] {
            let error = asked(answer).unwrap_err().to_string();
            assert!(error.contains(message), "{answer:?}: {error}");
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_cure() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Node::Tcp(closed.to_string()).json("/").unwrap_err().to_string();
        assert!(error.contains("no node answers at 127.0.0.1:"), "{error}");
        assert!(error.contains("is it running? --admin names another"), "{error}");
    }
}
