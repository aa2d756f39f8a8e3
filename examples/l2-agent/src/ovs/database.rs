//! An OVSDB client over a Unix socket: JSON-RPC 1.0, `monitor`, `transact`, `echo` (RFC 7047).

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::replica::Replica;

const DATABASE: &str = "Open_vSwitch";
/// A message beyond this is not from a sane server; 1,000 ports take about 1 MB.
const MAX_MESSAGE: usize = 256 << 20;
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection with a replica of the tables that the agent looks at.
#[derive(Debug)]
pub(super) struct Database {
    stream: UnixStream,
    unread: Vec<u8>,
    last_id: u64,
    pub(super) replica: Replica,
}

impl Database {
    /// Connects and reads the tables once; from then on the server sends what changes.
    pub(super) fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(ANSWER))?;
        let mut database = Self { stream, unread: Vec::new(), last_id: 0, replica: Replica::default() };
        let tables = Replica::request();
        let initial = database.call("monitor", json!([DATABASE, "agent", tables]))?;
        database.replica.update(&initial);
        Ok(database)
    }

    /// Runs operations as one transaction: all or none. The results, one per operation.
    pub(super) fn transact(&mut self, operations: &[Value]) -> anyhow::Result<Result<Vec<Value>, String>> {
        let mut params = vec![json!(DATABASE)];
        params.extend_from_slice(operations);
        let Value::Array(results) = self.call("transact", Value::Array(params))? else {
            bail!("the database answered a transaction with something that is no list");
        };
        let refused = results.iter().find_map(|result| {
            let error = result.get("error")?.as_str()?;
            let details = result.get("details").and_then(Value::as_str).unwrap_or_default();
            Some(format!("{error} {details}").trim_end().to_owned())
        });
        Ok(refused.map_or(Ok(results), Err))
    }

    /// Takes in what the server has sent.
    pub(super) fn receive(&mut self) -> anyhow::Result<()> {
        while let Some(message) = self.next_message(Duration::ZERO)? {
            self.take_notice(&message)?;
        }
        Ok(())
    }

    /// Waits at most `timeout` until the server sends something or `also` can be read. Whether it
    /// came to that.
    pub(super) fn wait(&self, timeout: Duration, also: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
        let readable = |file| PollFd::new(file, PollFlags::POLLIN);
        let mut files: Vec<_> = also.into_iter().chain([self.stream.as_fd()]).map(readable).collect();
        match poll(&mut files, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error).context("the database's connection is gone"),
        }
    }

    fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "id": id, "method": method, "params": params }))?;
        let deadline = Instant::now() + ANSWER;
        while let Some(mut message) = self.next_message(deadline.saturating_duration_since(Instant::now()))? {
            if message.get("id") == Some(&json!(id)) && message.get("method").is_none() {
                match message.get("error") {
                    None | Some(Value::Null) => {
                        return Ok(message.get_mut("result").map(Value::take).unwrap_or_default());
                    }
                    Some(error) => bail!("the database refused '{method}': {error}"),
                }
            }
            self.take_notice(&message)?;
        }
        bail!("the database did not answer '{method}' within {ANSWER:?}")
    }

    fn take_notice(&mut self, message: &Value) -> anyhow::Result<()> {
        match (message.get("method").and_then(Value::as_str), message.get("params")) {
            (Some("echo"), Some(params)) => {
                let id = message.get("id").unwrap_or(&Value::Null);
                self.send(&json!({ "id": id, "result": params, "error": null }))
            }
            (Some("update"), Some(params)) => {
                self.replica.update(params.get(1).unwrap_or(&Value::Null));
                Ok(())
            }
            _ => Ok(()), // A late answer, or something newer than this client.
        }
    }

    fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        self.stream.write_all(message.to_string().as_bytes()).context("the database's connection is gone")
    }

    /// The next whole message; `None` if none came within `timeout`.
    fn next_message(&mut self, timeout: Duration) -> anyhow::Result<Option<Value>> {
        let deadline = Instant::now() + timeout;
        loop {
            // All that is there, so that a long message is looked at once. A read with a timeout of
            // its own would sleep until the next tick of the kernel's clock.
            while self.wait(Duration::ZERO, None)? {
                self.read_some()?;
            }
            let mut values = serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
            match values.next() {
                Some(Ok(message)) => {
                    let used = values.byte_offset();
                    self.unread.drain(..used);
                    return Ok(Some(message));
                }
                Some(Err(error)) if !error.is_eof() => bail!("the database sent no JSON: {error}"),
                _ => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.wait(left, None)?;
        }
    }

    fn read_some(&mut self) -> anyhow::Result<()> {
        if self.unread.len() > MAX_MESSAGE {
            bail!("the database sent a message of more than {MAX_MESSAGE} bytes");
        }
        let mut chunk = [0; 1 << 16];
        match self.stream.read(&mut chunk).context("the database's connection is gone")? {
            0 => bail!("the database has closed the connection"),
            count => {
                self.unread.extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(())
            }
        }
    }
}
