//! Disks that fail under a running node: every client gets its bytes, and the node says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use edge_tests::node::run_edge;
use edge_tests::{Content, MIB, Node, NodeConfig, Origin, Page, need};

const LEN: u64 = 5 * MIB + 777;

fn publish(origin: &Origin, n: u64) {
    origin.put(&format!("/{n}"), Page::of(Content::new(n, LEN)));
}

#[track_caller]
fn expect_whole(node: &Node, n: u64) {
    let body = node.get(&format!("/{n}")).expect_status(200).body;
    Content::new(n, LEN).expect(0..LEN, &body);
}

#[track_caller]
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// A block device whose store can be taken away; detached when dropped.
struct Loop {
    device: PathBuf,
    store: PathBuf,
}

impl Loop {
    /// `None`, with a SKIP line, where there can be none.
    fn new(dir: &Path, bytes: u64) -> Option<Loop> {
        need("losetup")?;
        let store = dir.join("store");
        let file = std::fs::File::create(&store).expect("a file");
        file.set_len(bytes).expect("sized");
        let Some(device) = run("losetup", &["--find", "--show", &store.to_string_lossy()]) else {
            eprintln!("SKIP: no loop devices here (root, /dev/loop-control)");
            return None;
        };
        Some(Loop { device: device.into(), store })
    }

    /// From now on whatever is not in memory is an I/O error.
    fn take_away(&self) {
        std::fs::File::options()
            .write(true)
            .open(&self.store)
            .expect("it is there")
            .set_len(0)
            .expect("cut");
    }

    fn drop_caches(&self) {
        run("blockdev", &["--flushbufs", &self.device.to_string_lossy()]);
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["-d", &self.device.to_string_lossy()]);
    }
}

/// A node with these volumes.
fn node_on(origin: &Origin, volumes: &[(&Path, u64)]) -> Node {
    let volumes: Vec<String> = volumes
        .iter()
        .map(|(path, mib)| format!("{{ path = \"{}\", size = \"{mib}MiB\" }}", path.display()))
        .collect();
    Node::start(NodeConfig::of(&origin.url()).volumes(&format!("[{}]", volumes.join(", "))))
}

#[test]
fn a_device_that_goes_away_costs_no_client_a_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(device) = Loop::new(dir.path(), 96 * MIB) else { return };
    let origin = Origin::start();
    let other = dir.path().join("other");
    let node = node_on(&origin, &[(&device.device, 96), (&other, 96)]);
    for n in 0..12 {
        publish(&origin, n);
        expect_whole(&node, n);
    }
    let asked = origin.body_bytes();
    (0..12).for_each(|n| expect_whole(&node, n));
    assert_eq!(origin.body_bytes(), asked, "all of it is stored");

    device.drop_caches();
    device.take_away();
    device.drop_caches();
    for _ in 0..2 {
        (0..12).for_each(|n| expect_whole(&node, n));
    }
    let errors = node.metrics().sum("edge_volume_errors_total", &[]);
    assert!(errors > 0, "the disk failed and nobody said so");
    for n in 20..30 {
        publish(&origin, n);
        expect_whole(&node, n);
    }
    edge_tests::eventually("the volume being out of use", || {
        let path = device.device.to_string_lossy().into_owned();
        let state = [("volume", path.as_str()), ("state", "read-only")];
        (node.metrics().sum("edge_volume_state", &state) == 1).then_some(())
    });
    let before = origin.body_bytes();
    (20..30).for_each(|n| expect_whole(&node, n));
    assert!(origin.body_bytes() - before < 10 * LEN, "the other volume goes on storing");
    node.admin("/healthz").expect_status(200);
}

/// A small file system in memory; gone when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(dir: &Path, mib: u64) -> Option<Tmpfs> {
        let path = dir.join("small");
        std::fs::create_dir(&path).expect("a directory");
        let size = format!("size={mib}m");
        let target = path.to_string_lossy().into_owned();
        if run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &target]).is_none() {
            eprintln!("SKIP: nothing can be mounted here");
            return None;
        }
        Some(Tmpfs(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["--lazy", &self.0.to_string_lossy()]);
    }
}

#[test]
fn a_full_file_system_makes_the_node_a_pass_through_that_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(small) = Tmpfs::new(dir.path(), 64) else { return };
    let origin = Origin::start();
    let volume = small.0.join("volume");
    let node = node_on(&origin, &[(&volume, 60)]);
    publish(&origin, 0);
    expect_whole(&node, 0);
    // Regions give their space back when their lives begin; somebody else takes it.
    let hog = std::fs::File::create(small.0.join("hog")).expect("a file");
    for n in 1..20 {
        use std::io::Write;
        while (&hog).write_all(&[0; 64 * 1024]).is_ok() {}
        publish(&origin, n);
        expect_whole(&node, n);
    }
    (0..20).for_each(|n| expect_whole(&node, n));
    let metrics = node.metrics();
    assert!(metrics.sum("edge_volume_errors_total", &[("op", "write")]) > 0);
    assert_eq!(metrics.sum("edge_volume_state", &[("state", "read-only")]), 1);
    let status = node.status().to_string();
    assert!(status.contains("\"state\":\"read-only\""), "{status}");
    node.admin("/healthz").expect_status(200);
}

#[test]
fn a_volume_cut_short_or_unlinked_under_the_node_gives_no_wrong_byte() {
    let origin = Origin::start();
    let node = Node::start(NodeConfig::of(&origin.url()).volume_mib(64));
    for n in 0..6 {
        publish(&origin, n);
        expect_whole(&node, n);
    }
    let file = std::fs::File::options().write(true).open(node.volume()).expect("its volume");
    file.set_len(9 * MIB).expect("cut");
    for _ in 0..2 {
        (0..6).for_each(|n| expect_whole(&node, n));
    }
    std::fs::remove_file(node.volume()).expect("unlinked");
    (0..12).for_each(|n| {
        publish(&origin, n);
        expect_whole(&node, n);
    });
}

#[test]
fn of_several_volumes_the_good_ones_serve() {
    let dir = tempfile::tempdir().expect("a directory");
    let origin = Origin::start();
    let (good, foreign) = (dir.path().join("good"), dir.path().join("foreign"));
    std::fs::write(&foreign, "somebody's letters").expect("written");
    let missing = Path::new("/proc/nonexistent/volume");
    let node = node_on(&origin, &[(missing, 64), (&good, 64), (&foreign, 64)]);
    publish(&origin, 1);
    expect_whole(&node, 1);
    let before = origin.body_bytes();
    expect_whole(&node, 1);
    assert_eq!(origin.body_bytes(), before);
    assert_eq!(node.log_count("volume left out"), 2);
    assert_eq!(std::fs::read(&foreign).expect("left alone"), b"somebody's letters");
}

/// Flips a byte in the middle of a stored slice of `content`, found by what it holds.
#[track_caller]
fn rot(volume: &Path, content: Content) {
    use std::os::unix::fs::FileExt;
    let needle = content.bytes(MIB + 500_000..MIB + 500_064);
    let bytes = std::fs::read(volume).expect("its volume");
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("stored");
    let file = std::fs::File::options().write(true).open(volume).expect("its volume");
    file.write_all_at(&[!bytes[at]], at as u64).expect("written");
}

#[test]
fn verify_finds_rot_in_a_running_node_and_in_a_stopped_one() {
    let origin = Origin::start();
    let mut node = Node::start(NodeConfig::of(&origin.url()).volume_mib(64));
    for n in 0..3 {
        publish(&origin, n);
        expect_whole(&node, n);
    }
    let admin = node.admin_addr().to_string();
    let online = ["cache", "verify", "--admin", &admin];
    let config = node.dir().join("edge.toml").to_string_lossy().into_owned();
    let offline = ["cache", "verify", "--config", &config];
    let verify = |node: &Node, args: &[&str]| {
        let output = run_edge(node.dir(), args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = verify(&node, &online);
    assert!(code == Some(0) && text.contains(": 0 bad"), "{code:?} {text}");
    assert_eq!(verify(&node, &offline).0, Some(1), "a node runs on it");
    rot(&node.volume(), Content::new(1, LEN));
    let (code, text) = verify(&node, &online);
    assert!(code == Some(1) && text.contains(": slice: checksum"), "{code:?} {text}");
    (0..3).for_each(|n| expect_whole(&node, n));
    assert_eq!(verify(&node, &online).0, Some(0), "dropped, and fetched again");

    node.sigterm();
    assert!(node.wait().success());
    // What was dropped still lies there, and is told of.
    let before = verify(&node, &offline).1.matches(": slice: checksum").count();
    rot(&node.volume(), Content::new(2, LEN));
    let (code, text) = verify(&node, &offline);
    assert_eq!((code, text.matches(": slice: checksum").count()), (Some(1), before + 1), "{text}");
}

#[test]
fn a_scrub_drops_rot_before_anybody_asks_for_it() {
    let origin = Origin::start();
    let config = NodeConfig::of(&origin.url()).volume_mib(64).cache("scrub = \"64MiB\"");
    let node = Node::start(config);
    publish(&origin, 1);
    expect_whole(&node, 1);
    rot(&node.volume(), Content::new(1, LEN));
    node.wait_metric("edge_cache_corrupt_total", 1);
    assert!(node.metric("edge_cache_scrubbed_bytes_total") > 0);
    expect_whole(&node, 1);
}
