//! What a key asks for, and how it is done.

use std::time::Duration;

use edge_common::reason;
use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use super::screen::{Mode, Screen};
use crate::cli::reader::{Reader, ReaderError, time};
use crate::cli::{Node, why};

/// A ban from the screen ends by itself.
const BAN: Duration = Duration::from_secs(3600);

/// For `edge top --help`.
pub(super) const HELP: &str = "\
Keys:
  up down j k  choose a client
  e enter      explain what the guard does with it, as `edge why`
  b            ban it for an hour, when asked yes
  u            end its ban
  p space      stand still, go on
  q esc        end";

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    End,
    Step(isize),
    Explain,
    Ban,
    Unban,
    Pause,
    Yes,
    Back,
}

/// What an event means.
pub(super) fn wish_of(event: &Event, mode: Mode) -> Option<Wish> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Some(Wish::End);
    }
    match (mode, key.code) {
        (Mode::Reading, _) => Some(Wish::Back),
        (Mode::Asking, KeyCode::Char('y' | 'Y')) => Some(Wish::Yes),
        (Mode::Asking, _) => Some(Wish::Back),
        (Mode::Looking, code) => match code {
            KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
            KeyCode::Down | KeyCode::Char('j') => Some(Wish::Step(1)),
            KeyCode::Up | KeyCode::Char('k') => Some(Wish::Step(-1)),
            KeyCode::PageDown => Some(Wish::Step(10)),
            KeyCode::PageUp => Some(Wish::Step(-10)),
            KeyCode::Enter | KeyCode::Char('e') => Some(Wish::Explain),
            KeyCode::Char('b') => Some(Wish::Ban),
            KeyCode::Char('u') => Some(Wish::Unban),
            KeyCode::Char('p' | ' ') => Some(Wish::Pause),
            _ => None,
        },
    }
}

/// Does it; `false`: that was the end.
pub(super) fn fulfil(wish: Wish, screen: &mut Screen, admin: &Node, reader: &Reader) -> bool {
    match wish {
        Wish::End => return false,
        Wish::Step(by) => screen.step(by),
        Wish::Pause => screen.paused = !screen.paused,
        Wish::Back => (screen.text, screen.asked) = (None, None),
        Wish::Explain | Wish::Ban | Wish::Unban => match screen.prefix() {
            None => screen.say("choose a client first: up, down".to_owned()),
            Some(prefix) => match wish {
                Wish::Explain => match why::ask(prefix.address(), admin, reader) {
                    Ok((_, text)) => screen.text = Some(text),
                    Err(error) => screen.say(error.to_string()),
                },
                Wish::Ban => screen.asked = Some(prefix),
                _ => {
                    let done = unban(prefix, admin, reader);
                    screen.say(done);
                }
            },
        },
        Wish::Yes => {
            if let Some(prefix) = screen.asked.take() {
                let banned = ban(prefix, reader);
                screen.say(match banned {
                    Ok(()) => {
                        format!("banned {prefix} for {}", time(BAN.as_millis() as u64))
                    }
                    Err(error) => format!("not banned: {error}"),
                });
            }
        }
    }
    true
}

fn ban(prefix: crate::guard::Prefix, reader: &Reader) -> Result<(), ReaderError> {
    Ok(reader.maps()?.ban(prefix, reason::OPERATOR, Some(BAN))?)
}

/// In the kernel, and in the node's own accounts.
fn unban(prefix: crate::guard::Prefix, admin: &Node, reader: &Reader) -> String {
    let kernel = reader.maps().and_then(|mut maps| Ok(maps.unban(prefix)?));
    let engine = admin.order(&format!("/forgive?prefix={prefix}"));
    match (kernel, engine) {
        (Ok(()), _) => format!("unbanned {prefix}"),
        (Err(_), Ok(())) => format!("{prefix} begins anew with the node; no ban in the kernel"),
        (Err(error), Err(_)) => format!("not unbanned: {error}"),
    }
}
