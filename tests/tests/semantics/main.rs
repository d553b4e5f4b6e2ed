//! What a shared cache stores and when it uses it again (RFC 9111 and its kin), seen from outside: each
//! row names the section it comes from. The origin numbers its answers, so that an answer tells
//! whether it came from the store; ages come from `Age`, so that no story waits.

mod audit;
mod fields;
mod framing;
mod freshness;
mod model;
mod origin;
mod partial;
mod requests;
mod stage;
mod stale;
mod storing;
mod validation;
mod vary;
