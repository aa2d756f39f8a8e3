//! Hardware addresses as text.

use core::fmt::Write;

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// The address in the usual notation, `02:00:00:00:00:01`.
pub(crate) fn text(mac: Mac) -> String {
    let mut text = String::with_capacity(17);
    for (i, byte) in mac.iter().enumerate() {
        let colon = if i == 0 { "" } else { ":" };
        _ = write!(text, "{colon}{byte:02x}"); // a String takes everything
    }
    text
}

/// Reads what [`text`] writes; capitals are fine.
pub(crate) fn parse(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_round_trip_and_nothing_else_is_one() {
        let mac = [0x02, 0xAB, 0, 1, 2, 0xFF];
        assert_eq!(text(mac), "02:ab:00:01:02:ff");
        assert_eq!(parse(&text(mac)), Some(mac));
        for wrong in ["", "02:ab:00:01:02", "02:ab:00:01:02:ff:00", "2:ab:00:01:02:ff", "02:ab:00:01:02:fg"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
