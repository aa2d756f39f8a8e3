//! The client against scripted switches: what it sends and when, and which frames it believes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::{STATION, SWITCH};
use macaddr::MacAddr6;
use rrcp::client::{
    CLIENT_FRAME_LEN, Client, Config, Consent, CookiePolicy, Danger, Event, Failure, Ignored, StartError,
    Target, Verdict, Write,
};
use rrcp::wire::{
    Access, AuthKey, BROADCAST, ChipId, Cookie, HelloReply, Op, RegisterAddress, Rep, Rrcp, Ttl, VendorId,
};
use rrcp::{EtherType, Frame, FrameView, Message, Probe, Tag};

const CHIP_ID: RegisterAddress = RegisterAddress::CHIP_ID;
const VLAN_CONTROL: RegisterAddress = RegisterAddress::VLAN_CONTROL;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn client() -> Client {
    Client::new(Config::new(STATION), 1)
}

/// Everything that the client wants to send now.
fn sent(client: &mut Client) -> Vec<(MacAddr6, Message<'static>)> {
    let mut buffer = [0; CLIENT_FRAME_LEN];
    let mut frames = Vec::new();
    while let Some(bytes) = client.poll_transmit(&mut buffer) {
        let view = FrameView::new(bytes, 1).unwrap();
        assert_eq!(view.src(), STATION);
        frames.push((
            view.dst(),
            match view.message() {
                Message::Rrcp(rrcp) => rrcp.into(),
                Message::Rep(rep) => rep.into(),
                other => panic!("a client sends no {other}"),
            },
        ));
    }
    frames
}

/// The one get that the client sends now, behind `sets` sets.
fn get_behind(client: &mut Client, sets: usize) -> Rrcp {
    let frames = sent(client);
    assert_eq!(frames.len(), sets + 1, "{frames:?}");
    assert!(frames.iter().take(sets).all(|(_, m)| matches!(m, Message::Rrcp(Rrcp { op: Op::Set(_), .. }))));
    match frames[sets] {
        (SWITCH, Message::Rrcp(get @ Rrcp { op: Op::Get(_), .. })) => get,
        other => panic!("{other:?}"),
    }
}

fn answer_to(get: Rrcp, data: u32) -> Rrcp {
    let Op::Get(access) = get.op else { panic!("{get}") };
    Rrcp { op: Op::GetReply(Access { data, ..access }), ..get }
}

fn hears(client: &mut Client, now: Duration, src: MacAddr6, message: impl Into<Message<'static>>) -> Verdict {
    hears_tagged(client, now, (src, STATION), &[], message)
}

fn hears_tagged(
    client: &mut Client,
    now: Duration,
    (src, dst): (MacAddr6, MacAddr6),
    tags: &[Tag],
    message: impl Into<Message<'static>>,
) -> Verdict {
    let mut buffer = [0; 80];
    let len = Frame { dst, src, message: message.into() }.emit(tags, &mut buffer).unwrap();
    client.handle_frame(now, &buffer[..len])
}

/// Runs the client without any answer: when it sent, and how it ended.
fn unanswered(client: &mut Client, now: Duration) -> (Vec<(Duration, usize)>, Event, Duration) {
    let mut sends = vec![(now, sent(client).len())];
    for _ in 0..1000 {
        let now = client.poll_timeout().unwrap();
        client.handle_timeout(now);
        assert!(client.poll_timeout().is_none_or(|next| next > now), "a handled deadline must move on");
        match sent(client).len() {
            0 => {}
            frames => sends.push((now, frames)),
        }
        if let Some(event) = client.poll_event() {
            assert!(!client.is_busy());
            return (sends, event, now);
        }
    }
    panic!("the operation does not end");
}

#[test]
fn a_read_is_repeated_ten_times_100_ms_after_each_500_ms_of_silence() {
    let mut client = client();
    client.get(ms(1000), SWITCH, CHIP_ID).unwrap();
    let (sends, event, end) = unanswered(&mut client, ms(1000));
    assert_eq!(sends, (0..11).map(|n| (ms(1000 + 600 * n), 1)).collect::<Vec<_>>());
    assert_eq!(event, Event::Failed(Failure::NoAnswer { sends: 11 }));
    assert_eq!(end, ms(1000 + 600 * 10 + 500));
}

#[test]
fn a_repeated_read_keeps_its_cookie_and_the_next_read_has_another() {
    let mut client = client();
    client.get(ms(0), SWITCH, CHIP_ID).unwrap();
    let first = get_behind(&mut client, 0);
    client.handle_timeout(ms(500));
    client.handle_timeout(ms(600));
    assert_eq!(get_behind(&mut client, 0), first);
    assert_eq!(hears(&mut client, ms(601), SWITCH, answer_to(first, 0x0C)), Verdict::Accepted);
    assert_eq!(client.poll_event(), Some(Event::Value { register: CHIP_ID, data: 0x0C, sends: 2 }));
    client.get(ms(700), SWITCH, CHIP_ID).unwrap();
    assert_ne!(get_behind(&mut client, 0), first);
}

#[test]
fn a_ping_ends_after_one_second_or_with_the_round_trip() {
    let mut client = client();
    client.ping(ms(0), SWITCH).unwrap();
    let (sends, event, end) = unanswered(&mut client, ms(0));
    assert_eq!((sends, end), (vec![(ms(0), 1)], ms(1000)));
    assert_eq!(event, Event::Failed(Failure::NoAnswer { sends: 1 }));

    client.ping(ms(2000), SWITCH).unwrap();
    sent(&mut client);
    let echo = Rep { reply: true, cookie: Cookie::NONE };
    assert_eq!(
        hears(&mut client, ms(2001), STATION, echo),
        Verdict::Ignored(Ignored::OtherSource),
        "from another station"
    );
    assert_eq!(hears(&mut client, ms(2020), SWITCH, echo), Verdict::Accepted, "the flag is enough");
    assert_eq!(client.poll_event(), Some(Event::Pong { round_trip: ms(20) }));
}

#[test]
fn a_set_is_read_back_under_its_mask_at_most_three_times() {
    let mut client = client();
    let write = Write { register: VLAN_CONTROL, data: 0x0011, mask: 0x007F };
    client.set(ms(0), SWITCH, write, Consent::Safe).unwrap();
    // Bits outside of the mask do not matter.
    let get = get_behind(&mut client, 1);
    assert_eq!(hears(&mut client, ms(1), SWITCH, answer_to(get, 0xFF91)), Verdict::Accepted);
    let written = Event::Written { register: VLAN_CONTROL, data: 0xFF91, attempts: 1 };
    assert_eq!(client.poll_event(), Some(written));

    client.set(ms(10), SWITCH, write, Consent::Safe).unwrap();
    for _attempt in 0..3 {
        let get = get_behind(&mut client, 1);
        assert_eq!(hears(&mut client, ms(11), SWITCH, answer_to(get, 0x0010)), Verdict::Accepted);
    }
    let mismatch =
        Failure::Mismatch { register: VLAN_CONTROL, wrote: 0x11, read: 0x10, mask: 0x7F, attempts: 3 };
    assert_eq!(client.poll_event(), Some(Event::Failed(mismatch)));
    assert!(sent(&mut client).is_empty() && !client.is_busy());
}

#[test]
fn the_reset_register_is_never_verified() {
    let mut client = client();
    let reset = Write::new(RegisterAddress::RESET, 1);
    client.set(ms(0), SWITCH, reset, Consent::Dangerous).unwrap();
    assert_eq!(sent(&mut client).len(), 1);
    assert_eq!(client.poll_event(), Some(Event::Unverified { register: RegisterAddress::RESET }));
    assert_eq!((client.poll_timeout(), client.is_busy()), (None, false));
}

#[test]
fn a_new_key_is_used_from_the_read_back_on() {
    let mut client = client();
    let write = Write::new(RegisterAddress::AUTH_KEY, 0xBEEF);
    client.set(ms(0), SWITCH, write, Consent::Dangerous).unwrap();
    let frames = sent(&mut client);
    let keys: Vec<_> =
        frames.iter().map(|(_, m)| matches!(m, Message::Rrcp(r) if r.key == AuthKey(0xBEEF))).collect();
    assert_eq!(keys, [false, true], "set with the old key, read with the new one");
    let Message::Rrcp(get) = frames[1].1 else { panic!() };
    hears(&mut client, ms(1), SWITCH, answer_to(get, 0xBEEF));
    assert!(matches!(client.poll_event(), Some(Event::Written { attempts: 1, .. })));
    assert_eq!(client.config().key, AuthKey(0xBEEF));
}

#[test]
fn a_key_that_does_not_answer_leaves_the_old_one_after_three_attempts() {
    let mut client = client();
    let write = Write::new(RegisterAddress::AUTH_KEY, 0xBEEF);
    client.set(ms(0), SWITCH, write, Consent::Dangerous).unwrap();
    let (sends, event, _) = unanswered(&mut client, ms(0));
    // Each attempt: a set with its read, and two repetitions of the read.
    assert_eq!(sends.iter().map(|(_, frames)| *frames).collect::<Vec<_>>(), [2, 1, 1, 2, 1, 1, 2, 1, 1]);
    assert_eq!(event, Event::Failed(Failure::NoAnswer { sends: 3 }));
    assert_eq!(client.config().key, AuthKey::DEFAULT);
}

fn hello_reply(downlink_port: u8, uplink_mac: MacAddr6, uplink_port: u8) -> Rrcp {
    let (chip, vendor) = (ChipId(0x0C), VendorId(0));
    Rrcp {
        key: AuthKey::DEFAULT,
        op: Op::HelloReply(HelloReply { downlink_port, uplink_port, uplink_mac, chip, vendor }),
    }
}

#[test]
fn a_scan_asks_three_times_and_reports_each_link_and_each_echo_once() {
    let mut client = client();
    let above = MacAddr6::new(2, 0, 0, 0, 0, 0xAA);
    let links = [hello_reply(7, MacAddr6::nil(), 0), hello_reply(7, above, 16), hello_reply(6, above, 16)];
    client.scan(ms(0)).unwrap();
    for now in [0, 500, 1000].map(ms) {
        client.handle_timeout(now);
        assert_eq!(client.poll_timeout(), Some(now + ms(500)));
        let [(BROADCAST, Message::Rrcp(_)), (BROADCAST, Message::Rep(request))] = sent(&mut client)[..]
        else {
            panic!("a hello and an echo request to all")
        };
        // A switch that returns the request unchanged, and one that sets the flag.
        let echoes = [(SWITCH, request), (above, Rep { reply: true, ..request })];
        let answers = links.map(|link| (SWITCH, Message::from(link))).into_iter();
        for (src, answer) in answers.chain(echoes.map(|(src, echo)| (src, echo.into()))) {
            let verdict = hears(&mut client, now + ms(1), src, answer);
            let new = now == ms(0);
            assert_eq!(verdict, if new { Verdict::Accepted } else { Verdict::Ignored(Ignored::Known) });
            assert_eq!(client.poll_event().is_some(), new);
        }
    }
    client.handle_timeout(ms(1500));
    assert_eq!(client.poll_event(), Some(Event::ScanDone { answers: 5, dropped: 0 }));
    assert_eq!((client.poll_event(), client.poll_timeout()), (None, None));
}

#[test]
fn a_scan_that_overflows_says_so() {
    let mut client = Client::<2>::new(Config::new(STATION), 1);
    client.scan(ms(0)).unwrap();
    for port in 0..5 {
        let mut bytes = [0; 60];
        let message = hello_reply(port, MacAddr6::nil(), 0).into();
        Frame { dst: STATION, src: SWITCH, message }.emit(&[], &mut bytes).unwrap();
        let verdict = client.handle_frame(ms(1), &bytes);
        assert_eq!(verdict == Verdict::Accepted, port < 2);
    }
    (1..=3).for_each(|round| client.handle_timeout(ms(500 * round)));
    let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
    assert_eq!(events.last(), Some(&Event::ScanDone { answers: 2, dropped: 3 }));
}

/// Corner case 17.
#[test]
fn an_echo_without_reply_flag_is_accepted_once_by_its_cookie_and_never_answered() {
    let mut client = client();
    client.ping(ms(0), SWITCH).unwrap();
    let [(SWITCH, Message::Rep(request))] = sent(&mut client)[..] else { panic!() };
    let foreign = Rep { reply: false, cookie: Cookie(*b"somebody") };
    assert_eq!(hears(&mut client, ms(1), SWITCH, foreign), Verdict::Ignored(Ignored::OtherCookie));
    assert_eq!(hears(&mut client, ms(2), SWITCH, request), Verdict::Accepted);
    assert_eq!(client.poll_event(), Some(Event::Pong { round_trip: ms(2) }));
    for echo in [request, foreign, Rep { reply: true, ..request }] {
        assert_eq!(hears(&mut client, ms(3), SWITCH, echo), Verdict::Ignored(Ignored::Unasked));
    }
    assert!(sent(&mut client).is_empty());
}

/// Corner case 18.
#[test]
fn a_reply_with_another_cookie_register_key_or_source_is_ignored() {
    let mut client = client();
    client.get(ms(0), SWITCH, CHIP_ID).unwrap();
    let get = get_behind(&mut client, 0);
    let good = answer_to(get, 0x0C);
    let Op::GetReply(access) = good.op else { panic!() };
    let with = |access| Rrcp { op: Op::GetReply(access), ..good };
    for (message, why) in [
        (with(Access { cookie: Cookie(*b"somebody"), ..access }), Ignored::OtherCookie),
        (with(Access { cookie: Cookie::NONE, ..access }), Ignored::OtherCookie),
        (with(Access { register: VLAN_CONTROL, ..access }), Ignored::OtherRegister),
        (Rrcp { key: AuthKey(0x7923), ..good }, Ignored::OtherKey),
        (get, Ignored::NoAnswer),
    ] {
        assert_eq!(hears(&mut client, ms(1), SWITCH, message), Verdict::Ignored(why));
        assert!(client.counters().ignored(why) > 0);
    }
    for src in [MacAddr6::new(2, 0, 0, 0, 0, 9), MacAddr6::nil(), BROADCAST] {
        assert_eq!(hears(&mut client, ms(1), src, good), Verdict::Ignored(Ignored::OtherSource));
    }
    let to_another = (SWITCH, MacAddr6::new(2, 0, 0, 0, 0, 2));
    let verdict = hears_tagged(&mut client, ms(1), to_another, &[], good);
    assert_eq!(verdict, Verdict::Ignored(Ignored::OtherDestination));
    assert_eq!(client.poll_event(), None);

    assert_eq!(hears(&mut client, ms(2), SWITCH, good), Verdict::Accepted);
    assert_eq!(
        hears(&mut client, ms(2), SWITCH, good),
        Verdict::Ignored(Ignored::Unasked),
        "a late duplicate"
    );
    assert_eq!((client.counters().accepted, client.counters().ignored_total()), (1, 10));
}

/// Corner case 18: the read-back of an older attempt does not count for a newer one.
#[test]
fn a_late_read_back_is_not_taken_for_the_next_one() {
    let mut client = client();
    let write = Write::new(VLAN_CONTROL, 0x11);
    client.set(ms(0), SWITCH, write, Consent::Safe).unwrap();
    let first = get_behind(&mut client, 1);
    hears(&mut client, ms(1), SWITCH, answer_to(first, 0));
    let second = get_behind(&mut client, 1);
    let verdict = hears(&mut client, ms(2), SWITCH, answer_to(first, 0));
    assert_eq!(verdict, Verdict::Ignored(Ignored::OtherCookie));
    hears(&mut client, ms(3), SWITCH, answer_to(second, 0x11));
    assert!(matches!(client.poll_event(), Some(Event::Written { attempts: 2, .. })));
}

#[test]
fn a_switch_that_returns_no_cookie_is_believed_only_if_asked_to() {
    let config = Config { cookies: CookiePolicy::OursOrNone, ..Config::new(STATION) };
    let mut client = Client::new(config, 1);
    client.get(ms(0), SWITCH, CHIP_ID).unwrap();
    let get = get_behind(&mut client, 0);
    let Op::GetReply(access) = answer_to(get, 5).op else { panic!() };
    let reply = |cookie| Rrcp { op: Op::GetReply(Access { cookie, ..access }), ..get };
    let verdict = hears(&mut client, ms(1), SWITCH, reply(Cookie(*b"somebody")));
    assert_eq!(verdict, Verdict::Ignored(Ignored::OtherCookie));
    assert_eq!(hears(&mut client, ms(1), SWITCH, reply(Cookie::NONE)), Verdict::Accepted);
}

/// Corner case 19: odd link vectors are data, and nothing is indexed by them.
#[test]
fn a_hello_reply_with_odd_fields_is_kept_as_data() {
    let mut client = client();
    client.scan(ms(0)).unwrap();
    sent(&mut client);
    for (port, uplink) in [(0xFF, MacAddr6::nil()), (0, SWITCH), (7, BROADCAST)] {
        let message = hello_reply(port, uplink, 0xFF);
        assert_eq!(hears(&mut client, ms(1), SWITCH, message), Verdict::Accepted);
        let Some(Event::Found(switch)) = client.poll_event() else { panic!() };
        assert_eq!((switch.reply.downlink_port, switch.reply.uplink_mac), (port, uplink));
        let topology = rrcp::client::Topology::new(std::slice::from_ref(&switch));
        assert_eq!((topology.roots().count(), topology.depth(&switch)), (1, 0));
    }
    let to_another = (SWITCH, MacAddr6::new(2, 0, 0, 0, 0, 2));
    let verdict = hears_tagged(&mut client, ms(1), to_another, &[], hello_reply(1, MacAddr6::nil(), 0));
    assert_eq!(verdict, Verdict::Ignored(Ignored::OtherDestination));
}

/// Corner case 20.
#[test]
fn probes_and_cpu_tags_are_no_answers() {
    let mut client = client();
    client.get(ms(0), SWITCH, CHIP_ID).unwrap();
    let probe = Probe::Classic { ttl: Ttl::NONE };
    assert_eq!(hears(&mut client, ms(1), SWITCH, probe), Verdict::Ignored(Ignored::NoAnswer));
    for hex in [common::C18, common::C19, common::C20, common::C21] {
        let mut bytes = common::padded(hex, 60);
        bytes[..6].copy_from_slice(STATION.as_ref());
        assert_eq!(client.handle_frame(ms(1), &bytes), Verdict::Ignored(Ignored::NoAnswer));
    }
    let not_ours = client.handle_frame(ms(1), &common::padded(common::R2, 60));
    assert_eq!(not_ours, Verdict::Ignored(Ignored::NotRealtek));
}

/// Corner case 21.
#[test]
fn a_dangerous_set_asks_for_consent() {
    let uplink = Some(7);
    for (register, data, port, danger) in [
        (0x0000, 0x0001, uplink, Some(Danger::Restart)),
        (0x0209, 0xBEEF, uplink, Some(Danger::KeyChange)),
        (0x0608, 0x0080, uplink, Some(Danger::PortOff)),
        (0x0608, 0xFF7F, uplink, None),
        (0x0608, 0x0001, None, Some(Danger::PortOff)),
        (0x0608, 0x0000, None, None),
        (0x0609, 0x0001, Some(16), Some(Danger::PortOff)),
        (0x0609, 0x0080, uplink, None),
        (0x0609, 0x0001, None, Some(Danger::PortOff)),
        (0x0201, 0x0080, uplink, Some(Danger::PortIgnored)),
        (0x0202, 0x0080, uplink, None),
        (0x0200, 0x0005, uplink, Some(Danger::RrcpOff)),
        (0x0200, 0x0006, uplink, None),
        (0x0203, 0x5452, uplink, Some(Danger::AddressChange)),
        (0x0217, 0x0012, uplink, Some(Danger::EepromWrite)),
        (0x0217, 0x0812, uplink, None),
        (0x030B, 0x0011, None, None),
    ] {
        let mut client = client();
        let (target, write) = (Target { mac: SWITCH, port }, Write::new(RegisterAddress(register), data));
        let refused = danger.map(|danger| StartError::Dangerous { register: write.register, danger });
        assert_eq!(
            client.set(ms(0), target, write, Consent::Safe).err(),
            refused,
            "{register:#06x} {data:#x}"
        );
        assert_eq!(sent(&mut client).is_empty(), refused.is_some(), "nothing is sent");
        client.cancel();
        assert_eq!(client.set(ms(0), target, write, Consent::Dangerous), Ok(()));
    }
}

#[test]
fn one_operation_at_a_time_and_only_with_one_switch() {
    let mut client = client();
    for mac in [BROADCAST, MacAddr6::nil(), MacAddr6::new(1, 0, 0x5E, 0, 0, 1)] {
        assert_eq!(client.get(ms(0), mac, CHIP_ID), Err(StartError::NotUnicast { mac }));
        assert_eq!(client.ping(ms(0), mac), Err(StartError::NotUnicast { mac }));
    }
    client.scan(ms(0)).unwrap();
    assert_eq!(client.scan(ms(0)), Err(StartError::Busy));
    assert_eq!(client.get(ms(0), SWITCH, CHIP_ID), Err(StartError::Busy));
    client.cancel();
    assert!(sent(&mut client).is_empty());
    assert_eq!(client.get(ms(0), SWITCH, CHIP_ID), Ok(()));
}

/// Corner case 4.
#[test]
fn replies_must_be_in_the_vlan_of_the_request() {
    let tag = Tag::from_tci(EtherType::VLAN, 0xF001);
    for asked_in in [None, Some(tag)] {
        let mut client: Client = Client::new(Config { tag: asked_in, ..Config::new(STATION) }, 1);
        client.get(ms(0), SWITCH, CHIP_ID).unwrap();
        let mut buffer = [0; CLIENT_FRAME_LEN];
        let bytes = client.poll_transmit(&mut buffer).unwrap();
        let view = FrameView::new(bytes, 1).unwrap();
        assert!(view.tags().eq(asked_in));
        let Message::Rrcp(get) = view.message() else { panic!() };
        let reply = answer_to(get, 5);
        let other = Tag::from_tci(EtherType::VLAN, 2);
        let path = (SWITCH, STATION);
        for (tags, right) in
            [(vec![], asked_in.is_none()), (vec![tag], asked_in.is_some()), (vec![other], false)]
        {
            if !right {
                let verdict = hears_tagged(&mut client, ms(1), path, &tags, reply);
                assert_eq!(verdict, Verdict::Ignored(Ignored::OtherVlan));
            }
        }
        // A switch may drop the priority: the VLAN is what counts.
        let tags: Vec<_> = asked_in.map(|_| Tag::from_tci(EtherType::VLAN, 1)).into_iter().collect();
        assert_eq!(hears_tagged(&mut client, ms(1), path, &tags, reply), Verdict::Accepted);
    }
}

/// Corner case 12.
#[test]
fn a_clock_that_goes_back_or_jumps_ahead_does_no_harm() {
    let mut client = client();
    client.get(Duration::MAX - ms(1), SWITCH, CHIP_ID).unwrap();
    get_behind(&mut client, 0);
    client.handle_timeout(ms(0));
    assert!(client.is_busy() && sent(&mut client).is_empty(), "too early");
    client.cancel();
    client.get(ms(0), SWITCH, CHIP_ID).unwrap();
    get_behind(&mut client, 0);
    client.handle_timeout(ms(7_200_000));
    assert_eq!(client.poll_timeout(), Some(ms(7_200_100)), "one step, no burst");
    assert!(sent(&mut client).is_empty());
    client.cancel();
    client.ping(ms(100), SWITCH).unwrap();
    assert_eq!(
        hears(&mut client, ms(50), SWITCH, Rep { reply: true, cookie: Cookie::NONE }),
        Verdict::Accepted
    );
    assert_eq!(client.poll_event(), Some(Event::Pong { round_trip: ms(0) }));
}
