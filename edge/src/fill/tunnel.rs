//! After `101 Switching Protocols`: bytes both ways, each at the pace of who takes them.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::cache::upload::Piece;
use crate::cache::{FillError, Relay, Upload};

/// Bytes read from the origin at once.
const READ_BYTES: usize = 16 * 1024;

/// Carries bytes until both sides have ended or the client has left. An end of one side is passed on
/// to the other, which may go on.
pub async fn run(upgraded: OnUpgrade, upload: &Upload, relay: &Arc<Relay>) {
    let Ok(upgraded) = upgraded.await else { return relay.finish(Err(FillError::Broken)) };
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    let both = async {
        let (ends, sent) = tokio::join!(from_origin(reader, relay), to_origin(writer, upload));
        ends.and(sent)
    };
    tokio::select! {
        ended = both => {
            if let Err(error) = ended {
                tracing::debug!(%error, "tunnel ended early");
            }
        }
        () = upload.left() => {}
    }
    upload.close();
    relay.finish(Err(FillError::Broken));
}

async fn from_origin(mut reader: impl AsyncRead + Unpin, relay: &Relay) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        relay.room().await;
        buffer.reserve(READ_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => {
                relay.finish(Ok(()));
                return Ok(());
            }
            Ok(_) => relay.push(buffer.split().freeze()).map_err(|_| gone())?,
            Err(error) => {
                relay.finish(Err(FillError::Broken));
                return Err(error);
            }
        }
    }
}

async fn to_origin(mut writer: impl AsyncWrite + Unpin, upload: &Upload) -> io::Result<()> {
    loop {
        match upload.next().await {
            Some(Ok(Piece::Data(bytes))) => {
                writer.write_all(&bytes).await.inspect_err(|_| upload.close())?;
            }
            Some(Ok(Piece::Trailers(_))) => {}
            Some(Err(_)) => return Err(gone()),
            None => return writer.shutdown().await,
        }
        writer.flush().await?;
    }
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
