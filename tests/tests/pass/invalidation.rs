//! What a successful unsafe request changes is asked for anew (RFC 9111 §4.4).

use edge_tests::{Node, RawOrigin};

use crate::node;

/// How often `target` was asked for with GET.
fn gets(origin: &RawOrigin, target: &str) -> usize {
    let line = format!("GET {target} HTTP/1.1");
    origin.heads().iter().filter(|asked| asked.line() == line).count()
}

#[track_caller]
fn expect_gets(node: &Node, origin: &RawOrigin, target: &str, count: usize) {
    for _ in 0..2 {
        node.get(target).expect_status(200);
    }
    assert_eq!(gets(origin, target), count, "{target}");
}

#[test]
fn what_an_unsafe_method_changes_is_asked_for_anew() {
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            call.body(&asked)?;
            let (method, host) = (asked.line().split(' ').next(), asked.field("host"));
            let host = host.unwrap_or_default();
            match (method, asked.target()) {
                (Some("GET"), _) => call.send(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nhi",
                )?,
                (_, "/fails") => {
                    call.send("HTTP/1.1 500 No\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")?
                }
                _ => call.send(format!(
                    "HTTP/1.1 201 Created\r\nLocation: http://{host}/new\r\n\
                     Content-Location: named?x\r\nContent-Length: 0\r\n\r\n"
                ))?,
            }
        }
        Ok(())
    });
    let node = node(&origin);
    let targets = ["/dir/a", "/new", "/dir/named?x", "/other", "/fails"];
    for target in targets {
        expect_gets(&node, &origin, target, 1);
    }
    let unsafe_request = |method: &str, target: &str, status: u16| {
        let mut client = node.connect();
        client.request(method, target, &[("Content-Length", "0")]);
        client.response(method).unwrap().expect_status(status);
    };
    for (round, method) in (2..).zip(["POST", "PUT", "DELETE", "PATCH", "FROB"]) {
        unsafe_request(method, "/dir/a", 201);
        for (target, count) in targets.iter().zip([round, round, round, 1, 1]) {
            expect_gets(&node, &origin, target, count);
        }
    }
    // One that failed changed nothing, and a safe one never does.
    unsafe_request("POST", "/fails", 500);
    unsafe_request("OPTIONS", "/dir/a", 201);
    for (target, count) in targets.iter().zip([6, 6, 6, 1, 1]) {
        expect_gets(&node, &origin, target, count);
    }
}

#[test]
fn what_belongs_to_others_stays() {
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            call.body(&asked)?;
            match asked.line().split(' ').next() {
                Some("GET") => call.send(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nhi",
                )?,
                // RFC 9111 §4.4: who may change one origin has no say about another.
                _ => call.send(
                    "HTTP/1.1 201 Created\r\nLocation: http://other.test/a\r\n\
                     Content-Location: //other.test/b\r\nContent-Length: 0\r\n\r\n",
                )?,
            }
        }
        Ok(())
    });
    let node = node(&origin);
    let others = |target: &str| {
        let mut client = node.connect().with_host("other.test");
        client.get(target).expect_status(200);
        gets(&origin, target)
    };
    assert_eq!((others("/a"), others("/b")), (1, 1));
    expect_gets(&node, &origin, "/c", 1);
    let mut client = node.connect();
    client.request("POST", "/c", &[("Content-Length", "0")]);
    client.response("POST").unwrap().expect_status(201);
    assert_eq!((others("/a"), others("/b")), (1, 1));
    expect_gets(&node, &origin, "/c", 2);
}
