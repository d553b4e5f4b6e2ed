//! Two hosts on one cable: network namespaces and a veth pair, all of the test's own making.
//!
//! ```text
//!   edge-c-PID-N            edge-s-PID-N
//!   ┌───────────────┐       ┌───────────────┐
//!   │ c0  10.77.0.2 ├───────┤ s0  10.77.0.1 │  <- the guard
//!   │     10.77.0.3 │       │     fd77::1   │
//!   │     fd77::2   │       └───────────────┘
//!   └───────────────┘
//! ```

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The server's end of the cable.
pub const SERVER_INTERFACE: &str = "s0";
/// The server's addresses.
pub const SERVER: [&str; 2] = ["10.77.0.1", "fd77::1"];
/// The clients': two of one family, one of the other.
pub const CLIENTS: [&str; 3] = ["10.77.0.2", "10.77.0.3", "fd77::2"];

/// One network namespace; removed, with its interfaces, at the end.
pub struct Host {
    name: String,
}

impl Host {
    fn new(role: &str) -> Result<Host, String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("edge-{role}-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        ip(&["netns", "add", &name])?;
        Ok(Host { name })
    }

    /// A host without a cable: its loopback is up.
    ///
    /// # Errors
    /// Why this machine cannot make it.
    pub fn alone() -> Result<Host, String> {
        let host = Host::new("a")?;
        host.ip(&["link", "set", "lo", "up"])?;
        Ok(host)
    }

    /// Its name, for `ip -n`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a thread that has entered this network namespace, and nothing else of it:
    /// mounts stay those of the test. Sockets made there stay there, and threads and processes
    /// that the work starts are there as well.
    ///
    /// # Panics
    /// When the namespace cannot be entered, or the work does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                let path = format!("/run/netns/{}", self.name);
                let namespace = File::open(path).expect("the namespace");
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind)
                    .expect("setns");
                work()
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets `net.ipv4.NAME` of this namespace.
    ///
    /// # Panics
    /// When there is none.
    pub fn sysctl(&self, name: &str, value: u8) {
        let path = format!("/proc/sys/net/ipv4/{name}");
        self.run(|| std::fs::write(&path, value.to_string()).expect("a sysctl"));
    }

    /// The kernel's number of an interface.
    ///
    /// # Panics
    /// When there is none.
    pub fn index(&self, interface: &str) -> u32 {
        let shown = self.ip(&["-o", "link", "show", interface]).expect("the interface");
        shown.split(':').next().expect("a number").parse().expect("a number")
    }

    /// The hardware address of an interface.
    ///
    /// # Panics
    /// When there is none.
    pub fn hardware(&self, interface: &str) -> [u8; 6] {
        let shown = self.ip(&["-o", "link", "show", interface]).expect("the interface");
        let (_, rest) = shown.split_once("link/ether ").expect("an address");
        let mut bytes = rest[..17].split(':').map(|hex| u8::from_str_radix(hex, 16));
        std::array::from_fn(|_| bytes.next().expect("six bytes").expect("a byte"))
    }

    /// `ip` within this namespace; its output.
    ///
    /// # Errors
    /// What it complained of.
    pub fn ip(&self, args: &[&str]) -> Result<String, String> {
        ip(&[&["-n", self.name.as_str()], args].concat())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            eprintln!("left behind: {error}");
        }
    }
}

/// Client and server on a cable.
///
/// # Errors
/// Why this machine cannot make them.
pub fn cable() -> Result<(Host, Host), String> {
    let (client, server) = (Host::new("c")?, Host::new("s")?);
    server.ip(&[
        "link",
        "add",
        SERVER_INTERFACE,
        "type",
        "veth",
        "peer",
        "name",
        "c0",
        "netns",
        &client.name,
    ])?;
    for (host, interface, addresses) in
        [(&client, "c0", &CLIENTS[..]), (&server, SERVER_INTERFACE, &SERVER[..])]
    {
        for address in addresses {
            let v6 = address.contains(':');
            let address = format!("{address}/{}", if v6 { 64 } else { 24 });
            let mut args = vec!["addr", "add", &address, "dev", interface];
            // Usable at once.
            args.extend(v6.then_some("nodad"));
            host.ip(&args)?;
        }
        host.ip(&["link", "set", interface, "up"])?;
        host.ip(&["link", "set", "lo", "up"])?;
    }
    Ok((client, server))
}

fn ip(args: &[&str]) -> Result<String, String> {
    let shown = format!("ip {}", args.join(" "));
    let output = Command::new("ip").args(args).output().map_err(|e| format!("{shown}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
