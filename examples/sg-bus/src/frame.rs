//! Messages on a byte stream: four bytes of length, little-endian, and the message.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Reads a message of at most `max` bytes; `None` if the stream ended before one began.
///
/// The length that a peer claims allocates nothing: memory grows with what arrives.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head[..1]).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    stream.read_exact(&mut head[1..]).await?;
    let len = u32::from_le_bytes(head) as usize;
    if len > max {
        let what = format!("a message of {len} bytes, where {max} are the most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut bytes = Vec::new();
    if stream.take(len as u64).read_to_end(&mut bytes).await? < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

/// Writes a message.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&len.to_le_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_survive_and_every_truncation_is_an_error() {
        let mut wire = Vec::new();
        for message in [&b""[..], b"a", b"longer"] {
            write(&mut wire, message).await.unwrap();
        }
        for cut in 0..=wire.len() {
            let mut stream = &wire[..cut];
            let mut read_back = Vec::new();
            let ended = loop {
                match read(&mut stream, 6).await {
                    Ok(Some(message)) => read_back.push(message),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error.kind()),
                }
            };
            let whole = [4, 9, 19].iter().filter(|end| **end <= cut).count();
            assert_eq!(read_back.len(), whole);
            let between = [0, 4, 9, 19].contains(&cut);
            assert_eq!(
                ended,
                if between { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof) },
                "cut at {cut}"
            );
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_anything_is_read() {
        let mut stream = &b"\xFF\xFF\xFF\xFFrest"[..];
        let error = read(&mut stream, 1 << 20).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("4294967295"), "{error}");
        assert_eq!(stream, b"rest");
    }
}
