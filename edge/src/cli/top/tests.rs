use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::keys::{Wish, wish_of};
use super::look::{Look, Rates, as_text};
use super::screen::{Mode, Screen};
use super::*;

/// A node `seconds` old: each second a client takes 1 MiB in 10 requests, 9 of them hits, and two
/// packets are dropped.
fn top(seconds: u64) -> Value {
    let client = |name: &str, share: u64, banned: bool| {
        json!({ "client": name, "conns": 3, "requests": 10 * seconds, "refused": 0,
            "sent_bytes": seconds * share, "recent_bytes": 1, "banned": banned })
    };
    json!({
        "at_ms": 1_000 + seconds * 1_000,
        "guard": "enforce",
        "conns": 7,
        "requests": 10 * seconds,
        "sent_bytes": seconds << 20,
        "origin_bytes": seconds << 10,
        "outcomes": { "hit": 9 * seconds, "miss": seconds, "local": 5 * seconds },
        "verdicts": [{ "rule": "object_bytes", "limited": 2, "banned": 1, "observed": 0 }],
        "drops": [{ "reason": "flood", "packets": 2 * seconds, "dropped_packets": seconds,
            "dropped_bytes": 60 }],
        "clients": [client("192.0.2.7", 1 << 20, false), client("2001:db8::/64", 0, true)],
        "objects": [{ "name": "a.test /iso\u{1b}[2J", "requests": 1, "sent_bytes": seconds << 20,
            "recent_bytes": 1 }],
    })
}

fn screen(looks: std::ops::RangeInclusive<u64>) -> Screen {
    let mut screen = Screen::new("127.0.0.1:9180".to_owned());
    looks.for_each(|seconds| screen.take(Look::of(&top(seconds))));
    screen
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, screen)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>() + "\n";
    (0..height).map(line).collect()
}

#[test]
fn rates_are_what_changed_in_the_time_between() {
    let rates = Rates::between(&Look::of(&top(1)), &Look::of(&top(5)));
    assert_eq!((rates.interval_ms, rates.requests, rates.sent_bytes), (4_000, 10, 1 << 20));
    assert_eq!((rates.origin_bytes, rates.dropped, rates.hit_percent), (1 << 10, 2, Some(90)));
    assert_eq!((&rates.clients[..], &rates.objects[..]), (&[1 << 20, 0][..], &[1 << 20][..]));
    // A node that began anew has lower counts; one nobody asks has no ratio.
    let anew = Rates::between(&Look::of(&top(5)), &Look::of(&top(1)));
    assert_eq!((anew.sent_bytes, anew.hit_percent), (0, None));
}

#[test]
fn what_a_node_does_not_say_is_nought() {
    assert_eq!(Look::of(&json!({})), Look { guard: "off".to_owned(), ..Look::default() });
}

#[test]
fn everything_is_on_the_screen_wide_or_narrow() {
    let screen = screen(1..=9);
    for (width, height) in [(160, 40), (100, 40), (80, 24)] {
        let text = drawn(&screen, width, height);
        for word in [
            "127.0.0.1:9180",
            "7 connections",
            "guard enforce",
            "192.0.2.7",
            "1.0 MiB/s",
            "2001:db8::/64",
            "a.test /iso",
            "q end",
            "requests 10/s",
        ] {
            assert!(text.contains(word), "{width}x{height}: no {word} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "a client's bytes steer the terminal");
    }
    let text = drawn(&screen, 160, 40);
    for word in ["hits 90 %", "flood", "object_bytes 3", "dropped 9", "█"] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    // However small, nothing panics.
    for (width, height) in [(1, 1), (5, 3), (20, 10), (500, 2)] {
        drawn(&screen, width, height);
    }
}

#[test]
fn a_client_is_chosen_and_stays_so_wherever_it_goes() {
    let mut screen = screen(1..=2);
    assert_eq!((screen.chosen(), screen.prefix()), (None, None));
    screen.step(1);
    screen.step(1);
    screen.step(1);
    assert_eq!(screen.prefix().unwrap().to_string(), "2001:db8::/64");
    let mut next = top(3);
    next["clients"].as_array_mut().unwrap().reverse();
    screen.take(Look::of(&next));
    assert_eq!((screen.chosen(), screen.prefix().unwrap().bits()), (Some(0), 64));
    next["clients"] = json!([]);
    next["at_ms"] = json!(9_000);
    screen.take(Look::of(&next));
    assert_eq!((screen.chosen(), screen.prefix()), (None, None));
    screen.step(1);
}

#[test]
fn standing_still_takes_no_look() {
    let mut screen = screen(1..=2);
    screen.paused = true;
    screen.take(Look::of(&top(9)));
    assert_eq!(screen.look.at_ms, 3_000);
    assert!(drawn(&screen, 100, 30).contains("standing still"));
}

#[test]
fn keys_mean_what_the_screen_asks() {
    let key = |code| Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
    let stop = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    for mode in [Mode::Looking, Mode::Reading, Mode::Asking] {
        assert_eq!(wish_of(&stop, mode), Some(Wish::End), "raw mode sends no signal");
        assert_eq!(wish_of(&Event::Resize(1, 1), mode), None);
    }
    for (code, looking, asking) in [
        ('q', Some(Wish::End), Wish::Back),
        ('b', Some(Wish::Ban), Wish::Back),
        ('e', Some(Wish::Explain), Wish::Back),
        ('u', Some(Wish::Unban), Wish::Back),
        ('j', Some(Wish::Step(1)), Wish::Back),
        ('y', None, Wish::Yes),
    ] {
        let key = key(KeyCode::Char(code));
        assert_eq!(wish_of(&key, Mode::Looking), looking, "{code}");
        assert_eq!(wish_of(&key, Mode::Asking), Some(asking), "{code}");
        assert_eq!(wish_of(&key, Mode::Reading), Some(Wish::Back), "{code}");
    }
}

#[test]
fn a_question_and_an_explanation_are_in_front() {
    let mut screen = screen(1..=2);
    screen.step(1);
    screen.asked = screen.prefix();
    assert_eq!(screen.mode(), Mode::Asking);
    assert!(drawn(&screen, 80, 24).contains("drop every packet of 192.0.2.7 for an hour? y/n"));
    screen.text = Some("192.0.2.7 passes: within every limit".to_owned());
    assert_eq!(screen.mode(), Mode::Reading);
    assert!(drawn(&screen, 80, 24).contains("passes: within every limit"));
}

#[test]
fn one_look_is_text_for_scripts() {
    let (before, now) = (Look::of(&top(1)), Look::of(&top(2)));
    let text = as_text(&now, &Rates::between(&before, &now), 1);
    let first = "sent 1.0 MiB/s  requests 10/s  hits 90 %  from origins 1.0 KiB/s  connections 7  guard enforce\n";
    assert!(text.starts_with(first), "{text}");
    for line in [
        "1.0 MiB/s  2.0 MiB        20  192.0.2.7",
        "flood: 4 packets, 2 dropped, 2/s",
        "rule object_bytes: 3 times",
    ] {
        assert!(text.lines().any(|have| have.trim_start() == line), "no {line} in\n{text}");
    }
    assert!(!text.contains("2001:db8"), "one row each");
}
