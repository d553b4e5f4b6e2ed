//! Orders with a JSON body: read within bounds, carried out on a thread that may wait for a disk.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{Refusal, View};
use crate::limits::ADMIN_BODY_MAX_BYTES;

/// What carries an order out.
pub(super) type Order = fn(&dyn View, &Value) -> Result<Value, Refusal>;

/// Status and JSON, or status and one line.
pub(super) type Outcome = Result<Value, (StatusCode, String)>;

/// The order that a request gives, if it is one.
pub(super) fn order_of(method: &Method, path: &str) -> Option<Order> {
    match (method, path) {
        // No order, but it has to wait.
        (&Method::GET, "/conns") => Some(|view, _| Ok(view.conns())),
        (&Method::POST, "/prefetch") => Some(|view, order| view.prefetch(order)),
        (&Method::POST, "/purge") => Some(|view, order| view.purge(order)),
        (&Method::POST, "/cache/verify") => Some(|view, _| view.verify()),
        (&Method::POST, "/domains") => Some(|view, order| view.add_domain(order)),
        (&Method::POST, "/domains/remove") => Some(|view, order| view.remove_domain(order)),
        (&Method::POST, "/explain") => Some(|view, order| view.explain(order)),
        _ => None,
    }
}

/// Reads the body and carries the order out.
pub(super) async fn carry_out<B>(view: Arc<dyn View>, order: Order, body: B) -> Outcome
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let wrong = |text: String| (StatusCode::UNPROCESSABLE_ENTITY, text);
    let body = Limited::new(body, ADMIN_BODY_MAX_BYTES).collect().await;
    let body = body.map_err(|_| {
        let text = format!("an order is at most {ADMIN_BODY_MAX_BYTES} bytes long");
        (StatusCode::PAYLOAD_TOO_LARGE, text)
    })?;
    let value = match body.to_bytes() {
        nothing if nothing.is_empty() => Value::Null,
        text => serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("the order is not JSON: {error}")))?,
    };
    let carried_out = tokio::task::spawn_blocking(move || order(&*view, &value)).await;
    match carried_out {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Refusal::Wrong(text))) => Err(wrong(text)),
        Ok(Err(Refusal::Coded { status, code, text })) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            Err((status, format!("{code}: {text}")))
        }
        Ok(Err(Refusal::Failed(text))) => Err((StatusCode::INTERNAL_SERVER_ERROR, text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}
