//! What was learned, kept across a restart.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mac_nat::{Binding, Origin};
use serde::{Deserialize, Serialize};

/// Learned bindings, and when they were written down.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct State {
    /// Seconds since 1970.
    saved: u64,
    bindings: Vec<Binding>,
}

impl State {
    /// Of these bindings the learned ones.
    pub fn new(wall: SystemTime, bindings: impl Iterator<Item = Binding>) -> Self {
        let learned = bindings.filter(|binding| binding.origin == Origin::Learned);
        Self { saved: seconds(wall), bindings: learned.collect() }
    }

    /// The bindings that still live, with the rest of their time.
    pub fn bindings(self, wall: SystemTime) -> impl Iterator<Item = Binding> {
        let away = Duration::from_secs(seconds(wall).saturating_sub(self.saved));
        self.bindings.into_iter().filter_map(move |mut binding| {
            let left = binding.expires_in?.checked_sub(away).filter(|left| !left.is_zero())?;
            binding.expires_in = Some(left);
            Some(binding)
        })
    }

    /// Reads a file; nothing if there is none yet.
    ///
    /// # Errors
    /// It cannot be read, or somebody else wrote it.
    pub fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes a file: all of it, or the old one stays.
    ///
    /// # Errors
    /// No room, no permission.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    }
}

fn seconds(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn bindings_age_while_nobody_runs() {
        let json = |left: u64| {
            format!(
                "{{\"net\":\"203.0.113.11/32\",\"port\":1,\"inside\":\"fa:16:3e:00:00:01\",\
                 \"wire\":\"52:54:00:aa:00:01\",\"origin\":\"learned\",\"expires_in\":{{\"secs\":{left},\"nanos\":0}}}}"
            )
        };
        let bindings = [10, 100].map(|left| serde_json::from_str(&json(left)).unwrap());
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let state = State::new(at(1000), bindings.into_iter());
        let left: Vec<_> = state.bindings(at(1060)).filter_map(|binding| binding.expires_in).collect();
        assert_eq!(left, [Duration::from_secs(40)]);
    }
}
