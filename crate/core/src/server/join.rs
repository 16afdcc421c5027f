//! Accepts a new client that has an invitation.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sparsync_proto::Frame;
use sparsync_proto::session::Opened;

use super::accept::{Stranger, read_keys, read_request, refuse};
use super::log::{Asked, Happening};
use super::{Shared, lock};
use crate::error::{Error, ErrorKind};
use crate::net::{Arrived, WindowBudget, network};
use crate::transport::{Connection, SessionLanes, encoded};
use crate::trust::{Invitations, PublicKey};

/// How long joining may take in all.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of that time may pass before the secret has come: a silent client must not keep others away.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a client may take to read the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections for joining at once: strangers hold them.
const JOINING_MAX: u32 = 32;

/// How many of them may be from one network.
const JOINING_EACH: u32 = 4;

/// Tries are counted over this.
const TRIES_OVER: Duration = Duration::from_secs(60);

/// Tries of one address.
const TRIES_EACH: u32 = 5;

/// The most attempts of all addresses: a guest may have many.
const TRIES_IN_ALL: u32 = 60;

/// Counts recent attempts to join, and those that are under way.
#[derive(Default)]
pub(super) struct Tries {
    counted: Mutex<Counted>,
    /// Connections of each network.
    now: Mutex<HashMap<IpAddr, u32>>,
}

#[derive(Default)]
struct Counted {
    since: Option<Instant>,
    all: u32,
    each: HashMap<IpAddr, u32>,
}

impl Tries {
    /// Counts a try; whether it is one too many.
    fn is_one_too_many(&self, address: IpAddr) -> bool {
        let mut counted = lock(&self.counted);
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

    /// One of the few places, of which a network may have fewer still; none when they are taken.
    fn place(&self, address: IpAddr) -> Option<Place<'_>> {
        let network = network(address);
        let mut now = lock(&self.now);
        let taken = now.get(&network).copied().unwrap_or(0);
        if taken >= JOINING_EACH || now.values().sum::<u32>() >= JOINING_MAX {
            return None;
        }
        now.insert(network, taken + 1);
        Some(Place { now: &self.now, network })
    }
}

/// Given back when dropped.
struct Place<'a> {
    now: &'a Mutex<HashMap<IpAddr, u32>>,
    network: IpAddr,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut now = lock(self.now);
        match now.get_mut(&self.network) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(now.remove(&self.network)),
        }
    }
}

/// Why a guest did not become a client.
struct Refusal {
    /// The error that the client is told.
    told: Error,
    /// The error that is logged.
    logged: Error,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { told: error.clone(), logged: error }
    }
}

/// Serves a connection that is for joining.
pub(super) async fn serve_join(shared: &Arc<Shared>, accepted: Arrived, stranger: Stranger) {
    let (key, address) = (stranger.key, stranger.address.ip());
    let refused = |error: &Error| shared.stranger_refused(stranger, Some(Asked::JOIN), error);
    let Some(_place) = shared.tries.place(address) else {
        let error = Error::new(ErrorKind::Limit, "too many clients are joining; try again");
        accepted.refuse(&error);
        return refused(&error);
    };
    // The connection's window stays the least one: it gets no part of the budget that clients share.
    let connection = accepted.start(&WindowBudget::new(0));
    let joined = tokio::time::timeout(JOIN_TIMEOUT, join(shared, &*connection, key, address)).await;
    match joined.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "joining took too long").into())) {
        Ok(name) => {
            shared.tell(Some((&*connection, &name)), || Happening::Joined);
            // The key is in force before its holder hears of it; see `join`.
            let _ = tokio::time::timeout(ANSWER_TIMEOUT, connection.accept(Arc::default())).await;
            connection.close(None);
        }
        Err(Refusal { told, logged }) => {
            refused(&logged);
            connection.close(Some(&told));
        }
    }
}

/// Reads what the connection is for, and answers. Gives the name that the key has from now on.
async fn join(
    shared: &Arc<Shared>,
    connection: &dyn Connection,
    key: Option<PublicKey>,
    address: IpAddr,
) -> std::result::Result<String, Refusal> {
    let asked = async {
        let Some(mut lanes) = connection.accept(Arc::default()).await else {
            return Err(Error::new(ErrorKind::Closed, "the connection ended before an invitation came").remote());
        };
        let request = read_request(&mut *lanes).await;
        Ok((lanes, request))
    };
    let late = |_| Err(Error::new(ErrorKind::Timeout, "no invitation came in time"));
    let (mut lanes, request) = tokio::time::timeout(REQUEST_TIMEOUT, asked).await.unwrap_or_else(late)?;
    let joined = match request {
        Ok((_, Opened::Join(secret))) => redeem(shared, secret, key, address).await,
        Ok(_) => Err(Error::protocol("a request on a connection that is for joining").remote().into()),
        Err(error) => Err(error.into()),
    };
    match joined {
        Ok(line) => {
            let name = line.split(' ').next().unwrap_or_default().to_owned();
            answer(&mut *lanes, line).await;
            Ok(name)
        }
        Err(refusal) => {
            refuse(lanes, &refusal.told).await;
            // Closing at once would overtake the answer.
            let _ = tokio::time::timeout(ANSWER_TIMEOUT, connection.accept(Arc::default())).await;
            Err(refusal)
        }
    }
}

async fn answer(lanes: &mut dyn SessionLanes, line: String) {
    let _ = lanes.write(encoded(&[Frame::Joined(line.into_bytes())])).await;
    lanes.finish();
}

/// Puts the key into the file of keys, and into force.
async fn redeem(
    shared: &Arc<Shared>,
    secret: Vec<u8>,
    key: Option<PublicKey>,
    address: IpAddr,
) -> std::result::Result<String, Refusal> {
    if shared.tries.is_one_too_many(address) {
        return Err(Error::new(ErrorKind::Limit, "too many tries to join; wait a minute").into());
    }
    // All refusals are the same, so that a guess learns nothing from them.
    let refused = || {
        let message = "the invitation is not valid: it was already used, has expired, or is for another server";
        Error::new(ErrorKind::Unauthorized, message)
    };
    let file = shared.keys.path().filter(|_| !shared.anonymous);
    let (Some(key), Some(file)) = (key, file) else { return Err(refused().into()) };
    let invitations = Invitations::beside(file);
    let shared = Arc::clone(shared);
    let redeemed = tokio::task::spawn_blocking(move || {
        let line = invitations.redeem(&secret, key, |line| shared.keys.check_line(line))?;
        if line.is_some() {
            read_keys(&shared);
        }
        Ok::<_, Error>(line)
    });
    match redeemed.await.unwrap_or_else(|_| Err(Error::internal("joining panicked"))) {
        Ok(line) => line.ok_or_else(|| refused().into()),
        // Errors of the server's own files are told to its operator only.
        Err(logged) => {
            Err(Refusal { told: Error::new(ErrorKind::Connect, "the server cannot take invitations now"), logged })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{JOINING_EACH, JOINING_MAX, TRIES_EACH, TRIES_IN_ALL, Tries};

    #[test]
    fn a_network_has_few_places_and_gets_them_back() {
        let tries = Tries::default();
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        let other = IpAddr::from([192, 0, 2, 1]);
        let mut held: Vec<_> = (0..JOINING_EACH).map(|_| tries.place(v6(1)).expect("a place")).collect();
        assert!(tries.place(v6(2)).is_none(), "another address of one network");
        let elsewhere = tries.place(other);
        assert!(elsewhere.is_some());
        held.pop();
        held.push(tries.place(v6(2)).expect("a place that was given back"));
        assert!(tries.place(v6(3)).is_none());
        drop((held, elsewhere));
        assert!(super::lock(&tries.now).is_empty());
    }

    #[test]
    fn all_networks_together_have_few_places() {
        let tries = Tries::default();
        let v4 = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let mut held: Vec<_> = (0..JOINING_MAX).map(|number| tries.place(v4(number)).expect("a place")).collect();
        assert!(tries.place(v4(JOINING_MAX)).is_none());
        held.pop();
        assert!(tries.place(v4(JOINING_MAX)).is_some());
    }

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
