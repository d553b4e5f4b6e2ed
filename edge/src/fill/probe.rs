//! Probes: what is due is asked every now and then, by one thread for all.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use ::http::{Method, Request};
use tokio::time::timeout;

use super::groups::Served;
use super::http::{Door, Origins};
use super::outbound::Outbound;
use super::{Plane, runtime};
use crate::clock::Now;

/// How often one looks who is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Probes under way at once.
const PROBES_MAX: usize = 64;

/// Probes origins for ever.
pub async fn probes(plane: Arc<Plane>) {
    let origins = Rc::new(Origins::new(plane.groups.clone()));
    let slots = Arc::new(tokio::sync::Semaphore::new(PROBES_MAX));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for served in plane.groups.all().values() {
            for position in served.group.due(Now::read()) {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let (origins, served) = (origins.clone(), served.clone());
                runtime::spawn(async move {
                    probe(&origins, &served, position).await;
                    drop(slot);
                });
            }
        }
    }
}

async fn probe(origins: &Origins, served: &Served, position: usize) {
    let within = Duration::from_millis(served.group.health().timeout_ms);
    let door = Door::new(served, position, (false, false)).within(within);
    let outcome = timeout(within, ask(origins, served, &door)).await;
    let outcome = outcome.unwrap_or_else(|_| Err("no answer to a probe in time".to_owned()));
    served.group.probed(position, outcome.as_ref().copied().map_err(String::as_str), Now::read());
}

/// One probe; `Err` says what was wrong.
async fn ask(origins: &Origins, served: &Served, door: &Door) -> Result<(), String> {
    let health = served.group.health();
    let Some(path) = &health.path else {
        return origins.knock(door).await.map_err(|fault| fault.detail);
    };
    let request = request(door, path, health.host.as_deref()).ok_or("the path is no URI")?;
    let response = origins.send(door, request).await.map_err(|fault| fault.detail)?;
    let status = response.status().as_u16();
    match health.is_well(status) {
        true => Ok(()),
        false => Err(format!("a probe of {path} was answered {status}")),
    }
}

fn request(door: &Door, path: &str, host: Option<&str>) -> Option<Request<Outbound>> {
    let scheme = if door.to.is_tls { "https" } else { "http" };
    let mut request = Request::new(Outbound::default());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = format!("{scheme}://{}{path}", door.to.authority()).parse().ok()?;
    let host = door.to.host_field(host.unwrap_or_default());
    let fields = request.headers_mut();
    fields.insert(HOST, HeaderValue::try_from(host).ok()?);
    fields.insert(USER_AGENT, HeaderValue::from_static("edge-health"));
    // Its own connection: that one can still be made is what is asked.
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    Some(request)
}
