//! What is on the screen: the last looks, the row that is chosen, and what is asked of the person.

use std::collections::VecDeque;

use super::look::{Look, Rates};
use crate::guard::Prefix;

/// Looks that the curves reach back.
const HISTORY_MAX: usize = 600;

/// What keys mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The tables.
    Looking,
    /// A text over them; any key takes it away.
    Reading,
    /// A question that is answered with yes or no.
    Asking,
}

/// Numbers of the last looks, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve(VecDeque<u64>);

impl Curve {
    fn push(&mut self, value: u64) {
        if self.0.len() >= HISTORY_MAX {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// The last `count`, oldest first.
    pub fn last(&self, count: usize) -> Vec<u64> {
        self.0.iter().skip(self.0.len().saturating_sub(count)).copied().collect()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Who is looked at.
    pub node: String,
    pub look: Look,
    pub rates: Rates,
    pub sent: Curve,
    pub requests: Curve,
    pub hits: Curve,
    pub origin: Curve,
    pub drops: Curve,
    /// One line: what was done, or what went wrong.
    pub said: String,
    /// Shown over the tables.
    pub text: Option<String>,
    /// The ban that is asked about.
    pub asked: Option<Prefix>,
    pub paused: bool,
    chosen: Option<String>,
}

impl Screen {
    pub fn new(node: String) -> Screen {
        Screen { node, ..Screen::default() }
    }

    /// A new look, unless the screen stands still.
    pub fn take(&mut self, look: Look) {
        if self.paused {
            return;
        }
        let first = self.look.at_ms == 0;
        let rates = if first { Rates::default() } else { Rates::between(&self.look, &look) };
        if !first {
            self.sent.push(rates.sent_bytes);
            self.requests.push(rates.requests);
            self.origin.push(rates.origin_bytes);
            self.drops.push(rates.dropped);
            let before = self.hits.0.back().copied().unwrap_or(0);
            // Where nothing was asked for the ratio stays what it was.
            self.hits.push(rates.hit_percent.unwrap_or(before));
            self.said.clear();
        }
        (self.look, self.rates) = (look, rates);
    }

    pub fn say(&mut self, text: String) {
        self.said = text.replace(char::is_control, " ");
    }

    pub fn mode(&self) -> Mode {
        match (&self.text, &self.asked) {
            (Some(_), _) => Mode::Reading,
            (None, Some(_)) => Mode::Asking,
            (None, None) => Mode::Looking,
        }
    }

    /// The chosen client's row. A client that left the table leaves the choice to the row's place.
    pub fn chosen(&self) -> Option<usize> {
        let clients = &self.look.clients;
        let name = self.chosen.as_ref()?;
        clients.iter().position(|client| client.name == *name)
    }

    /// Chooses the row so many further down, or up.
    pub fn step(&mut self, by: isize) {
        let clients = &self.look.clients;
        let last = clients.len().saturating_sub(1);
        let place = match self.chosen() {
            None => 0,
            Some(place) => place.saturating_add_signed(by).min(last),
        };
        self.chosen = clients.get(place).map(|client| client.name.clone());
    }

    /// The prefix of the chosen client.
    pub fn prefix(&self) -> Option<Prefix> {
        self.look.clients.get(self.chosen()?)?.name.parse().ok()
    }
}
