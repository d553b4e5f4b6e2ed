//! An origin without manners of its own: a script reads what really came over the wire and writes
//! what it likes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A node that says nothing for so long hangs.
const HANG: Duration = Duration::from_secs(60);

/// A running origin; ends when dropped.
pub struct RawOrigin {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

#[derive(Default)]
struct Shared {
    heads: Mutex<Vec<Asked>>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicU64,
    stopped: AtomicBool,
}

/// A request head as it was received.
#[derive(Clone, Debug)]
pub struct Asked {
    /// All of it, the empty line included.
    pub text: String,
}

/// One connection, in the hands of the script.
pub struct Call {
    stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl RawOrigin {
    /// An origin that runs `script` for each connection, in a thread of its own; an error ends the
    /// connection.
    pub fn start(
        script: impl Fn(&mut Call) -> io::Result<()> + Send + Sync + 'static,
    ) -> RawOrigin {
        RawOrigin::on("127.0.0.1:0".parse().expect("an address"), script)
    }

    /// The same at an address of the caller's choice; panics when it is taken.
    pub fn on(
        addr: SocketAddr,
        script: impl Fn(&mut Call) -> io::Result<()> + Send + Sync + 'static,
    ) -> RawOrigin {
        let listener = TcpListener::bind(addr).expect("a loopback port");
        let addr = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let (accepting, script) = (shared.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if accepting.stopped.load(SeqCst) {
                    return;
                }
                accepting.connections.fetch_add(1, SeqCst);
                let (shared, script) = (accepting.clone(), script.clone());
                std::thread::spawn(move || {
                    let handle = stream.try_clone().expect("a descriptor");
                    shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
                    let _ = stream.set_read_timeout(Some(HANG));
                    let _ = stream.set_nodelay(true);
                    let mut call = Call { stream: BufReader::new(stream), shared };
                    let _ = script(&mut call);
                    let _ = call.stream.get_ref().shutdown(Shutdown::Both);
                });
            }
        });
        RawOrigin { shared, addr }
    }

    /// An origin that answers every request, whatever its body, with `answer`.
    pub fn answering(answer: impl Into<Vec<u8>>) -> RawOrigin {
        let answer = answer.into();
        RawOrigin::start(move |call| {
            while let Some(asked) = call.head()? {
                call.body(&asked)?;
                call.send(&answer)?;
            }
            Ok(())
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a site's `origin` names.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every head received so far.
    pub fn heads(&self) -> Vec<Asked> {
        self.shared.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The head received last.
    #[track_caller]
    pub fn last(&self) -> Asked {
        self.heads().pop().expect("the origin was asked")
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The acceptor looks at `stopped` when somebody comes.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Asked {
    /// Every value of a field, whatever its case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The request line.
    pub fn line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The target.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }
}

impl Call {
    /// The next request head; `None` at the end of the connection.
    pub fn head(&mut self) -> io::Result<Option<Asked>> {
        let mut text = String::new();
        loop {
            let start = text.len();
            if self.stream.read_line(&mut text)? == 0 {
                return Ok(None);
            }
            if &text[start..] == "\r\n" {
                break;
            }
        }
        let asked = Asked { text };
        let mut heads = self.shared.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.push(asked.clone());
        Ok(Some(asked))
    }

    /// The request's body as its head frames it, and the trailer lines that followed.
    pub fn body(&mut self, asked: &Asked) -> io::Result<(Vec<u8>, String)> {
        let mut body = Vec::new();
        let trailers = self.body_into(asked, &mut |piece| body.extend_from_slice(piece))?;
        Ok((body, trailers))
    }

    /// [`Call::body`], piece by piece; returns the trailer lines.
    pub fn body_into(&mut self, asked: &Asked, sink: &mut dyn FnMut(&[u8])) -> io::Result<String> {
        if let Some(length) = asked.field("content-length") {
            let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            self.exactly(length, sink)?;
        } else if asked.field("transfer-encoding").is_some() {
            loop {
                let line = self.line()?;
                let size = u64::from_str_radix(line.trim_end(), 16);
                let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
                if size == 0 {
                    break;
                }
                self.exactly(size, sink)?;
                self.line()?;
            }
            let mut trailers = String::new();
            loop {
                match self.line()?.as_str() {
                    "\r\n" => return Ok(trailers),
                    line => trailers += line,
                }
            }
        }
        Ok(String::new())
    }

    /// Exactly `count` bytes as they are.
    pub fn exactly(&mut self, count: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let bytes = self.stream.fill_buf()?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&bytes[..len]);
            self.stream.consume(len);
            left -= len as u64;
        }
        Ok(())
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Ends our half.
    pub fn half_close(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}
