//! What `cargo xtask vm-test` runs on stock kernels beside the stories of other files: that a guest is
//! what those count on. On other hosts it says nothing.

mod ktls;

use edge_tests::{Content, MIB, Node, Origin, Page};

const BODY: Content = Content::new(90, 3 * MIB);

/// The guest's name; `None` on an ordinary host.
fn guest() -> Option<String> {
    std::env::var("EDGE_TEST_GUEST").ok()
}

#[test]
fn a_guest_has_the_kernel_it_is_named_after_and_a_node_serves_there() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    if let Some(guest) = guest() {
        assert!(release.starts_with(&format!("{guest}.")), "{release}");
    }
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    for _ in 0..2 {
        assert!(node.get("/a").expect_status(200).body == BODY.bytes(0..BODY.len));
    }
    assert_eq!(node.outcomes("hit"), 1);
}
