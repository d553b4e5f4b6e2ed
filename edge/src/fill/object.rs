//! Objects made from answers.

use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;

use super::http::Answer;
use crate::cache::freshness::{Storability, assess};
use crate::cache::policy::Policy;
use crate::cache::{Body, Cache, Key, Meta, Object};
use crate::clock::Now;
use crate::origin::facts::facts;
use crate::origin::verdict::Part;
use crate::origin::{Head, head, version};
use crate::session::Demand;
use crate::session::demand::Want;

/// How long an answer may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Lifetime counted from age zero, ms.
    pub lifetime_ms: u64,
    /// Age at arrival, ms.
    pub initial_age_ms: u64,
    /// Whether clients are told `lifetime_ms` instead of what the origin said.
    pub tells_client: bool,
}

/// How long the answer with `head` may be used; `None` when it may not be stored.
pub fn freshness(demand: &Demand, head: &Head, answer: &Answer) -> Option<Freshness> {
    let (asked_unix_ms, received_unix_ms) = (answer.asked.unix_ms, answer.received.unix_ms);
    let site = &demand.site.config;
    let policy = Policy { rule: demand.site.rule(&demand.target), status_ttl: &site.status_ttl };
    let mut facts = facts(head);
    policy.apply(&mut facts);
    match assess(&facts, site.default_ttl_ms, asked_unix_ms, received_unix_ms) {
        Storability::Store { lifetime_ms, initial_age_ms } => {
            Some(Freshness { lifetime_ms, initial_age_ms, tells_client: policy.tells_client() })
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
    let key = key(demand);
    let generation =
        version::generation(cache.seed(), &answer.head, part.len).unwrap_or_else(random);
    // A part is stored as the whole it is part of.
    let status = if answer.head.status == 206 { 200 } else { answer.head.status };
    let meta = meta(cache, status, &answer.head, freshness, answer, demand);
    let slices = match before.map(|before| &before.body) {
        Some(Body::Slices(slices))
            if slices.generation() == generation && slices.len() == part.len =>
        {
            slices.clone()
        }
        _ => cache.new_slices(key, generation, part.len, &meta),
    };
    Arc::new(Object { key, meta, body: Body::Slices(slices) })
}

/// Makes an object with its body in memory and makes it the one found under the demand's key.
pub fn short(
    cache: &Cache,
    demand: &Demand,
    (answer, freshness): (&Answer, Freshness),
    body: Bytes,
) -> Arc<Object> {
    let head = &answer.head;
    let meta = meta(cache, head.status, head, freshness, answer, demand);
    let object = Arc::new(Object { key: key(demand), meta, body: Body::Memory(body) });
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
    Some(merged)
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
    let once = Freshness { lifetime_ms: 0, initial_age_ms: 0, tells_client: false };
    let meta = meta(cache, stored.meta.status, head, freshness.unwrap_or(once), answer, demand);
    let object = Arc::new(Object { key: stored.key, meta, body: stored.body.clone() });
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
    match (cache.lookup(object.key).map(|found| found.body.clone()), &object.body) {
        (Some(Body::Slices(found)), Body::Slices(ours)) => found.generation() != ours.generation(),
        (Some(_), _) => true,
        (None, _) => false,
    }
}

fn key(demand: &Demand) -> Key {
    match &demand.want {
        Want::Open { key, .. } => *key,
        Want::Bytes { object, .. } => object.key,
    }
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
        headers: match freshness.tells_client {
            true => head.with_lifetime(freshness.lifetime_ms / 1000).block(),
            false => head.block(),
        },
        etag: head.etag.clone(),
        last_modified_unix_s: head.last_modified_unix_s,
        received_unix_ms: answer.received.unix_ms,
        initial_age_ms: freshness.initial_age_ms,
        lifetime_ms: freshness.lifetime_ms,
        key_text: key_text(demand),
        tags: head.tags.clone(),
        stamp: cache.stamp_at(answer.asked),
    }
}

/// See [`Meta::key_text`].
pub fn key_text(demand: &Demand) -> Box<str> {
    format!("{} {}", demand.site.config.name, demand.target).into()
}

/// The generation of a version without a name: never met again.
fn random() -> u64 {
    std::hash::RandomState::new().hash_one(Now::read().unix_ms)
}
