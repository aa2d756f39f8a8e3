//! One size of the experiment: every coding there and back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cpu_time::ThreadTime;
use secgroup_rpc::{Info, Limits, Message, read_json, to_json};

/// The old call is left out beyond this many rules: 200 MB at 1,000 ports of 1,000, four times that at 2,000.
const OLD_CALL_RULES: usize = 1_100_000;
/// Level of zstd, its default.
const ZSTD_LEVEL: i32 = 3;
/// A run is repeated until this is spent, and the fastest counts.
const PATIENCE: Duration = Duration::from_millis(100);

/// A message in a coding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Curve {
    /// `security_group_rules_for_devices` in a general coding.
    Old(Coding),
    /// `security_group_info_for_devices` in a general coding.
    New(Coding),
    /// The same in the compact form, with every key.
    Lossless,
    /// The same in the compact form, with what a filter needs.
    Semantic,
}

/// A general coding of JSON's values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    /// JSON as Neutron spaces it.
    Json,
    /// MessagePack.
    Msgpack,
    /// JSON, then zstd.
    Zstd,
}

impl Curve {
    /// All of them, largest first.
    pub const ALL: [Self; 8] = [
        Self::Old(Coding::Json),
        Self::Old(Coding::Msgpack),
        Self::Old(Coding::Zstd),
        Self::New(Coding::Json),
        Self::New(Coding::Msgpack),
        Self::New(Coding::Zstd),
        Self::Lossless,
        Self::Semantic,
    ];

    /// `"old"`, `"new"` or `"ours"`.
    pub const fn call(self) -> &'static str {
        match self {
            Self::Old(_) => "old",
            Self::New(_) => "new",
            Self::Lossless | Self::Semantic => "ours",
        }
    }

    /// `"json"`, `"msgpack"`, `"zstd"`, `"lossless"` or `"semantic"`.
    pub const fn coding(self) -> &'static str {
        match self {
            Self::Old(coding) | Self::New(coding) => match coding {
                Coding::Json => "json",
                Coding::Msgpack => "msgpack",
                Coding::Zstd => "zstd",
            },
            Self::Lossless => "lossless",
            Self::Semantic => "semantic",
        }
    }
}

/// What one message costs.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Size of the group.
    pub ports: usize,
    /// Devices in the message.
    pub devices: usize,
    /// Which message.
    pub curve: Curve,
    /// Its size, without the envelope.
    pub bytes: usize,
    /// Rules repeated per member by the server: old call only.
    pub build: Duration,
    /// Model to bytes.
    pub encode: Duration,
    /// Bytes to model.
    pub decode: Duration,
}

impl Row {
    /// Server and agent together.
    pub fn total(&self) -> Duration {
        self.build + self.encode + self.decode
    }
}

/// Every coding of `info` and of the old call's reply that says the same.
pub fn measure(ports: usize, info: &Info) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let devices = info.devices.len();
    let mut put = |curve, build, message: &Message| {
        let (bytes, encode, decode) =
            round_trip(curve, message).with_context(|| format!("{curve:?} at {ports} ports"))?;
        rows.push(Row { ports, devices, curve, bytes, build, encode, decode });
        anyhow::Ok(())
    };
    let members: usize = info.members.iter().map(|set| set.len()).sum();
    if devices.saturating_mul(members) <= OLD_CALL_RULES {
        let (legacy, build) = fastest(|| Ok(info.to_legacy()))?;
        let legacy = Message::Legacy(legacy);
        for coding in [Coding::Json, Coding::Msgpack, Coding::Zstd] {
            put(Curve::Old(coding), build, &legacy)?;
        }
    }
    let mut message = Message::Info(info.clone());
    for coding in [Coding::Json, Coding::Msgpack, Coding::Zstd] {
        put(Curve::New(coding), Duration::ZERO, &message)?;
    }
    put(Curve::Lossless, Duration::ZERO, &message)?;
    message.strip();
    put(Curve::Semantic, Duration::ZERO, &message)?;
    Ok(rows)
}

fn round_trip(curve: Curve, message: &Message) -> Result<(usize, Duration, Duration)> {
    let (bytes, encode) = fastest(|| encoded(curve, message))?;
    let (mut again, decode) = fastest(|| decoded(curve, &bytes))?;
    again.normalize();
    ensure!(again == *message, "the message does not come back as it was");
    Ok((bytes.len(), encode, decode))
}

fn encoded(curve: Curve, message: &Message) -> Result<Vec<u8>> {
    match curve {
        Curve::Old(coding) | Curve::New(coding) => Ok(match coding {
            Coding::Json => to_json(message).into_bytes(),
            Coding::Msgpack => rmp_serde::to_vec(message)?,
            Coding::Zstd => zstd::bulk::compress(to_json(message).as_bytes(), ZSTD_LEVEL)?,
        }),
        Curve::Lossless | Curve::Semantic => Ok(message.encode()),
    }
}

fn decoded(curve: Curve, bytes: &[u8]) -> Result<Message> {
    let limits = Limits::default();
    match curve {
        Curve::Old(coding) | Curve::New(coding) => Ok(match coding {
            Coding::Json => read_json(bytes, &limits)?,
            Coding::Msgpack => rmp_serde::from_slice(bytes)?,
            Coding::Zstd => read_json(&zstd::stream::decode_all(bytes)?, &limits)?,
        }),
        Curve::Lossless | Curve::Semantic => Ok(Message::decode(bytes, &limits)?),
    }
}

/// The result of `run`, and how much processor time its fastest run of some took: others' work on the
/// machine does not count.
fn fastest<T>(mut run: impl FnMut() -> Result<T>) -> Result<(T, Duration)> {
    let (begin, start) = (Instant::now(), ThreadTime::now());
    let mut result = run()?;
    let mut best = start.elapsed();
    while begin.elapsed() < PATIENCE {
        let start = ThreadTime::now();
        let again = run()?;
        best = best.min(start.elapsed());
        // The earlier result is dropped here, outside of the measured time.
        result = again;
    }
    Ok((result, best))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_has_a_row_and_ours_is_the_smallest() {
        let info = super::super::generated(50, 20).unwrap();
        let rows = measure(50, &info).unwrap();
        assert_eq!(rows.iter().map(|row| row.curve).collect::<Vec<_>>(), Curve::ALL);
        let lossless = rows.iter().find(|row| row.curve == Curve::Lossless).unwrap();
        let general = rows.iter().filter(|row| row.curve.call() != "ours");
        assert!(general.map(|row| row.bytes).all(|bytes| lossless.bytes < bytes));
    }

    #[test]
    fn the_old_call_is_left_out_where_it_would_not_fit() {
        let mut info = super::super::generated(1200, 1).unwrap();
        let device = info.devices.remove(0);
        info.devices = (0..1000u128)
            .map(|id| secgroup_rpc::Device { id: secgroup_rpc::Uuid::from_bits(id), ..device.clone() })
            .collect();
        let rows = measure(1200, &info).unwrap();
        assert!(rows.iter().all(|row| row.curve.call() != "old"));
    }
}
