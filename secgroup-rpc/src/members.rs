//! Who belongs to a group: the far ends of rules that name a group or an address group.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use macaddr::MacAddr6;

use crate::{Family, IpSpec, Patch, Uuid};

/// A member that is more than a bare address: a prefix, or an address with a MAC.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Member {
    /// The address, as written.
    pub address: IpSpec,
    /// The MAC of an address pair, or (push path) of the port.
    pub mac: Option<MacAddr6>,
}

/// The members of one family: bare addresses, which are the mass, apart from the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Members<A> {
    /// Addresses written without prefix length and without a MAC: a set, kept sorted.
    pub addresses: Vec<A>,
    /// Every other member: a set, kept sorted.
    pub others: Vec<Member>,
}

impl<A> Default for Members<A> {
    fn default() -> Self {
        Self { addresses: Vec::new(), others: Vec::new() }
    }
}

impl<A: Copy + Ord + Into<IpAddr>> Members<A> {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.addresses.len() + self.others.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every member: bare addresses first, then the others.
    pub fn iter(&self) -> impl Iterator<Item = Member> + '_ {
        let bare = |&a: &A| Member { address: IpSpec::Host(a.into()), mac: None };
        self.addresses.iter().map(bare).chain(self.others.iter().copied())
    }

    fn is_normalized(&self, family: Family) -> bool {
        self.addresses.is_sorted_by(|a, b| a < b)
            && self.others.is_sorted_by(|a, b| a < b)
            && self.others.iter().all(|member| is_other(member, family))
    }

    fn normalize(&mut self) {
        sort_as_set(&mut self.addresses);
        sort_as_set(&mut self.others);
    }
}

/// The members of a group or address group, as `sg_member_ips` lists them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemberSet {
    /// The group or address group.
    pub id: Uuid,
    /// IPv4 members; absent if no rule of that family names the group.
    pub v4: Option<Members<Ipv4Addr>>,
    /// IPv6 members; absent if no rule of that family names the group.
    pub v6: Option<Members<Ipv6Addr>>,
    /// What the fields above do not say.
    pub patch: Patch,
}

impl MemberSet {
    /// The set `id` without any family.
    pub fn new(id: Uuid) -> Self {
        Self { id, ..Self::default() }
    }

    /// The members of `family`; none if the family is absent.
    pub fn members(&self, family: Family) -> impl Iterator<Item = Member> + '_ {
        let (v4, v6) = match family {
            Family::V4 => (self.v4.as_ref(), None),
            Family::V6 => (None, self.v6.as_ref()),
        };
        v4.into_iter().flat_map(Members::iter).chain(v6.into_iter().flat_map(Members::iter))
    }

    /// How many members of both families there are.
    pub fn len(&self) -> usize {
        self.v4.as_ref().map_or(0, Members::len) + self.v6.as_ref().map_or(0, Members::len)
    }

    /// True if there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if `address` is a member or lies in a member prefix. O(log n) in the bare addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bare, others) = match address {
            IpAddr::V4(a) => match &self.v4 {
                Some(members) => (members.addresses.binary_search(&a).is_ok(), &members.others),
                None => return false,
            },
            IpAddr::V6(a) => match &self.v6 {
                Some(members) => (members.addresses.binary_search(&a).is_ok(), &members.others),
                None => return false,
            },
        };
        bare || others.iter().any(|member| member.address.net().contains(&address))
    }

    /// Adds a member of any kind at the end of its list; the caller normalizes later.
    pub(crate) fn push(&mut self, member: Member) {
        match (member.address, member.mac) {
            (IpSpec::Host(IpAddr::V4(a)), None) => self.v4.get_or_insert_default().addresses.push(a),
            (IpSpec::Host(IpAddr::V6(a)), None) => self.v6.get_or_insert_default().addresses.push(a),
            (IpSpec::Host(IpAddr::V4(_)) | IpSpec::Net(IpNet::V4(_)), _) => {
                self.v4.get_or_insert_default().others.push(member);
            }
            (IpSpec::Host(IpAddr::V6(_)) | IpSpec::Net(IpNet::V6(_)), _) => {
                self.v6.get_or_insert_default().others.push(member);
            }
        }
    }

    pub(crate) fn is_normalized(&self) -> bool {
        self.v4.as_ref().is_none_or(|v4| v4.is_normalized(Family::V4))
            && self.v6.as_ref().is_none_or(|v6| v6.is_normalized(Family::V6))
    }

    /// Moves members to the list that they belong to.
    fn refile(&mut self) {
        let mut stray = Vec::new();
        let mut sort_out = |others: &mut Vec<Member>, family| {
            if !others.iter().all(|member| is_other(member, family)) {
                let (kept, other): (Vec<_>, Vec<_>) =
                    others.drain(..).partition(|member| is_other(member, family));
                *others = kept;
                stray.extend(other);
            }
        };
        if let Some(v4) = &mut self.v4 {
            sort_out(&mut v4.others, Family::V4);
        }
        if let Some(v6) = &mut self.v6 {
            sort_out(&mut v6.others, Family::V6);
        }
        stray.into_iter().for_each(|member| self.push(member));
    }

    /// Removes a member of any kind; one that is not there is no error.
    pub(crate) fn remove(&mut self, member: Member) {
        let others = match (member.address, member.mac) {
            (IpSpec::Host(IpAddr::V4(a)), None) => {
                return self.v4.iter_mut().for_each(|v4| v4.addresses.retain(|other| *other != a));
            }
            (IpSpec::Host(IpAddr::V6(a)), None) => {
                return self.v6.iter_mut().for_each(|v6| v6.addresses.retain(|other| *other != a));
            }
            _ => match member.address.family() {
                Family::V4 => self.v4.as_mut().map(|v4| &mut v4.others),
                Family::V6 => self.v6.as_mut().map(|v6| &mut v6.others),
            },
        };
        others.into_iter().for_each(|others| others.retain(|other| *other != member));
    }

    pub(crate) fn normalize(&mut self) {
        self.refile();
        if let Some(v4) = &mut self.v4 {
            v4.normalize();
        }
        if let Some(v6) = &mut self.v6 {
            v6.normalize();
        }
    }
}

/// True if `member` belongs to the others of `family`: no bare address, and of that family.
fn is_other(member: &Member, family: Family) -> bool {
    let bare = matches!(member, Member { address: IpSpec::Host(_), mac: None });
    !bare && member.address.family() == family
}

/// Sorts and drops repeated items, if that is not done yet.
pub(crate) fn sort_as_set<T: Ord>(items: &mut Vec<T>) {
    if !items.is_sorted_by(|a, b| a < b) {
        items.sort_unstable();
        items.dedup();
    }
}
