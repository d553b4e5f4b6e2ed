//! `edge top`, as scripts and as people at a terminal see it.

use std::path::Path;
use std::process::Output;

use edge_tests::node::{binary, run_edge};
use edge_tests::process::eventually;
use edge_tests::{Content, MIB, Node, Origin, Page, Tool, need};
use serde_json::Value;

const ISO: Content = Content::new(95, 4 * MIB);
const COLUMNS: &str = "150";
const LINES: &str = "40";

/// A node from which one client took the same object `times` times.
fn node(times: usize) -> (Origin, Node) {
    let origin = Origin::with("/pool/image.iso", Page::of(ISO));
    let node = Node::of(&origin.url());
    let mut client = node.connect();
    for _ in 0..times {
        client.get("/pool/image.iso").expect_status(200);
    }
    (origin, node)
}

/// `edge top` with `args`, its output caught: no terminal.
fn top(node: &Node, args: &[&str]) -> Output {
    let admin = node.admin_addr().to_string();
    run_edge(node.dir(), &[&["top", "--admin", &admin], args].concat())
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let (_origin, node) = node(0);
    let output = top(&node, &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is no terminal") && said.contains("--once"), "{said}");
    assert_eq!(output.stdout, b"", "nothing is drawn");
}

#[test]
fn a_script_gets_one_look() {
    let (_origin, node) = node(3);
    // Accounts are settled a moment after the answer.
    let value = eventually("three requests in the accounts", || {
        let value: Value = serde_json::from_slice(&top(&node, &["--json"]).stdout).expect("JSON");
        (value["clients"][0]["requests"] == 3).then_some(value)
    });
    let client = &value["clients"][0];
    assert_eq!(client["client"], "127.0.0.1");
    let sent = value["sent_bytes"].as_u64().expect("a number");
    assert!(sent > 3 * ISO.len, "{value}");
    assert_eq!(client["sent_bytes"], sent, "all of it went to one client");
    assert_eq!(
        (&value["objects"][0]["requests"], &value["objects"][0]["sent_bytes"]),
        (&3.into(), &sent.into())
    );
    assert_eq!((&value["outcomes"]["miss"], &value["outcomes"]["hit"]), (&1.into(), &2.into()));
    assert_eq!(value["origin_bytes"], ISO.len);
    let text = top(&node, &["--once"]).stdout;
    let text = String::from_utf8(text).expect("UTF-8");
    let row =
        |name: &str| text.lines().any(|line| line.contains("12.0 MiB") && line.ends_with(name));
    assert!(row("127.0.0.1") && row("/pool/image.iso"), "{text}");
}

/// A terminal with a program in it; ends with the handle.
struct Terminal {
    tmux: Tool,
    socket: String,
}

impl Terminal {
    fn start(tmux: Tool, dir: &Path, command: &str) -> Terminal {
        let socket = dir.join("tmux").to_str().expect("UTF-8").to_owned();
        let terminal = Terminal { tmux, socket };
        let size = ["-x", COLUMNS, "-y", LINES];
        // It outlives the program, so that the end is seen as well.
        let command = format!("{command}; echo ended with $?; sleep 600");
        terminal.run(&[&["-f", "/dev/null", "new-session", "-d"], &size[..], &[&command]].concat());
        terminal
    }

    fn run(&self, args: &[&str]) -> String {
        let all = [&["-S", &self.socket], args].concat();
        String::from_utf8_lossy(&self.tmux.expect(Path::new("/"), &all)).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// The screen, once `words` are all on it.
    #[track_caller]
    fn shows(&self, words: &[&str]) -> String {
        let mut screen = String::new();
        let found = (0..3_000).any(|_| {
            screen = self.run(&["capture-pane", "-p"]);
            let all = words.iter().all(|word| screen.contains(word));
            if !all {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            all
        });
        assert!(found, "{words:?} never came on the screen:\n{screen}");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux.run(Path::new("/"), &["-S", &self.socket, "kill-server"]);
    }
}

#[test]
fn a_person_sees_clients_and_objects_and_asks_why() {
    let Some(tmux) = need("tmux") else { return };
    let (_origin, node) = node(2);
    let (edge, pins) = (binary(), node.dir().join("no-pins"));
    let command = format!(
        "{} top --admin {} --pin-dir {}",
        edge.display(),
        node.admin_addr(),
        pins.display()
    );
    let terminal = Terminal::start(tmux, node.dir(), &command);
    let screen = terminal.shows(&["127.0.0.1", "/pool/image.iso", "8.0 MiB", "q end"]);
    assert!(screen.contains("guard off"), "{screen}");
    terminal.keys(&["Down"]);
    terminal.keys(&["e"]);
    terminal.shows(&["passes: it is under no limit", "requests 2"]);
    terminal.keys(&["x"]);
    terminal.keys(&["b"]);
    terminal.shows(&["drop every packet of 127.0.0.1 for an hour? y/n"]);
    terminal.keys(&["y"]);
    // There is no guard, and it says so.
    terminal.shows(&["not banned:"]);
    terminal.keys(&["q"]);
    let screen = terminal.shows(&["ended with 0"]);
    assert!(!screen.contains("CLIENT"), "the screen is given back: {screen}");
}

#[test]
fn a_node_that_ends_is_said_and_its_screen_stays() {
    let Some(tmux) = need("tmux") else { return };
    let (_origin, mut node) = node(1);
    let command = format!("{} top --admin {}", binary().display(), node.admin_addr());
    let terminal = Terminal::start(tmux, node.dir(), &command);
    terminal.shows(&["/pool/image.iso", "q end"]);
    node.kill9();
    terminal.shows(&["/pool/image.iso", "no node answers at"]);
    terminal.keys(&["C-c"]);
    terminal.shows(&["ended with 0"]);
}
