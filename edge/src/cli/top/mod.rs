//! `edge top`: what the node does, who takes most, and what is dropped, while one looks on.
//!
//! ```text
//!   poll (a thread) ──GET /top──► node
//!        │ looks, or why there is none
//!        ▼
//!   Screen ◄── keys        draw: Screen → terminal, many times a second
//! ```

mod draw;
mod keys;
mod look;
mod screen;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use ratatui::crossterm::event;
use serde_json::{Value, json};

use super::reader::Reader;
use super::{CliError, ClientError, Node};
use look::{Look, Rates};
use screen::Screen;

/// Longest wait for a key before what has come is shown.
const FRAME: Duration = Duration::from_millis(100);

/// Show throughput, hit ratio, the busiest clients and objects, and what is dropped
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = keys::HELP)]
pub struct Args {
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print one look as text, and end
    #[arg(long)]
    once: bool,
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Rows of each table that is printed with --once
    #[arg(long, value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    reader: Reader,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    if args.reader.json || args.once {
        return once(&args);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(CliError::NoTerminal);
    }
    // Whoever is not there is said before the screen is taken.
    let first = args.admin.json("/top")?;
    let mut terminal = ratatui::try_init().map_err(CliError::Terminal)?;
    let shown = show(&args, first, &mut terminal);
    ratatui::try_restore().map_err(CliError::Terminal)?;
    shown.map_err(CliError::Terminal)
}

/// Two looks, an interval apart: rates need both.
fn once(args: &Args) -> Result<(), CliError> {
    let before = Look::of(&args.admin.json("/top")?);
    std::thread::sleep(Duration::from_secs(args.interval));
    let mut value = args.admin.json("/top")?;
    let now = Look::of(&value);
    let rates = Rates::between(&before, &now);
    value["rates"] = as_json(&rates);
    Ok(args.reader.show(|| value, || look::as_text(&now, &rates, args.rows))?)
}

fn as_json(rates: &Rates) -> Value {
    json!({
        "interval_ms": rates.interval_ms,
        "requests_per_s": rates.requests,
        "sent_bytes_per_s": rates.sent_bytes,
        "origin_bytes_per_s": rates.origin_bytes,
        "dropped_packets_per_s": rates.dropped,
        "hit_percent": rates.hit_percent,
    })
}

/// Until the person at the terminal has seen enough.
fn show(args: &Args, first: Value, terminal: &mut ratatui::DefaultTerminal) -> std::io::Result<()> {
    let mut screen = Screen::new(args.admin.to_string());
    screen.take(Look::of(&first));
    let looks = poll(args);
    loop {
        terminal.draw(|frame| draw::draw(frame, &screen))?;
        if event::poll(FRAME)? {
            let Some(wish) = keys::wish_of(&event::read()?, screen.mode()) else { continue };
            if !keys::fulfil(wish, &mut screen, &args.admin, &args.reader) {
                return Ok(());
            }
        }
        match looks.try_recv() {
            Ok(Ok(value)) => screen.take(Look::of(&value)),
            Ok(Err(error)) => screen.say(error.to_string()),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
    }
}

type Looked = Result<Value, ClientError>;

/// Asks again and again, in a thread that ends with the process: a node that does not answer keeps no
/// key waiting.
fn poll(args: &Args) -> Receiver<Looked> {
    let (sender, receiver): (SyncSender<Looked>, _) = sync_channel(1);
    let (admin, interval) = (args.admin.clone(), Duration::from_secs(args.interval));
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(interval);
            if sender.send(admin.json("/top")).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests;
