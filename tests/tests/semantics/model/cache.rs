//! The naive cache: whole responses in a list, straight from the RFC's text.

/// Grace of the site, seconds.
pub const GRACE_S: u64 = 40;

/// Directives of responses: as sent, and as the model understands them.
pub const CONTROLS: [(&str, Control); 13] = [
    ("max-age=15", Control { lifetime_s: 15, ..PLAIN }),
    ("max-age=45", Control { lifetime_s: 45, ..PLAIN }),
    ("max-age=5, s-maxage=25", Control { lifetime_s: 25, no_stale: true, ..PLAIN }),
    ("max-age=25, must-revalidate", Control { lifetime_s: 25, no_stale: true, ..PLAIN }),
    ("max-age=25, no-cache", Control { lifetime_s: 25, no_cache: true, no_stale: true, ..PLAIN }),
    ("max-age=25, stale-if-error=10", Control { lifetime_s: 25, if_error_s: Some(10), ..PLAIN }),
    ("max-age=25, immutable", Control { lifetime_s: 25, immutable: true, ..PLAIN }),
    ("max-age=5", Control { lifetime_s: 5, ..PLAIN }),
    ("max-age=5, stale-while-revalidate=20", Control { lifetime_s: 5, while_s: 20, ..PLAIN }),
    (
        "max-age=15, stale-while-revalidate=60, stale-if-error=0",
        Control { lifetime_s: 15, while_s: 60, if_error_s: Some(0), ..PLAIN },
    ),
    (
        "max-age=5, stale-while-revalidate=60, must-revalidate",
        Control { lifetime_s: 5, no_stale: true, ..PLAIN },
    ),
    ("no-store", Control { never: true, ..PLAIN }),
    ("private, max-age=45", Control { never: true, ..PLAIN }),
];
const PLAIN: Control = Control {
    lifetime_s: 0,
    no_cache: false,
    no_stale: false,
    immutable: false,
    while_s: 0,
    if_error_s: None,
    never: false,
};

#[derive(Clone, Copy, Debug)]
pub struct Control {
    lifetime_s: u64,
    no_cache: bool,
    no_stale: bool,
    immutable: bool,
    /// RFC 5861 §3
    while_s: u64,
    /// RFC 5861 §4
    if_error_s: Option<u64>,
    /// Not to be stored by a shared cache.
    never: bool,
}

/// Directives of requests.
pub const ASKING: [&str; 9] = [
    "",
    "",
    "",
    "max-age=15",
    "min-fresh=10",
    "no-cache",
    "max-stale=10",
    "only-if-cached",
    "no-store",
];

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub method: &'static str,
    /// Value of the request field that the target's responses hang on.
    pub place: usize,
    pub asking: &'static str,
}

/// What the origin has now.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub version: u64,
    pub control: usize,
    pub age_s: u64,
    pub is_named: bool,
    pub is_failing: bool,
}

/// What the model has stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// Of its body.
    version: u64,
    /// Of its fields: a HEAD may have told of newer ones.
    label: u64,
    control: Control,
    age_s: u64,
    received_s: u64,
    is_named: bool,
    /// Whether only a HEAD told of it yet.
    is_bodiless: bool,
}

/// What is seen of one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    /// Version in the fields of a 200, and in its body if it has one.
    pub label: Option<u64>,
    pub version: Option<u64>,
    /// Whether the origin was asked, and whether about something.
    pub asked: Option<bool>,
}

/// What the model expects.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    Seen(Seen),
    /// This; the origin need not be asked, if a body of the same strong version is still about.
    Body(Seen),
    /// This, and then the origin is asked behind the client's back; whether what is stored changes.
    Refresh(Seen, bool),
    /// The RFC leaves open what comes: what is stored has no body, and the origin fails.
    Anything,
}

/// How a stored response may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    AsIs,
    While,
    Not,
}

#[derive(Default)]
pub struct Model {
    stored: [Option<Stored>; 2],
}

/// Length of the body of `version`.
fn len(version: u64) -> usize {
    format!("version {version}").len()
}

impl Stored {
    /// §4.2.3
    fn age_s(&self, now_s: u64) -> u64 {
        self.age_s + (now_s - self.received_s)
    }

    /// §4.2, §5.2.1, §5.2.2, RFC 5861 §3
    fn answers(&self, asking: &str, now_s: u64) -> Use {
        let (age_s, lifetime_s) = (self.age_s(now_s), self.control.lifetime_s);
        if self.control.no_cache || matches!(asking, "no-cache" | "no-store") {
            return Use::Not;
        }
        let suits = match asking {
            _ if age_s < lifetime_s && self.control.immutable => true,
            "max-age=15" => age_s < 15,
            "min-fresh=10" => lifetime_s > age_s + 10,
            _ => true,
        };
        if !suits {
            return Use::Not;
        }
        if age_s < lifetime_s {
            return Use::AsIs;
        }
        let stale_s = age_s - lifetime_s;
        if asking == "max-stale=10" && stale_s < 10 && !self.control.no_stale {
            Use::AsIs
        } else if stale_s < self.control.while_s {
            Use::While
        } else {
            Use::Not
        }
    }

    /// §4.2.4, RFC 5861 §4
    fn stands_in(&self, now_s: u64) -> bool {
        let limit_s = match (self.control.if_error_s, self.control.no_stale) {
            (_, true) => 0,
            (Some(seconds), false) => seconds,
            (None, false) => GRACE_S,
        };
        self.age_s(now_s) < self.control.lifetime_s + limit_s
    }

    /// Its own 200.
    fn seen(&self, method: &str, asked: Option<bool>) -> Seen {
        let version = (method == "GET").then_some(self.version);
        Seen { status: 200, label: Some(self.label), version, asked }
    }
}

/// The node's or the origin's answer without anything in it.
fn bare(status: u16, asked: Option<bool>) -> Expected {
    Expected::Seen(Seen { status, label: None, version: None, asked })
}

impl Model {
    pub fn ask(&mut self, question: &Question, origin: &Published, now_s: u64) -> Expected {
        let Question { method, place, asking } = *question;
        if method == "POST" {
            return self.change(origin);
        }
        let stored = self.stored[place];
        if let Some(stored) = stored {
            match stored.answers(asking, now_s) {
                Use::AsIs => return self.served(question, &stored, origin, now_s),
                Use::While => return self.meanwhile(question, &stored, origin, now_s),
                Use::Not => {}
            }
        }
        if asking == "only-if-cached" {
            return bare(504, None);
        }
        if asking == "no-store" && method == "GET" && stored.is_some_and(|it| it.is_bodiless) {
            // Whether it is asked about hangs on whether bytes of that version are still about.
            return Expected::Anything;
        }
        let asked = Some(stored.is_some_and(|stored| stored.is_named));
        if origin.is_failing {
            return match stored.filter(|stored| stored.stands_in(now_s)) {
                Some(stored) if stored.is_bodiless && method == "GET" => Expected::Anything,
                Some(stored) => Expected::Seen(stored.seen(method, asked)),
                None => bare(503, asked),
            };
        }
        let is_head = method == "HEAD";
        let body = stored.filter(|stored| stored.is_same(origin)).map(|stored| stored.version);
        let version = (!is_head).then_some(body.unwrap_or(origin.version));
        if is_head {
            self.learn_of(place, asking, origin, now_s);
        } else {
            self.learn(place, asking, origin, now_s);
        }
        Expected::Seen(Seen { status: 200, label: Some(origin.version), version, asked })
    }

    /// §4.4
    fn change(&mut self, origin: &Published) -> Expected {
        if origin.is_failing {
            return bare(503, Some(false));
        }
        self.stored = [None; 2];
        let version = Some(origin.version);
        Expected::Seen(Seen { status: 200, label: version, version, asked: Some(false) })
    }

    fn served(
        &mut self,
        question: &Question,
        stored: &Stored,
        origin: &Published,
        now_s: u64,
    ) -> Expected {
        let Question { method, place, asking } = *question;
        if !stored.is_bodiless || method == "HEAD" {
            return Expected::Seen(stored.seen(method, None));
        }
        // The body is still to be fetched; it must be the same version's.
        if asking == "only-if-cached" {
            return bare(504, None);
        }
        if origin.is_failing {
            return Expected::Anything;
        }
        if stored.is_same(origin) {
            self.stored[place] = Some(Stored { is_bodiless: false, ..*stored });
            return Expected::Body(stored.seen(method, Some(false)));
        }
        self.stored[place] = None;
        self.learn(place, asking, origin, now_s);
        let version = Some(origin.version);
        Expected::Seen(Seen { status: 200, label: version, version, asked: Some(false) })
    }

    /// RFC 5861 §3
    fn meanwhile(
        &mut self,
        question: &Question,
        stored: &Stored,
        origin: &Published,
        now_s: u64,
    ) -> Expected {
        let Question { method, place, asking } = *question;
        if stored.is_bodiless {
            return Expected::Anything;
        }
        let seen = stored.seen(method, None);
        if asking == "only-if-cached" {
            return Expected::Seen(seen);
        }
        let changes = !origin.is_failing && self.learn(place, asking, origin, now_s);
        Expected::Refresh(seen, changes)
    }

    /// What the answer to a GET makes of what is stored; whether anything (§3, §4.3.3, §4.3.4).
    fn learn(&mut self, place: usize, asking: &str, origin: &Published, now_s: u64) -> bool {
        let before = self.stored[place];
        let still_holds = before.is_some_and(|before| before.is_same(origin));
        let new = Stored::of(origin, now_s);
        let is_stored = new.is_kept(asking);
        if is_stored {
            self.stored[place] = Some(new);
        } else if still_holds {
            // What was stored speaks of what may not be stored now.
            self.stored[place] = None;
        }
        is_stored || still_holds
    }

    /// The same for a HEAD (§4.3.5).
    fn learn_of(&mut self, place: usize, asking: &str, origin: &Published, now_s: u64) {
        let new = Stored { is_bodiless: true, ..Stored::of(origin, now_s) };
        let before = self.stored[place];
        let described = before.filter(|before| {
            before.is_same(origin) || !origin.is_named && len(before.version) == len(origin.version)
        });
        self.stored[place] = match described {
            Some(before) => {
                let is_named = before.is_named || origin.is_named;
                let (version, is_bodiless) = (before.version, before.is_bodiless);
                Some(Stored { version, is_named, is_bodiless, ..new })
                    .filter(|refreshed| refreshed.is_kept(asking))
            }
            // Its body could not be told to be the same.
            None => Some(new).filter(|new| new.is_named && new.is_kept(asking)),
        };
    }
}

impl Stored {
    fn of(origin: &Published, now_s: u64) -> Stored {
        Stored {
            version: origin.version,
            label: origin.version,
            control: CONTROLS[origin.control].1,
            age_s: origin.age_s,
            received_s: now_s,
            is_named: origin.is_named,
            is_bodiless: false,
        }
    }

    /// Whether the origin says that it has not changed.
    fn is_same(&self, origin: &Published) -> bool {
        self.is_named && origin.is_named && self.version == origin.version
    }

    /// Whether it is worth storing, and may be (§3).
    fn is_kept(&self, asking: &str) -> bool {
        let Control { lifetime_s, no_cache, while_s, if_error_s, never, no_stale, .. } =
            self.control;
        let is_fresh = self.age_s < lifetime_s && !no_cache;
        let lets_stale = !no_stale && (while_s > 0 || if_error_s.is_some_and(|s| s > 0));
        !never && asking != "no-store" && (is_fresh || self.is_named || lets_stale)
    }
}
