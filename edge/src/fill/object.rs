//! Objects made from answers.

use std::hash::BuildHasher;
use std::sync::Arc;

use ::http::header::VARY;
use bytes::Bytes;

use super::http::Answer;
use crate::cache::freshness::{Storability, assess};
use crate::cache::policy::Policy;
use crate::cache::{Body, Cache, Key, Meta, Object, Reuse, Stamp, Variants};
use crate::clock::Now;
use crate::http::lines;
use crate::origin::facts::{facts, reuse, shared, varies_with};
use crate::origin::verdict::Part;
use crate::origin::{Head, head, version};
use crate::session::Demand;
use crate::session::key::kept_target;

/// How long an answer may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Lifetime counted from age zero, ms.
    pub lifetime_ms: u64,
    /// Age at arrival, ms.
    pub initial_age_ms: u64,
    /// Whether clients are told `lifetime_ms` instead of what the origin said.
    pub tells_client: bool,
    /// Whether it is never used without asking.
    pub no_cache: bool,
    /// Whether it is the answer to one request only: the next must ask, whenever it comes.
    pub is_for_one: bool,
}

/// A stored response, and what the one who asked gets instead where that is more: fields that are for
/// nobody else (RFC 9111 §5.2.2.4, §5.2.2.7).
pub struct Found {
    /// For everybody.
    pub object: Arc<Object>,
    own: Option<Arc<Object>>,
}

impl Found {
    /// What was made of an answer with `head`.
    pub fn new(object: Arc<Object>, head: &Head, freshness: Freshness) -> Found {
        let own = shared(head).is_some().then(|| {
            let meta = Meta { headers: block(head, freshness), ..object.meta.clone() };
            Arc::new(Object::new(object.key, meta, object.body.clone()))
        });
        Found { object, own }
    }

    /// For who asked.
    pub fn own(&self) -> Arc<Object> {
        self.own.as_ref().unwrap_or(&self.object).clone()
    }
}

impl From<Arc<Object>> for Found {
    fn from(object: Arc<Object>) -> Found {
        Found { object, own: None }
    }
}

/// How long the answer with `head` may be used; `None` when it may not be stored.
pub fn freshness(demand: &Demand, head: &Head, answer: &Answer) -> Option<Freshness> {
    let (asked_unix_ms, received_unix_ms) = (answer.asked.unix_ms, answer.received.unix_ms);
    let site = &demand.site.config;
    let policy = Policy { rule: demand.site.rule(&demand.target), status_ttl: &site.status_ttl };
    let mut facts = facts(head);
    facts.authorization = lines::all(&demand.fields, "authorization").next().is_some();
    // Credentials are shared by the origin's word, not by an operator's (§3.5).
    let is_private = facts.authorization && !facts.cache_control.shares();
    policy.apply(&mut facts);
    facts.cache_control.private |= is_private;
    let no_store = demand.control.no_store;
    facts.cache_control.no_store |= no_store;
    facts.cache_control.must_understand &= !no_store;
    let stored = |lifetime_ms, initial_age_ms, is_for_one| Freshness {
        lifetime_ms,
        initial_age_ms,
        tells_client: policy.tells_client(),
        no_cache: facts.cache_control.no_cache,
        is_for_one,
    };
    match assess(&facts, site.default_ttl_ms, asked_unix_ms, received_unix_ms) {
        Storability::Store { lifetime_ms, initial_age_ms } => {
            Some(stored(lifetime_ms, initial_age_ms, false))
        }
        Storability::Validate { lifetime_ms, initial_age_ms } => {
            Some(stored(lifetime_ms, initial_age_ms, true))
        }
        Storability::Bypass(reason) => {
            tracing::debug!(reason = reason.as_str(), target = &*demand.target, "not stored");
            None
        }
    }
}

/// Makes the object of an answer to be stored in slices; it is not entered yet. Slices of `before` are
/// gone on with when they are of the same version.
pub fn sliced(
    cache: &Cache,
    demand: &Demand,
    (answer, freshness): (&Answer, Freshness),
    part: Part,
    before: Option<&Object>,
) -> Arc<Object> {
    let (key, variant_of) = place(cache, demand, &answer.head, answer);
    let generation =
        version::generation(cache.seed(), &answer.head, part.len).unwrap_or_else(random);
    // A part is stored as the whole it is part of.
    let status = if answer.head.status == 206 { 200 } else { answer.head.status };
    let meta = meta(cache, status, &answer.head, freshness, answer, demand);
    let slices = match before.map(|before| &before.body) {
        Some(Body::Slices(slices))
            if before.is_some_and(|before| before.key == key)
                && slices.generation() == generation
                && slices.len() == part.len =>
        {
            slices.clone()
        }
        _ => cache.new_slices(key, generation, part.len, &meta),
    };
    if answer.head.takes_parts {
        slices.note_parts();
    }
    Arc::new(Object::new(key, Meta { variant_of, ..meta }, Body::Slices(slices)))
}

/// Makes an object with its body in memory and makes it the one found under the demand's key.
pub fn short(
    cache: &Cache,
    demand: &Demand,
    (answer, freshness): (&Answer, Freshness),
    body: Bytes,
) -> Arc<Object> {
    let head = &answer.head;
    let (key, variant_of) = place(cache, demand, head, answer);
    let meta = meta(cache, head.status, head, freshness, answer, demand);
    let meta = Meta { variant_of, ..meta };
    let object = Arc::new(Object::new(key, meta, Body::Memory(body)));
    cache.insert(object.clone(), answer.received);
    object
}

/// The head of `stored` after a 304 (RFC 9111 §4.3.4); `None` when the 304 speaks of another version.
pub fn refreshed_head(stored: &Meta, answer: &Answer) -> Option<Head> {
    let (ours, theirs) = (stored.strong_etag(), answer.head.strong_etag());
    if ours.is_some() && theirs.is_some() && ours != theirs {
        return None;
    }
    let fields = head::refreshed(&stored.headers, &answer.head.fields);
    let mut merged = Head::read(stored.status, &fields, answer.received);
    merged.age_s = answer.head.age_s;
    merged.tags = match answer.head.tags.is_empty() {
        true => stored.tags.clone(),
        false => answer.head.tags.clone(),
    };
    // What it hangs on now may be something else; then it would lie under the wrong key.
    let before = head::read_block(&stored.headers);
    (before.get(VARY) == merged.fields.get(VARY)).then_some(merged)
}

/// Whether the answer to a HEAD speaks of `stored` (RFC 9111 §4.3.5): none of what it says of version
/// and length is otherwise.
pub fn is_described(stored: &Object, head: &Head) -> bool {
    let same_etag = head.etag.is_none() || head.etag == stored.meta.etag;
    let same_date = head.last_modified_unix_s.is_none()
        || head.last_modified_unix_s == stored.meta.last_modified_unix_s;
    let same_len = head.content_length.is_none() || head.content_length == stored.len();
    head.status == stored.meta.status && same_etag && same_date && same_len
}

/// Makes the refreshed object, which shares the body of `stored`. Without a freshness it may be used
/// this once only and is not found again.
pub fn refreshed(
    cache: &Cache,
    stored: &Object,
    demand: &Demand,
    (head, freshness): (&Head, Option<Freshness>),
    answer: &Answer,
) -> Arc<Object> {
    let once = Freshness {
        lifetime_ms: 0,
        initial_age_ms: 0,
        tells_client: false,
        no_cache: true,
        is_for_one: true,
    };
    let meta = meta(cache, stored.meta.status, head, freshness.unwrap_or(once), answer, demand);
    let meta = Meta { variant_of: stored.meta.variant_of, ..meta };
    let object = Arc::new(Object::new(stored.key, meta, stored.body.clone()));
    match freshness {
        Some(_) => cache.insert(object.clone(), answer.received),
        None => cache.forget(stored.key),
    }
    object
}

/// Forgets `object`, unless another version has taken its place already.
pub fn forget(cache: &Cache, object: &Object) {
    if !is_replaced(cache, object) {
        cache.forget(object.key);
    }
}

/// Whether another version is found under the key of `object` now.
pub fn is_replaced(cache: &Cache, object: &Object) -> bool {
    let Some(found) = cache.lookup(object.key) else { return false };
    match (&found.body, &object.body) {
        (Body::Slices(found), Body::Slices(ours)) => found.generation() != ours.generation(),
        _ => found.meta != object.meta,
    }
}

/// Where an answer is stored: under the key of its URL or, if it hangs on request fields, under the
/// key of its variant, which is entered in the list of variants.
fn place(cache: &Cache, demand: &Demand, head: &Head, answer: &Answer) -> (Key, Option<Key>) {
    let names = varies_with(head);
    if names.clone().next().is_none() {
        return (demand.key(), None);
    }
    variant(cache, demand, names, answer.received, cache.stamp_at(answer.asked))
}

/// The key of the variant that hangs on the request fields `names`, which is entered in the list of
/// variants, and the key of its URL.
pub fn variant<'n>(
    cache: &Cache,
    demand: &Demand,
    names: impl Iterator<Item = &'n str> + Clone,
    received: Now,
    stamp: Stamp,
) -> (Key, Option<Key>) {
    let url = demand.key();
    let found = cache.load(url);
    let known = match found.as_ref().map(|found| &found.body) {
        Some(Body::Variants(variants)) => Some(variants),
        _ => None,
    };
    let list = match known {
        Some(known) if known.covers(names.clone()) => (**known).clone(),
        _ => {
            let before = known.into_iter().flat_map(|known| known.names()).map(String::from);
            let names = names.map(String::from);
            let both = Variants::new(random(), before.chain(names.clone()));
            let new = both.or_else(|| Variants::new(random(), names));
            // More names than are told apart are not stored.
            let Some(new) = new else { return (url, None) };
            new
        }
    };
    let key = list.select(url, lines::fields(&demand.fields));
    if !list.knows(key) {
        let (list, excess) = list.with(key);
        let meta = Meta {
            status: 0,
            headers: Box::default(),
            etag: None,
            last_modified_unix_s: None,
            received_unix_ms: received.unix_ms,
            initial_age_ms: 0,
            lifetime_ms: 0,
            reuse: Reuse::default(),
            variant_of: None,
            key_text: key_text(demand),
            tags: "".into(),
            stamp,
        };
        let list = Object::new(url, meta, Body::Variants(Arc::new(list)));
        cache.insert(Arc::new(list), received);
        if let Some(excess) = excess {
            cache.forget(excess);
        }
    }
    (key, Some(url))
}

fn meta(
    cache: &Cache,
    status: u16,
    head: &Head,
    freshness: Freshness,
    answer: &Answer,
    demand: &Demand,
) -> Meta {
    Meta {
        status,
        headers: block(shared(head).as_ref().unwrap_or(head), freshness),
        etag: head.etag.clone(),
        last_modified_unix_s: head.last_modified_unix_s,
        received_unix_ms: answer.received.unix_ms,
        initial_age_ms: freshness.initial_age_ms,
        lifetime_ms: freshness.lifetime_ms,
        reuse: reuse(head, freshness.no_cache),
        variant_of: None,
        key_text: key_text(demand),
        tags: head.tags.clone(),
        stamp: cache.stamp_at(answer.asked),
    }
}

fn block(head: &Head, freshness: Freshness) -> Box<[u8]> {
    match freshness.tells_client {
        true => head.with_lifetime(freshness.lifetime_ms / 1000).block(),
        false => head.block(),
    }
}

/// See [`Meta::key_text`].
pub fn key_text(demand: &Demand) -> Box<str> {
    let site = &demand.site;
    format!("{} {}", site.key_space(), kept_target(&site.config.key, &demand.target)).into()
}

/// The generation of a version without a name: never met again.
fn random() -> u64 {
    std::hash::RandomState::new().hash_one(Now::read().unix_ms)
}
