//! Everything the guard knows of one address, and what it would do with its next packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use edge_common::{Client, Rate, Settings, is_mapped, mapped, prefix, reason, slot};

use super::{BanRow, GuardError, Maps, Prefix};
use crate::sys::monotonic::monotonic_ns;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// One address, explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Prefixes of the allow list it is in, shortest first.
    pub allowed: Vec<Prefix>,
    /// Bans and denied prefixes that hold for it, shortest first: the last one decides.
    pub bans: Vec<BanRow>,
    /// The client it is part of: all its addresses share the buckets.
    pub client: Prefix,
    /// Whether the client has finished a handshake. One that has not may share its buckets with
    /// other such clients.
    pub proven: bool,
    /// Connections the client holds.
    pub conns: u64,
    /// Connections it may hold; `None`: any number.
    pub conns_max: Option<u64>,
    /// Its buckets that limit anything.
    pub buckets: Vec<BucketRow>,
    /// Its packets that were over a limit.
    pub limited_packets: u64,
    /// The last of them.
    pub limited: Option<LimitedRow>,
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRow {
    /// Name of the reason when it has not enough.
    pub reason: &'static str,
    /// Units it would let pass now.
    pub left: u64,
    /// Units it lets pass at once when full.
    pub burst: u64,
    /// Units that come back in a second.
    pub per_s: u64,
    /// Time until it is full again, ms.
    pub full_in_ms: u64,
}

/// A packet over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitedRow {
    /// Which limit: stable name.
    pub reason: &'static str,
    /// How long ago, ms.
    pub ago_ms: u64,
}

impl Maps {
    /// What is known of `address`.
    pub fn why(&self, address: IpAddr) -> Result<Why, GuardError> {
        let address = address.to_canonical();
        let settings = self.settings()?;
        let holds = |prefix: &Prefix| prefix.contains(address);
        let mut allowed: Vec<Prefix> = self.allow.entries()?.into_keys().filter(holds).collect();
        let mut bans = self.bans()?;
        bans.retain(|ban| ban.prefix.contains(address));
        allowed.sort_by_key(Prefix::bits);
        bans.sort_by_key(|ban| ban.prefix.bits());
        let key = client_of(address, &settings);
        let (proven, client) = self.client(key, &settings)?;
        let now_ns = monotonic_ns();
        let limited = (client.limited_packets > 0).then(|| LimitedRow {
            reason: reason::as_str(client.limited_reason as u32),
            ago_ms: now_ns.saturating_sub(client.limited_ns) / NS_PER_MS,
        });
        Ok(Why {
            allowed,
            bans,
            client: client_prefix(key, &settings),
            proven,
            conns: client.live_conns(),
            conns_max: Some(settings.conns_max).filter(|max| *max > 0),
            buckets: buckets(&client, &settings, now_ns),
            limited_packets: client.limited_packets,
            limited,
        })
    }
}

fn client_of(address: IpAddr, settings: &Settings) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => prefix(mapped(v4.octets()), settings.mask4),
        IpAddr::V6(v6) => prefix(v6.octets(), settings.mask6),
    }
}

fn client_prefix(key: [u8; 16], settings: &Settings) -> Prefix {
    let bits = |mask: [u8; 16]| u128::from_be_bytes(mask).leading_ones() as u8;
    let [.., a, b, c, d] = key;
    match is_mapped(&key) {
        true => Prefix::network(
            Ipv4Addr::new(a, b, c, d).into(),
            bits(settings.mask4).saturating_sub(96),
        ),
        false => Prefix::network(Ipv6Addr::from(key).into(), bits(settings.mask6)),
    }
}

fn buckets(client: &Client, settings: &Settings, now_ns: u64) -> Vec<BucketRow> {
    let all = [
        (reason::SYN_RATE, settings.syn, client.syn_ns),
        (reason::PACKET_RATE, settings.packets, client.packet_ns),
        (reason::BYTE_RATE, settings.bytes, client.byte_ns),
    ];
    let limiting = all.into_iter().filter(|(_, rate, _)| rate.limits());
    limiting
        .map(|(number, rate, bucket_ns)| BucketRow {
            reason: reason::as_str(number),
            left: rate.left(bucket_ns, now_ns),
            burst: rate.left(0, now_ns),
            per_s: Rate { tolerance_ns: NS_PER_S, ..rate }.left(0, 0),
            full_in_ms: bucket_ns.saturating_sub(now_ns).div_ceil(NS_PER_MS),
        })
        .collect()
}

impl Maps {
    /// Where the kernel program keeps a client, and whether it has proven itself.
    fn client(&self, key: [u8; 16], settings: &Settings) -> Result<(bool, Client), GuardError> {
        if let Some(client) = self.proven_client(key)? {
            return Ok((true, client));
        }
        let place = slot(key, settings.seed, settings.clients);
        let client = self.unproven.get(&place, 0);
        Ok((false, client.map_err(|error| GuardError::bpf("read client", error))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_say_what_is_left_and_when_they_are_full() {
        let settings = Settings { syn: Rate::new(10, 5), ..Settings::default() };
        let now_ns = 100 * NS_PER_S;
        let client = Client { syn_ns: now_ns + 300 * NS_PER_MS, ..Client::default() };
        let [row] = buckets(&client, &settings, now_ns)[..] else {
            panic!("one limit, one bucket")
        };
        assert_eq!((row.reason, row.left, row.burst, row.per_s), ("syn_rate", 2, 5, 10));
        assert_eq!(row.full_in_ms, 300);
    }

    #[test]
    fn a_client_is_named_by_its_prefix() {
        let settings = Settings {
            mask4: edge_common::mask(96 + 24),
            mask6: edge_common::mask(64),
            ..Settings::default()
        };
        for (address, client) in
            [("192.0.2.7", "192.0.2.0/24"), ("2001:db8::1:2:3:4", "2001:db8::/64")]
        {
            let key = client_of(address.parse().unwrap(), &settings);
            assert_eq!(client_prefix(key, &settings).to_string(), client);
        }
    }
}
