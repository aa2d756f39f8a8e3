//! TOML files whose mistakes are shown where they stand: file, line, key.

use core::ops::Range;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vlan_table::VlanId;

use crate::error::BadInput;

/// The text of a TOML file and where it came from.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`BadInput`] if it cannot be read as UTF-8 text.
    pub(crate) fn read(path: &Path) -> Result<Self, BadInput> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(e) => Err(BadInput::new(path.display(), format_args!("cannot read the file: {e}"))
                .help("give the path of a TOML file; `lab replay --help` shows one")),
        }
    }

    /// A text that is known already; `path` is what errors call it, and the place that relative
    /// paths in it start from.
    pub(crate) fn new(path: &Path, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    /// The file that `name`, found in this one, stands for: relative to this file's directory.
    pub(crate) fn resolve(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }

    /// The tree of the whole text.
    ///
    /// # Errors
    /// [`BadInput`] if it is no TOML.
    pub(crate) fn tree(&self) -> Result<Spanned<DeTable<'_>>, BadInput> {
        DeTable::parse(&self.text).map_err(|e| self.fault(e.span().unwrap_or_default(), e.message()))
    }

    /// Turns a part of the tree into a value; `at` is the key of that part, for messages.
    ///
    /// # Errors
    /// [`BadInput`] naming line and key: unknown and missing keys, wrong types, values out of range.
    pub(crate) fn value<T: DeserializeOwned>(
        &self,
        at: &str,
        tree: Spanned<DeValue<'_>>,
    ) -> Result<T, BadInput> {
        let whole = tree.span();
        serde_path_to_error::deserialize(tree.into_deserializer()).map_err(|e| {
            // `Spanned` passes through serde as a struct; its field is nothing that a user wrote.
            let path = e.path().to_string().replace(".$__serde_spanned_private_value", "");
            let key = match (at, path.as_str()) {
                (at, "." | "") => at.to_owned(),
                ("", path) => path.to_owned(),
                (at, path) => format!("{at}.{path}"),
            };
            let what = e.inner().message().replace("field `", "key `");
            let what = if key.is_empty() { what } else { format!("{key}: {what}") };
            self.fault(e.inner().span().unwrap_or(whole), what)
        })
    }

    /// A mistake at these bytes of the text.
    pub(crate) fn fault(&self, span: Range<usize>, what: impl core::fmt::Display) -> BadInput {
        BadInput::in_text(&self.path, &self.text, span, what)
    }
}

/// Wraps a table, so that it can be read as a value.
pub(crate) fn as_value(table: Spanned<DeTable<'_>>) -> Spanned<DeValue<'_>> {
    let span = table.span();
    Spanned::new(span, DeValue::Table(table.into_inner()))
}

/// For `#[serde(deserialize_with)]`: a VLAN, `1..=4094`.
///
/// # Errors
/// Names the number and what is allowed.
pub(crate) fn vlan<'de, D: Deserializer<'de>>(from: D) -> Result<VlanId, D::Error> {
    let raw: i64 = de::Deserialize::deserialize(from)?;
    u16::try_from(raw).ok().and_then(VlanId::new).ok_or_else(|| {
        de::Error::custom(format_args!("VLAN id {raw} is not in 1..=4094 (IEEE 802.1Q reserves 0 and 4095)"))
    })
}

/// [`vlan`] for a key that may be left out.
///
/// # Errors
/// As [`vlan`].
pub(crate) fn some_vlan<'de, D: Deserializer<'de>>(from: D) -> Result<Option<VlanId>, D::Error> {
    vlan(from).map(Some)
}

/// For `#[serde(deserialize_with)]`: VLANs, each `1..=4094`.
///
/// # Errors
/// As [`vlan`].
pub(crate) fn vlans<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<VlanId>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "vlan")] VlanId);
    Ok(Vec::<One>::deserialize(from)?.into_iter().map(|One(vlan)| vlan).collect())
}

/// A time, read by [`duration`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Seconds(#[serde(deserialize_with = "duration")] pub(crate) Duration);

/// For `#[serde(deserialize_with)]`: seconds as a number, or text such as `"5m"` or `"20us"`.
///
/// # Errors
/// Names the text and what is allowed.
pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    struct Seconds;

    impl Visitor<'_> for Seconds {
        type Value = Duration;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("a time: seconds, or text such as \"5m\" or \"20us\"")
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            let unexpected = || E::invalid_value(de::Unexpected::Signed(seconds), &self);
            Ok(Duration::from_secs(u64::try_from(seconds).map_err(|_| unexpected())?))
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            humantime::parse_duration(text).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    let time = from.deserialize_any(Seconds)?;
    // Times are multiplied by counts later.
    if time > LONGEST {
        return Err(de::Error::custom(format_args!("{} s is longer than a century", time.as_secs())));
    }
    Ok(time)
}

const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// For `#[serde(deserialize_with)]`: how often something happens.
///
/// # Errors
/// Names the number and what is allowed.
pub(crate) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let raw: i64 = de::Deserialize::deserialize(from)?;
    let count = u32::try_from(raw).ok().filter(|count| *count <= 1_000_000);
    count.ok_or_else(|| de::Error::custom(format_args!("{raw} times is not in 0..=1000000")))
}
