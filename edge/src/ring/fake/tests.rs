use super::*;
use crate::ring::tests::server::{Server, sample};
use crate::ring::{EventKind, Io};
use crate::sys::eventfd::EventFd;

const TURNS_MAX: usize = 100_000;

fn run_until_quiet(server: &mut Server<FakeRing>, ring: &mut FakeRing) {
    for _ in 0..TURNS_MAX {
        server.turn(ring, None);
        // The server's own accept may have ended: only a turn that ended nothing counts.
        if ring.is_quiet() {
            server.turn(ring, None);
            if ring.is_quiet() {
                return;
            }
        }
    }
    panic!("the server never came to rest");
}

fn events(ring: &mut FakeRing) -> Vec<Event<FakeSocket>> {
    ring.wait(None).unwrap();
    std::iter::from_fn(|| ring.next()).collect()
}

fn accepted(ring: &mut FakeRing) -> (FakeSocket, ClientId) {
    let listener = ring.listener();
    let client = ring.connect(listener.id());
    ring.accept(&listener, 0).unwrap();
    match events(ring).pop().unwrap().kind {
        EventKind::Accepted(Ok((socket, _))) => (socket, client),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_right_server_is_right_whatever_happens() {
    for seed in 0..150 {
        let mut ring = FakeRing::new(seed);
        let listener = ring.listener();
        let to = listener.id();
        let (file, bytes) = sample(90_000);
        let mut server = Server::new(listener, file);
        let clients: Vec<(ClientId, Vec<u8>)> =
            (0..6).map(|n| (ring.connect(to), vec![n as u8; n * 1_500])).collect();
        for (client, request) in &clients {
            ring.client_send(*client, request);
            ring.client_close(*client);
        }
        let (stalled, gone) = (clients[1].0, clients[2].0);
        ring.client_stall(stalled, true);
        for _ in 0..4 {
            server.turn(&mut ring, None);
        }
        ring.client_reset(gone);
        run_until_quiet(&mut server, &mut ring);

        assert_eq!(ring.open_sockets(), 1, "seed {seed}: the stalled client's alone");
        ring.client_stall(stalled, false);
        run_until_quiet(&mut server, &mut ring);
        for (client, mut expected) in clients.into_iter().filter(|(client, _)| *client != gone) {
            expected.extend(&bytes);
            assert!(ring.client_received(client) == expected, "seed {seed}: {client:?}");
            assert!(ring.client_sees_end(client));
        }
        assert_eq!(ring.armed_ops(), 1, "seed {seed}: accept alone");
        assert_eq!((ring.open_sockets(), ring.buffers_out(), ring.pipes_out()), (0, 0, 0));
        assert_eq!(ring.closed_while_armed(), 0);
    }
}

#[test]
fn one_seed_is_one_story() {
    let story = |seed| {
        let mut ring = FakeRing::new(seed);
        let listener = ring.listener();
        let to = listener.id();
        let mut server = Server::new(listener, sample(50_000).0);
        let client = ring.connect(to);
        ring.client_send(client, &[1; 5_000]);
        ring.client_close(client);
        let mut lengths = Vec::new();
        while !ring.client_sees_end(client) {
            server.turn(&mut ring, None);
            lengths.push(ring.client_received(client).len());
        }
        lengths
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}

#[test]
fn a_calm_ring_has_no_faults() {
    let mut ring = FakeRing::calm();
    let (socket, client) = accepted(&mut ring);
    let op = ring.receive(&socket, 9).unwrap();
    ring.client_send(client, b"hello");
    let event = events(&mut ring).pop().unwrap();
    assert_eq!((event.token, event.op, event.more), (9, op, true));
    let EventKind::Received(Ok(buffer)) = event.kind else { panic!("{event:?}") };
    assert_eq!(ring.bytes(&buffer), b"hello");
    assert_eq!(ring.buffers_out(), 1);
    ring.recycle(buffer);
    assert_eq!(ring.send(&socket, [b"wor", b"ld"], false).unwrap(), 5);
    assert_eq!(ring.client_take(client), b"world");
    ring.close(socket);
    assert_eq!(ring.closed_while_armed(), 1);
    assert!(ring.client_sees_end(client));
    let event = events(&mut ring).pop().unwrap();
    assert!(event.op == op && !event.more);
}

#[test]
fn held_buffers_run_out_and_come_back() {
    let mut ring = FakeRing::calm();
    let (socket, client) = accepted(&mut ring);
    ring.client_send(client, &[5; (BUFFERS + 1) * BUFFER_BYTES]);
    ring.receive(&socket, 0).unwrap();
    let mut held = Vec::new();
    let error = loop {
        match events(&mut ring).pop().unwrap().kind {
            EventKind::Received(Ok(buffer)) => held.push(buffer),
            EventKind::Received(Err(error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((error.raw_os_error(), held.len()), (Some(libc::ENOBUFS), BUFFERS));
    held.into_iter().for_each(|buffer| ring.recycle(buffer));
    ring.receive(&socket, 0).unwrap();
    let event = events(&mut ring).pop().unwrap();
    assert!(matches!(event.kind, EventKind::Received(Ok(buffer)) if buffer.len() == BUFFER_BYTES));
}

#[test]
fn an_eventfd_wakes_it() {
    let mut ring = FakeRing::new(3);
    let eventfd = EventFd::new().unwrap();
    ring.watch(&eventfd, 1).unwrap();
    assert!(events(&mut ring).is_empty());
    eventfd.signal();
    assert!(!ring.is_quiet());
    assert!(matches!(events(&mut ring)[..], [Event { kind: EventKind::Woken, more: true, .. }]));
    eventfd.clear();
    assert!(events(&mut ring).is_empty());
}

#[test]
#[should_panic(expected = "armed twice")]
fn arming_a_direction_twice_is_caught() {
    let mut ring = FakeRing::calm();
    let (socket, _) = accepted(&mut ring);
    let op = ring.receive(&socket, 0).unwrap();
    ring.cancel(op);
    // Its last event was not taken yet.
    let _ = ring.receive(&socket, 0);
}

#[test]
#[should_panic(expected = "while a splice has it")]
fn using_a_pipe_an_op_has_is_caught() {
    let mut ring = FakeRing::calm();
    let mut pipe = ring.pipe().unwrap();
    let file = Arc::new(sample(10).0);
    ring.splice_in(&file, 0, 10, &pipe, 0).unwrap();
    let _ = ring.fill_pipe(&file, 0, 10, &mut pipe);
}

#[test]
#[should_panic(expected = "not accounted")]
fn forgetting_spliced_bytes_is_caught() {
    let mut ring = FakeRing::calm();
    let mut pipe = ring.pipe().unwrap();
    let file = Arc::new(sample(10).0);
    ring.splice_in(&file, 0, 10, &pipe, 0).unwrap();
    assert_eq!(events(&mut ring).len(), 1);
    let _ = ring.fill_pipe(&file, 0, 10, &mut pipe);
}
