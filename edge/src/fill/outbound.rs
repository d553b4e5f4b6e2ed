//! What goes out to an origin behind a request's head.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::cache::Upload;
use crate::cache::upload::{ClientLeft, Piece};
use crate::http::request::BodyLength;
use crate::http::trailers;

/// A request's body: none, or a client's as it comes.
#[derive(Default)]
pub struct Outbound(Option<Client>);

struct Client {
    pipe: Arc<Upload>,
    /// Bytes left, if their number is known.
    left: Option<u64>,
}

impl Outbound {
    /// The body that comes through `pipe`. When it is let go of, the origin takes no more; only one
    /// of which nothing was taken may be sent again.
    pub fn new(pipe: &Arc<Upload>, body: BodyLength) -> Outbound {
        let left = match body {
            BodyLength::Empty => return Outbound(None),
            BodyLength::Length(length) => Some(length),
            BodyLength::Chunked => None,
        };
        Outbound(Some(Client { pipe: pipe.clone(), left }))
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = ClientLeft;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientLeft>>> {
        let Some(client) = &mut self.0 else { return Poll::Ready(None) };
        let frame = match ready!(client.pipe.poll_next(context)) {
            None => return Poll::Ready(None),
            Some(Err(left)) => return Poll::Ready(Some(Err(left))),
            Some(Ok(Piece::Data(bytes))) => {
                client.left = client.left.map(|left| left.saturating_sub(bytes.len() as u64));
                Frame::data(bytes)
            }
            Some(Ok(Piece::Trailers(lines))) => Frame::trailers(map(&lines)),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|client| client.left == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(Client { left: Some(left), .. }) => SizeHint::with_exact(*left),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if let Some(client) = self.0.as_ref().filter(|client| !client.pipe.is_untouched()) {
            client.pipe.close();
        }
    }
}

fn map(lines: &[u8]) -> HeaderMap {
    let fields = trailers::fields(lines).filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    fields.collect()
}
