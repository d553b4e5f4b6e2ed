//! `cargo xtask run`: the node, built and serving a sample.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, sample, sh};

/// Where the node's embedded default listens and answers its operator.
const SERVED: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9180";

/// Becomes `edge serve`: Ctrl-C and the exit code are the node's own.
pub fn run(install: bool, serve: &[PathBuf]) -> Result<()> {
    let embedded = serve.is_empty();
    if embedded {
        need_free(&[SERVED, ADMIN])?;
    }
    build::kernel_program(install);
    let binary = build::node(true)?;
    let mut node = Command::new(&binary);
    node.arg("serve").args(serve);
    if embedded {
        node.current_dir(sample::make()?);
        greet();
    }
    println!("$ {} serve {}", sh::short(&binary), words(serve));
    Err(node.exec()).with_context(|| format!("could not start {}", binary.display()))
}

/// Told before the build, not after it.
fn need_free(addresses: &[&str]) -> Result<()> {
    for address in addresses {
        if let Err(error) = TcpListener::bind(address) {
            bail!(
                "{address} cannot be listened on: {error}; `ss -ltnp` shows who has it, and \
                 `cargo xtask run -- --config FILE` serves wherever FILE says"
            );
        }
    }
    Ok(())
}

fn greet() {
    let (large, bytes) = sample::LARGE;
    println!(
        "\nserving target/sample; try in another terminal:\n\
         \x20 curl -o /dev/null http://{SERVED}/{large}                 # {}\n\
         \x20 curl -s -r 1000000-1999999 http://{SERVED}/{large} | wc -c\n\
         \x20 curl -I http://{SERVED}/\n\
         \x20 curl -s http://{ADMIN}/metrics\n\
         Ctrl-C ends it.\n",
        sh::human(bytes)
    );
}

fn words(serve: &[PathBuf]) -> String {
    serve.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_named_with_the_cure() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let said = need_free(&[&address]).unwrap_err().to_string();
        assert!(said.contains(&address) && said.contains("--config"), "{said}");
        drop(taken);
        need_free(&[&address]).unwrap();
    }
}
