//! Settings as the chip holds them: 16-bit registers, addressed by PHY and number over MDIO, on two
//! pages.
//!
//! Register numbers and bits are those of FreeBSD's `rlswitch.c`, Realtek's `re830x.c` and OpenWrt's
//! `rtl8306.c`, completed from the RTL8305SB and RTL8309SB datasheets where those are silent. Many
//! bits are active-low; [`Field`] values are not.

use super::{Config, ConfigError, Entry, Model, PortConfig, TagOp};
use crate::PortMask;

/// The registers of a chip, both pages; 1152 bytes.
///
/// What no [`Field`] names is kept as it is, so an image read from a device can be changed and written
/// back.
///
/// ```
/// use vlan_table::chip::registers::{Field, Image};
/// use vlan_table::chip::{Config, Model};
///
/// let mut image = Image::after_reset(Model::RTL8305SC);
/// image.write(Field::VLAN_ENABLE, 1);
/// assert_eq!(image.get(0, 0, 18).unwrap() & 1 << 8, 0, "DisVLAN is clear");
/// let config = image.to_config(Model::RTL8305SC)?;
/// assert!(config.vlan_enabled);
/// assert_eq!(config.entries[0].members.bits(), 0b10001);
/// # Ok::<(), vlan_table::chip::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Image {
    /// By page, PHY and number.
    words: [[[u16; Image::REGISTERS]; Image::PHYS]; Image::PAGES],
}

impl Image {
    /// Pages; the second holds the VLAN entries that the first has no room for.
    pub const PAGES: usize = 2;
    /// PHY addresses.
    pub const PHYS: usize = 9;
    /// Registers of a PHY.
    pub const REGISTERS: usize = 32;

    /// All registers 0, which is no state that a chip is ever in.
    pub const ZERO: Self = Self { words: [[[0; Self::REGISTERS]; Self::PHYS]; Self::PAGES] };

    /// The registers after reset, with every strap pin open and no EEPROM.
    ///
    /// Reset values that no document gives are 0; storm control is taken as off, reserved group
    /// addresses as forwarded.
    pub fn after_reset(model: Model) -> Self {
        let mut image = Self::ZERO;
        for (field, value) in [(Field::MAX_LENGTH_1552, 0), (Field::STORM_CONTROL, 0)] {
            image.write(field, value);
        }
        for port in 0..model.ports {
            for field in [Field::no_802_1p, Field::no_diffserv, Field::no_port_priority] {
                image.write(field(model, port), 1);
            }
        }
        image.apply(&Config::new(model));
        image
    }

    /// A register; `None` beyond [`PAGES`](Self::PAGES), [`PHYS`](Self::PHYS) or
    /// [`REGISTERS`](Self::REGISTERS).
    pub fn get(&self, page: u8, phy: u8, register: u8) -> Option<u16> {
        self.words.get(usize::from(page))?.get(usize::from(phy))?.get(usize::from(register)).copied()
    }

    /// Writes a register; `false` if there is none of that number.
    pub fn set(&mut self, page: u8, phy: u8, register: u8, value: u16) -> bool {
        let phys = self.words.get_mut(usize::from(page));
        let word = phys.and_then(|phys| phys.get_mut(usize::from(phy))?.get_mut(usize::from(register)));
        word.map(|word| *word = value).is_some()
    }

    /// The value of a field, 1 for "on" whatever the polarity of the bit.
    pub fn read(&self, field: Field) -> u16 {
        let word = self.get(field.page, field.phy, field.register).unwrap_or_default();
        (if field.active_low { !word } else { word }) >> field.shift & field.mask()
    }

    /// Writes a field and nothing beside it; bits beyond the field's width are ignored.
    pub fn write(&mut self, field: Field, value: u16) {
        let old = self.get(field.page, field.phy, field.register).unwrap_or_default();
        let bits = (if field.active_low { !value } else { value }) & field.mask();
        let word = old & !(field.mask() << field.shift) | bits << field.shift;
        self.set(field.page, field.phy, field.register, word);
    }

    /// Answers an MDIO read as the chip does: the page is the one that PHY 0 register 16 selects, where
    /// register 16 itself is on every page. Registers that do not exist read as ones.
    pub fn mdio_read(&self, phy: u8, register: u8) -> u16 {
        self.get(self.page_of(register), phy, register).unwrap_or(u16::MAX)
    }

    /// Takes an MDIO write as the chip does; a soft reset restores `model`'s reset values and clears its
    /// own bit. Registers that do not exist ignore it.
    pub fn mdio_write(&mut self, model: Model, phy: u8, register: u8, value: u16) {
        self.set(self.page_of(register), phy, register, value);
        if self.read(Field::SOFT_RESET) == 1 {
            *self = Self::after_reset(model);
        }
    }

    fn page_of(&self, register: u8) -> u8 {
        if register == Field::PAGE.register { 0 } else { self.read(Field::PAGE) as u8 }
    }

    /// The settings that the registers hold. The policies are the default ones.
    ///
    /// # Errors
    /// [`ConfigError`] if they hold what `model` cannot mean, such as the index of an entry that it does
    /// not have.
    pub fn to_config(&self, model: Model) -> Result<Config, ConfigError> {
        let mut config = Config::new(model);
        for (field, setting) in config.switches() {
            *setting = self.read(field) == 1;
        }
        for (number, entry) in (0..model.entries).zip(&mut config.entries) {
            *entry = Entry {
                vid: self.read(Field::vid(model, number)),
                members: PortMask::from_bits(self.read(Field::members(model, number)).into()),
            };
        }
        for (number, port) in (0..model.ports).zip(&mut config.ports) {
            port.index = self.read(Field::index(model, number)) as u8;
            port.tag_op = TagOp::from_code(self.read(Field::tag_op(model, number)));
            for (field, setting) in port.switches(model, number) {
                *setting = self.read(field) == 1;
            }
        }
        config.check()?;
        Ok(config)
    }

    /// Writes all settings of `config` into their fields; everything else stays.
    pub fn apply(&mut self, config: &Config) {
        let mut config = *config;
        let model = config.model;
        for (field, setting) in config.switches() {
            self.write(field, (*setting).into());
        }
        for (number, entry) in (0..model.entries).zip(config.entries) {
            self.write(Field::vid(model, number), entry.vid);
            self.write(Field::members(model, number), entry.members.bits() as u16);
        }
        for (number, port) in (0..model.ports).zip(&mut config.ports) {
            self.write(Field::index(model, number), port.index.into());
            self.write(Field::tag_op(model, number), port.tag_op as u16);
            for (field, setting) in port.switches(model, number) {
                self.write(field, (*setting).into());
            }
        }
    }
}

impl Config {
    fn switches(&mut self) -> [(Field, &mut bool); 7] {
        [
            (Field::VLAN_ENABLE, &mut self.vlan_enabled),
            (Field::TAG_AWARE, &mut self.tag_aware),
            (Field::INGRESS_FILTER, &mut self.ingress_filter),
            (Field::TAGGED_ONLY, &mut self.tagged_only),
            (Field::UNICAST_LEAK, &mut self.unicast_leak),
            (Field::ARP_LEAK, &mut self.arp_leak),
            (Field::FORWARD_RESERVED, &mut self.forward_reserved),
        ]
    }
}

impl PortConfig {
    fn switches(&mut self, model: Model, port: u8) -> [(Field, &mut bool); 5] {
        [
            (Field::null_vid(model, port), &mut self.null_vid_replacement),
            (Field::discard_non_pvid(model, port), &mut self.discard_non_pvid),
            (Field::tx_enable(model, port), &mut self.tx_enabled),
            (Field::rx_enable(model, port), &mut self.rx_enabled),
            (Field::learning(model, port), &mut self.learning),
        ]
    }
}

/// Where a setting stands: some bits of a register.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Field {
    page: u8,
    phy: u8,
    register: u8,
    /// The lowest bit.
    shift: u8,
    bits: u8,
    /// Whether a clear bit means "on".
    active_low: bool,
}

impl Field {
    /// Page, 0 or 1.
    pub const fn page(self) -> u8 {
        self.page
    }

    /// PHY address.
    pub const fn phy(self) -> u8 {
        self.phy
    }

    /// Register number.
    pub const fn register(self) -> u8 {
        self.register
    }
}

/// Fields of the whole chip.
impl Field {
    /// PHY0.16 bit 15: which page is seen.
    pub const PAGE: Self = Self::bit(0, 16, 15);
    /// PHY0.16 bit 13: the CPU reads or writes an entry of the address table.
    pub const LUT_ACCESS: Self = Self::bit(0, 16, 13);
    /// PHY0.16 bit 12: resets the chip, then itself.
    pub const SOFT_RESET: Self = Self::bit(0, 16, 12);
    /// PHY0.16 bit 10 (DisTagAware): frames are classified by their tag.
    pub const TAG_AWARE: Self = Self::bit(0, 16, 10).inverted();
    /// PHY0.16 bit 9: ingress filter.
    pub const INGRESS_FILTER: Self = Self::bit(0, 16, 9).inverted();
    /// PHY0.16 bit 8: only tagged frames are admitted.
    pub const TAGGED_ONLY: Self = Self::bit(0, 16, 8).inverted();
    /// PHY0.18 bit 14: frames of up to 1552 bytes are admitted.
    pub const MAX_LENGTH_1552: Self = Self::bit(0, 18, 14).inverted();
    /// PHY0.18 bit 13 (EnBrdDrp): broadcast is dropped at the input.
    pub const BROADCAST_INPUT_DROP: Self = Self::bit(0, 18, 13);
    /// PHY0.18 bit 12 (EnForward): reserved group addresses are forwarded.
    pub const FORWARD_RESERVED: Self = Self::bit(0, 18, 12);
    /// PHY0.18 bit 11: known unicast leaves its VLAN.
    pub const UNICAST_LEAK: Self = Self::bit(0, 18, 11).inverted();
    /// PHY0.18 bit 10: broadcast ARP leaves its VLAN.
    pub const ARP_LEAK: Self = Self::bit(0, 18, 10).inverted();
    /// PHY0.18 bit 9: "48 pass 1", an aid against back pressure for too long.
    pub const PASS_ONE_OF_48: Self = Self::bit(0, 18, 9);
    /// PHY0.18 bit 8 (DisVLAN): VLANs are in force.
    pub const VLAN_ENABLE: Self = Self::bit(0, 18, 8).inverted();
    /// PHY0.18 bits 4 to 3: weight of the queues, 3 is 16 to 1.
    pub const QUEUE_WEIGHT: Self = Self { bits: 2, ..Self::bit(0, 18, 3) };
    /// PHY0.18 bit 2 (DisBrdCtrl): broadcast storm control.
    pub const STORM_CONTROL: Self = Self::bit(0, 18, 2).inverted();
}

/// Fields of a port, by its number. The sixth port of an RTL8306 is controlled through PHY 6.
impl Field {
    /// Register 22 bit 12: null-VID replacement.
    pub const fn null_vid(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 22, 12)
    }

    /// Register 22 bit 11: frames that are not of the port's VLAN are discarded.
    pub const fn discard_non_pvid(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 22, 11)
    }

    /// Register 22 bit 10: the priority in tags is ignored.
    pub const fn no_802_1p(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 22, 10)
    }

    /// Register 22 bit 9: the priority in IP headers is ignored.
    pub const fn no_diffserv(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 22, 9)
    }

    /// Register 22 bit 8: the port's own priority is ignored.
    pub const fn no_port_priority(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 22, 8)
    }

    /// Register 22 bits 1 to 0: the code of a [`TagOp`].
    pub const fn tag_op(model: Model, port: u8) -> Self {
        Self { bits: 2, ..Self::bit(model.phy(port), 22, 0) }
    }

    /// Register 24 bits 15 to 12: the port's entry; for the sixth port of an RTL8306 in PHY0.26, page 1.
    pub const fn index(model: Model, port: u8) -> Self {
        let place = if model.is_rtl8306() && port == 5 {
            Self::bit(0, 26, 12).on_page_1()
        } else {
            Self::bit(port, 24, 12)
        };
        Self { bits: 4, ..place }
    }

    /// Register 24 bit 11: frames may leave.
    pub const fn tx_enable(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 24, 11)
    }

    /// Register 24 bit 10: frames may arrive.
    pub const fn rx_enable(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 24, 10)
    }

    /// Register 24 bit 9: source addresses are learned.
    pub const fn learning(model: Model, port: u8) -> Self {
        Self::bit(model.phy(port), 24, 9)
    }
}

/// Fields of a VLAN entry, by its number: A to E on page 0, PHY 0 to 4, registers 24 and 25; F to J and
/// K to O on page 1 in registers 26 to 29 of the same PHYs, P in 30 and 31 of PHY 0. The RTL8309SB has
/// nine PHYs and so all its entries on page 0.
impl Field {
    /// The member mask: bit `p` is port `p`.
    pub const fn members(model: Model, entry: u8) -> Self {
        Self { bits: model.ports, ..Self::entry(model, entry, 0) }
    }

    /// The VID, 12 bits.
    pub const fn vid(model: Model, entry: u8) -> Self {
        Self { bits: 12, ..Self::entry(model, entry, 1) }
    }

    const fn entry(model: Model, entry: u8, which: u8) -> Self {
        if model.ports > 6 || entry < 5 {
            return Self::bit(entry, 24 + which, 0);
        }
        Self::bit(entry % 5, 24 + 2 * (entry / 5) + which, 0).on_page_1()
    }

    const fn bit(phy: u8, register: u8, shift: u8) -> Self {
        Self { page: 0, phy, register, shift, bits: 1, active_low: false }
    }

    const fn inverted(self) -> Self {
        Self { active_low: true, ..self }
    }

    const fn on_page_1(self) -> Self {
        Self { page: 1, ..self }
    }

    const fn mask(self) -> u16 {
        if self.bits < 16 { (1 << self.bits) - 1 } else { u16::MAX }
    }
}

impl Model {
    const fn is_rtl8306(self) -> bool {
        self.ports == 6
    }

    /// The PHY through which a port is controlled.
    const fn phy(self, port: u8) -> u8 {
        if self.is_rtl8306() && port == 5 { 6 } else { port }
    }
}
