//! IP addresses as AWS's engine reads them, and blocks of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest IPv4 address; its parts may begin with zeros.
const V4_LENGTH: usize = 15;

/// An address of either version. An IPv6 notation of an IPv4 address becomes that address.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    // Most texts are neither: the first byte decides.
    if !matches!(text.bytes().next()?, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':') {
        return None;
    }
    if text.contains('.') {
        return v4(text).map(IpAddr::V4);
    }
    let v6 = text.parse().ok().or_else(|| shortened(text)?.parse().ok());
    v6.map(|address: Ipv6Addr| address.to_canonical())
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    if text.len() > V4_LENGTH {
        return None;
    }
    let mut parts = text.split('.');
    let mut octets = [0; 4];
    for octet in &mut octets {
        let part = parts.next()?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *octet = part.parse().ok().filter(|_| digits)?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// An IPv6 address without leading zeros beyond a group's four digits.
fn shortened(text: &str) -> Option<String> {
    let short = |group: &'_ str| {
        let (zeros, digits) = group.split_at_checked(group.len().saturating_sub(4))?;
        zeros.bytes().all(|b| b == b'0').then(|| digits.to_owned())
    };
    let groups: Option<Vec<_>> = text.split(':').map(short).collect();
    groups.map(|groups| groups.join(":"))
}

/// A block of addresses of one version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    network: IpAddr,
    length: u32,
}

impl Block {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`; address bits after the prefix are ignored. The error is a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected an address block such as `10.0.0.0/8` or `2001:db8::/32`";
        let single = "for a single address write it as a value: `[\"10.0.0.1\"]`";
        let Some((address_text, length)) = text.split_once('/') else {
            return Err(format!("{expected}, found no `/`; {single}"));
        };
        let Some(network) = address(address_text) else {
            return Err(format!(
                "{expected}, found no IP address before the `/`; write the address in full"
            ));
        };
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        match length.parse() {
            Ok(length) if digits && length < bits => Ok(Self {
                network: masked(network, length),
                length,
            }),
            Ok(length) if digits && length == bits => Err(format!(
                "{expected}, found the length `{bits}`, which AWS refuses; {single}"
            )),
            _ => Err(format!(
                "{expected}, found no prefix length from 0 to {} after the `/`; write the number of leading bits that must agree",
                bits - 1
            )),
        }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        masked(address, self.length) == self.network
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// The first bits of an address, the others 0. All of a shorter address.
fn masked(address: IpAddr, length: u32) -> IpAddr {
    let mask = |bits: u32| {
        u128::MAX
            .checked_shl(bits.saturating_sub(length))
            .unwrap_or(0)
    };
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & mask(32) as u32).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & mask(128)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_compared_by_value() {
        for (a, b) in [
            ("10.0.0.1", "010.000.0.01"),
            ("2001:db8::1", "2001:0DB8:0:0:0:0:0:00001"),
            ("::ffff:a00:1", "10.0.0.1"),
        ] {
            assert!(address(a).is_some(), "{a}");
            assert_eq!(address(a), address(b), "{a} and {b}");
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1.1",
            "10..0.1",
            "+1.0.0.1",
            "0000000010.0.0.1",
            "::ffff:10.0.0.1",
            ":",
            ":::",
            "1::2::3",
            "fe80::1%eth0",
            "g::",
            "::10000",
            "x",
            "\u{661}.0.0.1",
            "a.b.c.d",
            "cafe",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_block_is_its_prefix(bits in any::<u128>(), other in any::<u128>(), length in 0u32..128) {
            let block = Block::parse(&format!("{}/{length}", Ipv6Addr::from_bits(bits))).unwrap();
            let same = (bits ^ other).leading_zeros() >= length;
            prop_assert_eq!(block.contains(IpAddr::V6(Ipv6Addr::from_bits(other))), same);
            prop_assert!(!block.contains(IpAddr::V4(Ipv4Addr::from_bits(0))));
            prop_assert_eq!(Block::parse(&block.to_string()), Ok(block));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), near in "[0-9a-f:./é]{0,20}") {
            for text in [text, near] {
                address(&text);
                Block::parse(&text).ok();
            }
        }
    }
}
