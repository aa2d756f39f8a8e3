//! Register images: what a device's settings look like as registers, and back.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // helpers may panic like tests

use proptest::prelude::*;
use vlan_table::PortMask;
use vlan_table::chip::registers::{Field, Image};
use vlan_table::chip::{Config, ConfigError, DumpError, Entry, Model, TagOp};

const SC: Model = Model::RTL8305SC;

/// (field, place as PHY.register of a page, mask), as the datasheets and drivers number them.
#[test]
fn fields_stand_where_the_documents_put_them() {
    let at = |field, value| {
        let (mut clear, mut set) = (Image::ZERO, Image::ZERO);
        clear.write(field, 0);
        set.write(field, value);
        let places = (0..2).flat_map(|page| (0..9).flat_map(move |phy| (0..32).map(move |r| (page, phy, r))));
        let changed = places.filter(|(page, phy, r)| clear.get(*page, *phy, *r) != set.get(*page, *phy, *r));
        let changed: Vec<_> = changed.collect();
        let [(page, phy, register)] = changed[..] else { panic!("{changed:?}") };
        (page, phy, register, clear.get(page, phy, register).unwrap() ^ set.get(page, phy, register).unwrap())
    };
    assert_eq!(at(Field::PAGE, 1), (0, 0, 16, 1 << 15));
    assert_eq!(at(Field::TAG_AWARE, 1), (0, 0, 16, 1 << 10));
    assert_eq!(at(Field::INGRESS_FILTER, 1), (0, 0, 16, 1 << 9));
    assert_eq!(at(Field::TAGGED_ONLY, 1), (0, 0, 16, 1 << 8));
    assert_eq!(at(Field::UNICAST_LEAK, 1), (0, 0, 18, 1 << 11));
    assert_eq!(at(Field::ARP_LEAK, 1), (0, 0, 18, 1 << 10));
    assert_eq!(at(Field::VLAN_ENABLE, 1), (0, 0, 18, 1 << 8));
    assert_eq!(at(Field::STORM_CONTROL, 1), (0, 0, 18, 1 << 2));
    assert_eq!(at(Field::QUEUE_WEIGHT, 3), (0, 0, 18, 0b11 << 3));
    assert_eq!(at(Field::null_vid(SC, 3), 1), (0, 3, 22, 1 << 12));
    assert_eq!(at(Field::discard_non_pvid(SC, 3), 1), (0, 3, 22, 1 << 11));
    assert_eq!(at(Field::tag_op(SC, 4), 0b11), (0, 4, 22, 0b11));
    assert_eq!(at(Field::index(SC, 2), 15), (0, 2, 24, 0xF000));
    assert_eq!(at(Field::learning(SC, 2), 1), (0, 2, 24, 1 << 9));
    for (entry, place) in [(0, (0, 0, 24)), (4, (0, 4, 24)), (5, (1, 0, 26)), (9, (1, 4, 26))] {
        assert_eq!(at(Field::members(SC, entry), 0x1F), (place.0, place.1, place.2, 0x1F));
    }
    for (entry, place) in [(10, (1, 0, 29)), (14, (1, 4, 29)), (15, (1, 0, 31))] {
        assert_eq!(at(Field::vid(SC, entry), 0xFFF), (place.0, place.1, place.2, 0xFFF));
    }
    // OpenWrt rtl8306.c: the sixth port.
    assert_eq!(at(Field::index(Model::RTL8306SD, 5), 15), (1, 0, 26, 0xF000));
    assert_eq!(at(Field::tag_op(Model::RTL8306SD, 5), 0b11), (0, 6, 22, 0b11));
    assert_eq!(at(Field::members(Model::RTL8306SD, 15), 0x3F), (1, 0, 30, 0x3F));
    assert_eq!(at(Field::members(Model::RTL8309SB, 8), 0x1FF), (0, 8, 24, 0x1FF));
}

#[test]
fn most_switches_are_on_when_their_bit_is_clear() {
    let mut image = Image::after_reset(SC);
    image.set(0, 0, 16, 0);
    image.set(0, 0, 18, 0);
    let config = image.to_config(SC).unwrap();
    assert!(config.tag_aware && config.ingress_filter && config.tagged_only);
    assert!(config.vlan_enabled && config.unicast_leak && config.arp_leak && !config.forward_reserved);
}

#[test]
fn after_reset_the_registers_hold_the_documented_values() {
    for model in Model::ALL {
        let image = Image::after_reset(model);
        assert_eq!(image.to_config(model), Ok(Config::new(model)));
        assert_eq!(image.get(0, 0, 16).unwrap() & 0x8700, 0x0700, "page 0, unaware, no filter, all frames");
        assert_eq!(image.get(0, 0, 18).unwrap() & 0x4D04, 0x4D04);
        assert_eq!(image.get(0, 2, 22).unwrap(), 0x0703, "no priorities, no tag operation");
    }
    assert_eq!(Image::after_reset(SC).get(0, 3, 24).unwrap(), 0x3E18, "index 3, all enabled, ports 3 and 4");
}

#[test]
fn an_index_beyond_a_small_table_is_an_error() {
    let mut image = Image::after_reset(Model::RTL8305SB);
    image.write(Field::index(Model::RTL8305SB, 1), 9);
    let error = ConfigError::IndexOutOfRange { port: 1, index: 9, entries: 5 };
    assert_eq!(image.to_config(Model::RTL8305SB), Err(error));
}

#[test]
fn mdio_sees_the_page_that_the_page_bit_selects() {
    let mut image = Image::after_reset(SC);
    let select = |image: &mut Image, page: u16| {
        let word = image.mdio_read(0, 16);
        image.mdio_write(SC, 0, 16, word & 0x7FFF | page << 15);
    };
    select(&mut image, 1);
    image.mdio_write(SC, 0, 27, 1234);
    assert_eq!(image.to_config(SC).unwrap().entries[5].vid, 1234);
    assert_eq!(image.mdio_read(0, 16) >> 15, 1, "the page bit is on both pages");
    select(&mut image, 0);
    assert_eq!(image.mdio_read(0, 27), 0);
    assert_eq!(image.mdio_read(31, 0), 0xFFFF, "no such PHY");
    image.mdio_write(SC, 0, 16, 1 << 12);
    assert_eq!(image, Image::after_reset(SC), "a soft reset takes everything back, itself included");
}

#[test]
fn a_dump_says_which_line_is_wrong() {
    let error = |text| Image::parse(text, SC).unwrap_err();
    assert_eq!(error("\n# nothing\n0.16 0xQ"), DumpError::Syntax { line: 3 });
    assert_eq!(error("page two"), DumpError::Syntax { line: 1 });
    assert_eq!(error("0.16 = 65536"), DumpError::Syntax { line: 1 });
    let missing = DumpError::NoSuchRegister { line: 2, page: 2, phy: 0, register: 16 };
    assert_eq!(error("page 2\n0.16 = 1"), missing);
    let twice = DumpError::Duplicate { line: 4, page: 1, phy: 0, register: 26 };
    assert_eq!(error("0.26 = 1\npage 1\n0.26 = 1\n0.26 = 1"), twice);
}

fn config() -> impl Strategy<Value = Config> {
    let model = prop::sample::select(Model::ALL.to_vec());
    let entries = prop::array::uniform16((0u16..4096, 0u64..512));
    let ports = prop::array::uniform9((0u8..16, 0u16..4, any::<[bool; 5]>()));
    (model, any::<[bool; 7]>(), entries, ports).prop_map(|(model, switches, entries, ports)| {
        let mut config = Config::new(model);
        [
            config.vlan_enabled,
            config.tag_aware,
            config.ingress_filter,
            config.tagged_only,
            config.unicast_leak,
            config.arp_leak,
            config.forward_reserved,
        ] = switches;
        for (to, (vid, members)) in config.entries.iter_mut().take(model.entries.into()).zip(entries) {
            *to = Entry { vid, members: PortMask::from_bits(members).intersection(model.port_mask()) };
        }
        for (to, (index, op, switches)) in config.ports.iter_mut().take(model.ports.into()).zip(ports) {
            (to.index, to.tag_op) = (index % model.entries, TagOp::from_code(op));
            [to.null_vid_replacement, to.discard_non_pvid, to.tx_enabled, to.rx_enabled, to.learning] =
                switches;
        }
        config
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn settings_survive_registers_and_text(config in config()) {
        let mut image = Image::after_reset(config.model);
        image.apply(&config);
        prop_assert_eq!(image.to_config(config.model), Ok(config));
        let text = image.dump(config.model).to_string();
        prop_assert_eq!(Image::parse(&text, config.model), Ok(image));
    }

    #[test]
    fn what_no_setting_names_is_left_alone(config in config(), word in any::<u16>()) {
        let mut image = Image::after_reset(config.model);
        for (phy, register) in [(0, 16), (0, 17), (0, 18), (1, 22), (7, 30)] {
            image.set(0, phy, register, word);
        }
        let before = image;
        image.apply(&config);
        prop_assert_eq!(image.get(0, 0, 17), before.get(0, 0, 17));
        prop_assert_eq!(image.get(0, 7, 30), before.get(0, 7, 30));
        // PHY0.18: all but EnForward, the two leaks and DisVLAN.
        let settings = 1 << 12 | 1 << 11 | 1 << 10 | 1 << 8;
        prop_assert_eq!((image.get(0, 0, 18).unwrap() ^ word) & !settings, 0);
    }

    #[test]
    fn any_text_is_an_image_or_an_error(text in "(page [0-3]\n|[0-9]{1,3}[.= ][0-9]{1,2}[ =]{0,3}(0x)?[0-9a-f]{0,5}\n|#?\\PC{0,8}\n){0,8}") {
        if let Ok(image) = Image::parse(&text, SC) {
            _ = image.to_config(SC);
        }
    }
}
