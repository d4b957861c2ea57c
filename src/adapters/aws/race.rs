//! Connects to the first responding address of a host (RFC 8305, "happy eyeballs").

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// The head start of an address before the next one: RFC 8305, section 8, "Connection Attempt Delay".
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the addresses in order, starting the next attempt after [`HEAD_START`] at the latest, and returns the first
/// connection.
///
/// # Errors
///
/// The last error, when no address works.
pub async fn connect<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>>,
{
    let mut left = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut error = BoxError::from("the host has no address");
    loop {
        attempts.extend(left.next().map(&connect));
        tokio::select! {
            ended = attempts.next() => match ended {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(e)) => error = e,
                None => return Err(error),
            },
            () = sleep(HEAD_START), if !left.as_slice().is_empty() => {}
        }
    }
}

/// A random order with alternating families, beginning with the resolver's preferred one, so that a repeated call need not
/// begin with the address that failed before.
pub fn order(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().copied() else {
        return addresses;
    };
    fastrand::shuffle(&mut addresses);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first.is_ipv6());
    let ranked = preferred.into_iter().enumerate();
    let mut ranked: Vec<_> = ranked.chain(others.into_iter().enumerate()).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 443))
            .collect()
    }

    /// An address's behaviour: answers after so many milliseconds, refuses, or stays silent.
    #[derive(Clone, Copy)]
    enum Host {
        Answers(u64),
        Refuses,
        Silent,
    }

    async fn connects(hosts: &[Host]) -> (Result<usize, String>, Duration, usize) {
        let all: Vec<SocketAddr> = (0..hosts.len())
            .map(|n| SocketAddr::from(([127, 0, 0, 1], u16::try_from(n).unwrap())))
            .collect();
        let attempts = Mutex::new(0);
        let began = Instant::now();
        let result = connect(all, async |address| {
            *attempts.lock().unwrap() += 1;
            let number = usize::from(address.port());
            match hosts[number] {
                Host::Answers(ms) => sleep(Duration::from_millis(ms)).await,
                Host::Refuses => return Err("refused".into()),
                Host::Silent => std::future::pending().await,
            }
            Ok(number)
        });
        let result = result.await.map_err(|e| e.to_string());
        (result, began.elapsed(), attempts.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_delays_the_next_one_by_its_head_start_only() {
        use Host::{Answers, Refuses, Silent};
        let ms = Duration::from_millis;
        for (hosts, expected) in [
            (&[Answers(10), Answers(0)][..], (Ok(0), ms(10), 1)),
            (&[Silent, Answers(10)], (Ok(1), ms(260), 2)),
            (&[Silent, Silent, Silent, Answers(0)], (Ok(3), ms(750), 4)),
            (&[Refuses, Answers(10)], (Ok(1), ms(10), 2)),
            (&[Refuses, Refuses, Answers(1)], (Ok(2), ms(1), 3)),
            // The slow first one wins against a slower second one.
            (&[Answers(400), Answers(300)], (Ok(0), ms(400), 2)),
            (&[Refuses, Refuses], (Err("refused".to_owned()), ms(0), 2)),
            (&[], (Err("the host has no address".to_owned()), ms(0), 0)),
        ] {
            assert_eq!(connects(hosts).await, expected);
        }
    }

    #[test]
    fn families_alternate_and_the_order_within_one_varies() {
        let all = addresses(&["::1", "::2", "::3", "10.0.0.1"]);
        let mut begins = std::collections::HashSet::new();
        for _ in 0..100 {
            let ordered = order(all.clone());
            assert!(ordered[0].is_ipv6() && ordered[1].is_ipv4(), "{ordered:?}");
            begins.insert(ordered[0]);
            let mut sorted = ordered;
            sorted.sort();
            let mut expected = all.clone();
            expected.sort();
            assert_eq!(sorted, expected);
        }
        assert_eq!(begins.len(), 3);
        assert_eq!(order(Vec::new()), []);
    }
}
