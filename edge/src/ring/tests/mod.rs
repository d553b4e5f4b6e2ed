//! The real ring against this host's kernel.

pub mod server;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use self::server::{Server, sample};
use super::{Buffer, Event, EventKind, Io, OpId, Ring, RingConfig, Socket};
use crate::sys::eventfd::EventFd;
use crate::sys::net::{Listening, listener};

/// Long enough that only a test that would hang ever feels it.
const PATIENCE: Duration = Duration::from_secs(10);

const CONFIG: RingConfig = RingConfig {
    entries: 64,
    buffers: 16,
    buffer_bytes: 4096,
    pipes_max: 4,
    pipe_bytes: 256 * 1024,
};

fn ring() -> Ring {
    Ring::new(&CONFIG).unwrap()
}

fn loopback(addr: &str) -> TcpListener {
    listener(addr.parse().unwrap(), Listening { backlog: 64, ..Listening::default() }).unwrap()
}

fn pair() -> (Socket, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    (Socket::new(near.into()).unwrap(), far)
}

fn event(ring: &mut Ring) -> Event<Socket> {
    loop {
        if let Some(event) = ring.next() {
            return event;
        }
        ring.wait(Some(PATIENCE)).unwrap();
    }
}

fn received(event: Event<Socket>) -> io::Result<Buffer> {
    match event.kind {
        EventKind::Received(result) => result,
        other => panic!("received expected, not {other:?}"),
    }
}

fn is_cancelled(event: &Event<Socket>, op: OpId) -> bool {
    let error = match &event.kind {
        EventKind::Accepted(Err(error))
        | EventKind::Received(Err(error))
        | EventKind::Writable(Err(error)) => error.raw_os_error(),
        EventKind::Woken => Some(libc::ECANCELED),
        _ => None,
    };
    event.op == op && !event.more && error == Some(libc::ECANCELED)
}

/// Sends until the socket takes no more; answers how much it took.
fn fill(ring: &mut Ring, socket: &Socket) -> usize {
    let mut sent = 0;
    loop {
        match ring.send(socket, [&[7; 65_536], b""], false) {
            Ok(n) => sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn connections_are_accepted_until_cancelled() {
    let mut ring = ring();
    let listening = Listening { backlog: 8, ..Listening::default() };
    for addr in ["127.0.0.1:0", "[::ffff:127.0.0.1]:0"] {
        let Ok(listener) = listener(addr.parse().unwrap(), listening) else { continue };
        let op = ring.accept(&listener, 5).unwrap();
        let port = listener.local_addr().unwrap().port();
        for _ in 0..3 {
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let event = event(&mut ring);
            assert_eq!((event.token, event.op, event.more), (5, op, true));
            let EventKind::Accepted(Ok((socket, peer))) = event.kind else { panic!("{event:?}") };
            assert_eq!(peer, client.local_addr().unwrap());
            ring.close(socket);
        }
        ring.cancel(op);
        assert!(is_cancelled(&event(&mut ring), op));
    }
    assert_eq!(ring.armed_ops(), 0);
}

#[test]
fn a_stream_is_received_to_its_end() {
    let mut ring = ring();
    let (socket, mut far) = pair();
    let op = ring.receive(&socket, 1).unwrap();
    assert_eq!(ring.receive(&socket, 1).unwrap_err().kind(), ErrorKind::AlreadyExists);
    for word in [&b"one"[..], b"two", b"three"] {
        far.write_all(word).unwrap();
        let event = event(&mut ring);
        assert_eq!((event.token, event.op, event.more), (1, op, true));
        let buffer = received(event).unwrap();
        assert_eq!((ring.bytes(&buffer), buffer.len()), (word, word.len()));
        ring.recycle(buffer);
    }
    far.shutdown(Shutdown::Write).unwrap();
    let last = event(&mut ring);
    assert!(!last.more);
    let end = received(last).unwrap();
    assert!(end.is_end() && ring.bytes(&end).is_empty());
    ring.recycle(end);
    assert_eq!(ring.armed_ops(), 0);
    ring.receive(&socket, 1).unwrap();
    ring.close(socket);
}

#[test]
fn a_cancelled_op_has_one_last_event_and_its_name_dies_with_it() {
    let mut ring = ring();
    let (socket, _far) = pair();
    let first = ring.receive(&socket, 1).unwrap();
    ring.cancel(first);
    ring.cancel(first);
    assert!(is_cancelled(&event(&mut ring), first));
    let second = ring.receive(&socket, 2).unwrap();
    assert_ne!(first, second);
    ring.cancel(first);
    ring.wait(Some(Duration::ZERO)).unwrap();
    assert!(ring.next().is_none(), "a stale cancel touches nothing");
    assert_eq!(ring.armed_ops(), 1);
}

#[test]
fn exhausted_buffers_end_a_receive_and_nothing_is_lost() {
    let config = RingConfig { buffers: 2, buffer_bytes: 8, ..CONFIG };
    let mut ring = Ring::new(&config).unwrap();
    let (socket, mut far) = pair();
    let message: Vec<u8> = (0..=255).collect();
    far.write_all(&message).unwrap();
    let (mut got, mut held, mut exhausted) = (Vec::<u8>::new(), Vec::new(), 0);
    ring.receive(&socket, 0).unwrap();
    while got.len() < message.len() {
        let event = event(&mut ring);
        let more = event.more;
        match received(event) {
            Ok(buffer) => {
                got.extend(ring.bytes(&buffer));
                held.push(buffer);
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS));
                assert_eq!(held.len(), 2);
                exhausted += 1;
                held.drain(..).for_each(|buffer| ring.recycle(buffer));
            }
        }
        if !more {
            ring.receive(&socket, 0).unwrap();
        }
    }
    assert_eq!(got, message);
    assert!(exhausted > 0);
}

#[test]
fn a_full_socket_becomes_writable_when_it_is_read() {
    let mut ring = ring();
    let (socket, mut far) = pair();
    let sent = fill(&mut ring, &socket);
    let op = ring.await_writable(&socket, 3).unwrap();
    assert_eq!(ring.await_writable(&socket, 3).unwrap_err().kind(), ErrorKind::AlreadyExists);
    ring.wait(Some(Duration::ZERO)).unwrap();
    assert!(ring.next().is_none());
    far.read_exact(&mut vec![0; sent]).unwrap();
    let event = event(&mut ring);
    assert!(matches!(event.kind, EventKind::Writable(Ok(()))));
    assert_eq!((event.token, event.op, event.more), (3, op, false));
    assert!(ring.send(&socket, [b"", b"x"], false).is_ok());
}

#[test]
fn cold_bytes_come_through_a_pipe_as_they_are_in_the_file() {
    let mut ring = ring();
    let (file, bytes) = sample(1_000_000);
    let file = Arc::new(file);
    let (socket, mut far) = pair();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        far.read_to_end(&mut got).map(|_| got).unwrap()
    });
    let mut pipe = ring.pipe().unwrap();
    let mut offset = 0;
    loop {
        let op = ring.splice_in(&file, offset, 1 << 20, &pipe, offset).unwrap();
        let spliced = event(&mut ring);
        assert_eq!((spliced.token, spliced.op, spliced.more), (offset, op, false));
        let EventKind::Spliced(Ok(read)) = spliced.kind else { panic!("{spliced:?}") };
        ring.spliced_in(&mut pipe, read);
        offset += read as u64;
        if read == 0 {
            break;
        }
        while ring.pipe_len(&pipe) > 0 {
            match ring.drain_pipe(&mut pipe, &socket, true) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ring.await_writable(&socket, 0).unwrap();
                    assert!(matches!(event(&mut ring).kind, EventKind::Writable(Ok(()))));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    ring.return_pipe(pipe);
    ring.close(socket);
    assert!(reader.join().unwrap() == bytes, "the file's bytes");
}

#[test]
fn an_eventfd_wakes_a_ring_that_waits_for_ever() {
    let mut ring = ring();
    let eventfd = Arc::new(EventFd::new().unwrap());
    let op = ring.watch(&eventfd, 8).unwrap();
    for _ in 0..3 {
        let other = Arc::clone(&eventfd);
        let thread = std::thread::spawn(move || other.signal());
        ring.wait(None).unwrap();
        let event = event(&mut ring);
        assert!(matches!(event.kind, EventKind::Woken));
        assert_eq!((event.token, event.op, event.more), (8, op, true));
        eventfd.clear();
        thread.join().unwrap();
    }
    drop(eventfd);
    ring.cancel(op);
    assert!(is_cancelled(&event(&mut ring), op));
}

#[test]
fn small_queues_lose_nothing() {
    // Far more submissions than two entries hold, far more completions than their sixteen.
    let config = RingConfig { entries: 2, buffers: 256, buffer_bytes: 16, ..CONFIG };
    let mut ring = Ring::new(&config).unwrap();
    let mut pairs: Vec<(Socket, UnixStream)> = (0..200).map(|_| pair()).collect();
    for (token, (socket, far)) in pairs.iter_mut().enumerate() {
        far.write_all(&[token as u8]).unwrap();
        ring.receive(socket, token as u64).unwrap();
    }
    let mut got = vec![false; pairs.len()];
    while !got.iter().all(|&got| got) {
        let event = event(&mut ring);
        let (token, more) = (event.token as usize, event.more);
        let buffer = received(event).unwrap();
        assert_eq!(ring.bytes(&buffer), [token as u8]);
        assert!(!std::mem::replace(&mut got[token], true));
        ring.recycle(buffer);
        if !more {
            ring.receive(&pairs[token].0, token as u64).unwrap();
        }
    }
    let fars: Vec<UnixStream> =
        pairs.into_iter().map(|(socket, far)| (ring.close(socket), far).1).collect();
    for _ in 0..fars.len() {
        assert!(received(event(&mut ring)).is_err());
    }
    assert_eq!(ring.armed_ops(), 0);
    for mut far in fars {
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "closed for the client too");
    }
}

#[test]
fn a_client_that_is_gone_is_an_error_and_no_signal() {
    let mut ring = ring();
    let (file, _) = sample(10_000);
    let (socket, far) = pair();
    let mut pipe = ring.pipe().unwrap();
    ring.fill_pipe(&file, 0, 10_000, &mut pipe).unwrap();
    drop(far);
    assert_eq!(ring.send(&socket, [b"", b"x"], false).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(ring.sendfile(&socket, &file, 0, 9).unwrap_err().kind(), ErrorKind::BrokenPipe);
    let error = ring.drain_pipe(&mut pipe, &socket, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(ring.pipe_len(&pipe), 10_000);
    ring.cork(&socket, true);
    ring.shutdown_write(&socket);
    ring.return_pipe(pipe);
}

#[test]
fn a_ring_may_be_dropped_with_everything_in_flight() {
    let (mut clients, mut sockets) = (Vec::new(), Vec::new());
    let listener = loopback("127.0.0.1:0");
    let (file, _) = sample(500_000);
    let eventfd = EventFd::new().unwrap();
    let mut ring = ring();
    ring.accept(&listener, 0).unwrap();
    ring.watch(&eventfd, 0).unwrap();
    for round in 0..20 {
        let (socket, mut far) = pair();
        ring.receive(&socket, 0).unwrap();
        fill(&mut ring, &socket);
        ring.await_writable(&socket, 0).unwrap();
        far.write_all(b"unread").unwrap();
        clients.push(far);
        if round % 2 == 0 {
            sockets.push(socket);
        }
        if round == 10 {
            ring.wait(Some(Duration::ZERO)).unwrap();
        }
    }
    let pipe = ring.pipe().unwrap();
    ring.splice_in(&Arc::new(file), 0, 500_000, &pipe, 0).unwrap();
    drop(pipe);
    drop((ring, sockets));
    for mut far in clients {
        // Everything of ours is closed, so the stream ends.
        match far.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_whole_server_runs_on_it() {
    const CLIENTS: usize = 12;
    let (file, bytes) = sample(3_000_000);
    let listener = loopback("127.0.0.1:0");
    let addr = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut expected = vec![client as u8; client * 9_000];
            expected.extend(&bytes);
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(addr).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(&expected[..client * 9_000]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                got == expected
            })
        })
        .collect();
    let mut ring = ring();
    let mut server = Server::new(listener, file);
    while !clients.iter().all(|client| client.is_finished()) {
        server.turn(&mut ring, Some(Duration::from_millis(20)));
    }
    for client in clients {
        assert!(client.join().unwrap(), "a client got other bytes");
    }
    ring.wait(Some(Duration::ZERO)).unwrap();
    while ring.next().is_some() {}
    assert_eq!(ring.armed_ops(), 1, "only accept is armed");
}
