//! Looking through the whole cache on an operator's word.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::node::Node;
use crate::admin::Refusal;
use crate::cache::scrub::{Bad, Findings, Scrub};

/// Bytes between two looks at what was found.
const STEP_BYTES: u64 = 16 * 1024 * 1024;

/// How a pass goes.
#[derive(Default)]
pub(super) struct Verification(Arc<Mutex<Progress>>);

#[derive(Default)]
struct Progress {
    is_running: bool,
    findings: Findings,
}

impl Verification {
    fn with<R>(shared: &Mutex<Progress>, then: impl FnOnce(&mut Progress) -> R) -> R {
        then(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Node {
    /// See [`crate::admin::View::verify`].
    pub(super) fn begin_verify(&self) -> Result<Value, Refusal> {
        let shared = self.verification.0.clone();
        let was_running = Verification::with(&shared, |progress| {
            if !progress.is_running {
                progress.findings = Findings::default();
            }
            std::mem::replace(&mut progress.is_running, true)
        });
        if was_running {
            return Ok(self.verified_shown());
        }
        let (mut scrub, progress) = (Scrub::new(self.cache.clone()), shared.clone());
        let body = move || {
            loop {
                let goes_on = scrub.step(STEP_BYTES);
                Verification::with(&progress, |progress| {
                    progress.findings = scrub.findings().clone();
                    progress.is_running = goes_on;
                });
                if !goes_on {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("edge-verify".to_owned()).spawn(body);
        if let Err(error) = thread {
            Verification::with(&shared, |progress| progress.is_running = false);
            return Err(Refusal::Failed(format!("cannot start a thread: {error}")));
        }
        Ok(self.verified_shown())
    }

    /// See [`crate::admin::View::verified`].
    pub(super) fn verified_shown(&self) -> Value {
        Verification::with(&self.verification.0, |progress| {
            let mut shown = as_json(&progress.findings);
            shown["running"] = json!(progress.is_running);
            shown
        })
    }
}

fn as_json(findings: &Findings) -> Value {
    let bad = |bad: &Bad| json!({ "volume": bad.volume, "offset": bad.offset, "what": bad.what, "why": bad.why });
    json!({
        "regions": findings.regions,
        "records": findings.records,
        "bytes": findings.bytes,
        "bad_count": findings.bad_count,
        "bad": findings.bad.iter().map(bad).collect::<Vec<_>>(),
    })
}
