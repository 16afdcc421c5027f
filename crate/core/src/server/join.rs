//! Lets a stranger in who has an invitation.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sparsync_proto::Frame;
use sparsync_proto::session::Opened;

use super::accept::{read_keys, read_request, refuse};
use super::log::{Asked, ClientInfo, Happening};
use super::{Shared, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Accepted, WindowBudget};
use crate::transport::{Connection, SessionLanes, encoded};
use crate::trust::{Invitations, PublicKey};

/// All that joining takes of a server.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Who joins is given so long to take the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections for joining at once: strangers hold them.
pub(super) const JOINING_MAX: usize = 32;

/// Tries are counted over this.
const TRIES_OVER: Duration = Duration::from_secs(60);

/// Tries of one address.
const TRIES_EACH: u32 = 5;

/// Tries of all addresses: somebody may have many of them.
const TRIES_IN_ALL: u32 = 60;

/// How often somebody has tried to join lately.
#[derive(Default)]
pub(super) struct Tries(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    since: Option<Instant>,
    all: u32,
    each: HashMap<IpAddr, u32>,
}

impl Tries {
    /// Counts a try; whether it is one too many.
    fn is_one_too_many(&self, address: IpAddr) -> bool {
        let mut counted = lock(&self.0);
        if counted.since.is_none_or(|since| since.elapsed() >= TRIES_OVER) {
            *counted = Counted { since: Some(Instant::now()), ..Counted::default() };
        }
        let each = counted.each.get(&network(address)).copied().unwrap_or(0);
        if each >= TRIES_EACH || counted.all >= TRIES_IN_ALL {
            return true;
        }
        counted.all += 1;
        counted.each.insert(network(address), each + 1);
        false
    }
}

/// Whoever has an IPv6 address has its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Serves a connection that is for joining.
pub(super) async fn serve_join(shared: &Arc<Shared>, accepted: Accepted, address: SocketAddr) {
    let Ok(_one_of_few) = shared.joining.try_acquire() else {
        return accepted.refuse(&Error::new(ErrorKind::Limit, "too many join at the moment; try again"));
    };
    let key = accepted.key;
    // Its window stays the least one, and it gets none of what clients share.
    let connection = accepted.start(&WindowBudget::new(0));
    let joined = tokio::time::timeout(JOIN_TIMEOUT, join(shared, &*connection, key, address.ip())).await;
    let who = |name| ClientInfo { name, key, address: address.to_string() };
    match joined.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no invitation came in time"))) {
        Ok(name) => {
            if let Some(log) = &shared.log {
                log.tell(Some(who(Some(name))), Happening::Joined);
            }
            // The key is in force before its holder hears of it; see `join`.
            let _ = tokio::time::timeout(ANSWER_TIMEOUT, connection.accept(Arc::default())).await;
            connection.close(None);
        }
        Err(error) => {
            if let Some(log) = &shared.log {
                log.refuse_stranger(who(None), Some(Asked::JOIN), error.clone());
            }
            connection.close(Some(&error));
        }
    }
}

/// Takes what the connection is for, and answers. Gives the name that the key has now.
async fn join(
    shared: &Arc<Shared>,
    connection: &dyn Connection,
    key: Option<PublicKey>,
    address: IpAddr,
) -> Result<String> {
    let Some(mut lanes) = connection.accept(Arc::default()).await else {
        return Err(Error::new(ErrorKind::Closed, "the connection ended before an invitation came").remote());
    };
    let joined = match read_request(&mut *lanes).await {
        Ok((_, Opened::Join(secret))) => redeem(shared, secret, key, address).await,
        Ok(_) => Err(Error::protocol("a request on a connection that is for joining").remote()),
        Err(error) => Err(error),
    };
    match joined {
        Ok(line) => {
            let name = line.split(' ').next().unwrap_or_default().to_owned();
            answer(&mut *lanes, line).await;
            Ok(name)
        }
        Err(error) => {
            refuse(lanes, &error).await;
            // Closing at once would overtake the answer.
            let _ = tokio::time::timeout(ANSWER_TIMEOUT, connection.accept(Arc::default())).await;
            Err(error)
        }
    }
}

async fn answer(lanes: &mut dyn SessionLanes, line: String) {
    let _ = lanes.write(encoded(&[Frame::Joined(line.into_bytes())])).await;
    lanes.finish();
}

/// Puts the key into the file of keys, and into force.
async fn redeem(shared: &Arc<Shared>, secret: Vec<u8>, key: Option<PublicKey>, address: IpAddr) -> Result<String> {
    if shared.tries.is_one_too_many(address) {
        return Err(Error::new(ErrorKind::Limit, "too many tries to join; wait a minute"));
    }
    // Whatever it is that is wrong, a guess learns nothing from it.
    let refused = || {
        let message = "the invitation is not valid: it was used already, has ended, or is not of this server";
        Error::new(ErrorKind::Unauthorized, message)
    };
    let file = shared.keys.path().filter(|_| !shared.anonymous);
    let (Some(key), Some(file)) = (key, file) else { return Err(refused()) };
    let invitations = Invitations::beside(file);
    let shared = Arc::clone(shared);
    let redeemed = tokio::task::spawn_blocking(move || {
        let line = invitations.redeem(&secret, key, |line| shared.keys.check_line(line))?;
        if line.is_some() {
            read_keys(&shared);
        }
        Ok::<_, Error>(line)
    });
    redeemed.await.map_err(|_| Error::internal("joining panicked"))??.ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{TRIES_EACH, TRIES_IN_ALL, Tries};

    #[test]
    fn tries_are_few_for_one_address_and_for_all() {
        let tries = Tries::default();
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        for last in 0..u16::try_from(TRIES_EACH).expect("small") {
            assert!(!tries.is_one_too_many(v6(last)));
        }
        assert!(tries.is_one_too_many(v6(99)), "another address of one network");
        for number in TRIES_EACH..TRIES_IN_ALL {
            assert!(!tries.is_one_too_many(IpAddr::from((0x0a00_0000 + number).to_be_bytes())));
        }
        assert!(tries.is_one_too_many(IpAddr::from([192, 0, 2, 1])), "all together");
    }
}
